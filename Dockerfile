# An image with the command line: docker build -t asymcert . && docker run --rm -v "$PWD":/work asymcert doctor
# PyTorch is the build of the default index, which brings CUDA along. For a small image name the index of its builds for
# the processor: docker build --build-arg PIP_EXTRA_INDEX_URL=... -t asymcert .
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
ARG PIP_EXTRA_INDEX_URL
RUN python -m venv /opt/asymcert \
    && /opt/asymcert/bin/pip install --no-cache-dir --constraint constraints.txt '.[all]'

FROM python:3.12-slim
COPY --from=build /opt/asymcert /opt/asymcert
ENV PATH=/opt/asymcert/bin:$PATH HOME=/tmp
RUN useradd --no-create-home --uid 1000 asymcert && mkdir /work && chown asymcert /work
USER asymcert
WORKDIR /work
ENTRYPOINT ["asymcert"]
CMD ["doctor"]
