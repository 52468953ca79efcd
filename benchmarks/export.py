"""Time per sample of the certified ONNX graph in ONNX Runtime, beside the closed form in PyTorch.

    python benchmarks/export.py [--data mnist-3-8] [--epochs 5] [--threads 1]

Trains the data set's preset for a few epochs, exports the graph of verdict and l2 radius, and certifies test samples in
batches of 1 and of 256 with both; figures are medians of repeated runs, taken alternately. PyTorch's is the whole call
of `certify`, which finds its error bounds anew each time; in the graph they are constants. Also compares all radii.

Last result, one thread of two shared cores (load 4.5), MNIST 3-8 with 5 epochs, torch 2.13, onnxruntime 1.31: batch 1
0.58 ms a sample against 7.5 (ratio 13), batch 256 0.045 ms against 0.081 (ratio 1.8); of 1,984 samples no verdict
differs, no radius is above the sound one, and the greatest relative shortfall is 1.6e-9.
"""

from __future__ import annotations

import argparse

import numpy as np
import onnxruntime
import torch
from timing import alternate

from asymcert import ThreatModel, certify, datasets, train
from asymcert.export.certified_graph import to_certified_onnx
from asymcert.models.base import BinaryClassifier

THREAT = ThreatModel(2, lower=0, upper=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist-3-8")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = datasets.load(arguments.data)
    model, x = train(data, seed=0, epochs=arguments.epochs), data.test.x.double()
    session = start(model, arguments.threads)
    compare(session, model, x)
    for size, repeats in ((1, 200), (256, 30)):
        batch = x[:size].contiguous()
        tasks = (
            lambda batch=batch: session.run(None, {"x": batch.numpy()}),
            lambda batch=batch: certify(model, batch, THREAT),
        )
        onnx, pytorch = (1e3 * seconds / size for seconds in alternate(tasks, repeats))
        print(f"batch {size}: ONNX Runtime {onnx:.4f} ms a sample, PyTorch {pytorch:.4f}, ratio {pytorch / onnx:.1f}")


def start(model: BinaryClassifier, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    graph = to_certified_onnx(model, THREAT).SerializeToString()
    print(f"file of {len(graph) / 2**20:.1f} MiB")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def compare(session: onnxruntime.InferenceSession, model: BinaryClassifier, x: torch.Tensor) -> None:
    """Verdicts, and radii against the sound ones, of all test samples."""
    _, sensitive, radius = session.run(None, {"x": x.numpy()})
    known = certify(model, x, THREAT)
    expected = known.radius.numpy()
    positive = expected > 0
    shortfall = (1.0 - radius[positive] / expected[positive]).max()
    print(
        f"{len(x)} samples, {int((sensitive != known.sensitive.numpy()).sum())} verdicts differ, "
        f"{int((radius > expected).sum())} radii above the sound ones, greatest relative shortfall {shortfall:.1e}"
    )


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
