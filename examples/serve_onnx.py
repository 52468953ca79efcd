"""Serve verdicts and certified radii with onnxruntime and numpy alone.

Run: pip install onnxruntime
     asymcert export runs/a --onnx-certified a.onnx
     python examples/serve_onnx.py a.onnx < samples.jsonl

Reads one sample a line, a JSON list of its numbers, and answers one line each, an error where it is none. No admissible
change smaller than the radius, in the units of the threat model that the file names, takes the sensitive verdict back.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    shape = session.get_inputs()[0].shape[1:]
    print(json.dumps({name: facts[name] for name in ("digest", "threat", "method")}))
    for line in sys.stdin:
        try:
            sample = np.asarray(json.loads(line), np.float64).reshape(1, *shape)
            if not np.isfinite(sample).all():  # NaN is never above a threshold: it would pass as harmless
                raise ValueError("numbers must be finite")
        except (TypeError, ValueError) as error:
            print(json.dumps({"error": str(error)}), flush=True)
            continue
        margin, sensitive, radius = session.run(["margin", "sensitive", "radius"], {"x": sample})
        verdict = facts["sensitive" if sensitive[0] else "other"]
        print(json.dumps({"verdict": verdict, "margin": float(margin[0]), "radius": float(radius[0])}), flush=True)


if __name__ == "__main__":
    main()
