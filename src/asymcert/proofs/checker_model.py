"""The checker's own reading of models and proofs: files whose digests fit, and what follows from their weights."""

import hashlib
import json
from pathlib import Path

import numpy as np

if __package__:
    from asymcert.proofs import checker_maps as maps
    from asymcert.proofs import checker_network as own
    from asymcert.proofs import checker_words as words
else:  # run as a script, where only numpy is installed
    import checker_maps as maps  # pyright: ignore[reportMissingImports]
    import checker_network as own  # pyright: ignore[reportMissingImports]
    import checker_words as words  # pyright: ignore[reportMissingImports]

demand, gamma = own.demand, own.gamma
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
LEAST = {"float32": 2.0**-126, "float64": 2.0**-1022}  # normal numbers: what is below may be flushed to zero
LAYOUTS = {"F64": "<f8", "BOOL": "|b1", "I8": "|i1", "I64": "<i8"}


def read_container(path, key):
    """Metadata and tensors of a safetensors file: header length, JSON header, data without gaps."""
    demand(Path(path).is_file(), "no such file, or no plain one", ValueError)
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start], object_pairs_hook=_unique)
    metadata = json.loads(header.pop("__metadata__")[key], object_pairs_hook=_unique)
    tensors, offset = {}, 0
    for name, part in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = part["data_offsets"]
        demand(begin == offset, "overlapping tensors or gaps between them", ValueError)
        flat, offset = np.frombuffer(data[start + begin : start + end], LAYOUTS[part["dtype"]]), end
        tensors[name] = flat.reshape(own.shape_of(part["shape"]))
    demand(start + offset == len(data), "too short or too long", ValueError)
    return metadata, tensors


def _unique(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def number(text):
    """The number of the one way to write it in hexadecimal."""
    demand(float.fromhex(text).hex() == text, f"{text} is not a hexadecimal number as Python writes it")
    return float.fromhex(text)


class Model:
    """A model file whose digest fits its contents."""

    def __init__(self, path):
        metadata, tensors = read_container(path, "asymcert")
        self.digest = metadata.pop("digest", None)
        digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
        for name in sorted(tensors):
            demand(tensors[name].dtype == np.float64, "a weight is not float64")
            demand(np.isfinite(tensors[name]).all(), "a weight is NaN or infinite")
            digest.update(f"{name} torch.float64 {tensors[name].shape}".encode() + tensors[name].tobytes())
        demand(self.digest == digest.hexdigest(), "the model's digest does not fit its contents")
        demand(metadata["format"] == 2, "the model's format is unknown to this checker")
        self.threshold, self.sensitive = float.fromhex(metadata["threshold"]), metadata["classes"][1]
        self.shape, self.tensors, self.described = own.shape_of(metadata["input_shape"]), tensors, metadata["score"]
        self.network, self.encoder, self.words = own.Network(self.described, tensors), None, None
        if metadata.get("kind") == "TextClassifier":  # the greatest score of a text's windows; a proof is about one
            self.encoder, self.shape = metadata["scaling"]["columns"][0]["encoder"], self.network.shape
            self.words = words.Features.of(self.encoder["vocabulary"])
            demand(self.words.family.shape == self.shape, "the vocabulary is for other features", ValueError)
        described = metadata["feature_map"] if self.encoder is None else {"kind": "Identity"}
        self.map = maps.FeatureMap(described, tensors, self.shape)
        demand(self.map.out_shape == self.network.shape, "the score is for other features", ValueError)
        self._bounds = {}

    def bounds(self, dtype):
        """Slope and constant of all absolute terms, and how large intermediate values can grow: once for each type.

        And what one operation can lose by underflow, so large that gamma of the terms covers it.
        """
        if dtype not in self._bounds:
            spill, up = self.network.roundings * LEAST[dtype] / UNIT[dtype], 1.0 + gamma(self.network.roundings)
            absolute = own.Network(self.described, self.tensors, spill)
            constant, slope, lowest = absolute.evaluate(np.zeros(absolute.shape))
            growth = absolute.evaluate(np.ones(absolute.shape))[2]
            self._bounds[dtype] = slope * up, constant * up + abs(self.threshold), (lowest * up, growth * up), spill
        return self._bounds[dtype]
