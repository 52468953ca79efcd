"""Certificates from the graphs that `asymcert export --onnx-certified` writes: several times faster for a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from asymcert.certify import Certificate, Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.registry import default_method
from asymcert.errors import DependencyError
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel


def pays(model: BinaryClassifier, threat: ThreatModel) -> bool:
    """Whether a graph certifies this model against this adversary in less time than the model's own method."""
    if not isinstance(model, FeatureConvexClassifier) or threat.edits is not None:
        return False
    return threat.norm == 0 or default_method(model, [threat]) == ClosedForm.method


class GraphCertifier(Certifier):
    """Runs a certified graph in ONNX Runtime for each adversary, on one thread.

    Sound as the graph is, see `to_certified_onnx`: its radii are never above those of the model's own method, and below
    them by about 1e-9; numbers of columns are mostly the same.

    Parameters
    ----------
    model
        The classifier; the only one that it certifies.
    threats
        The adversaries; the only ones.

    Raises
    ------
    DependencyError
        onnx or onnxruntime is not installed.
    InputError
        There is no such graph of the model.
    """

    method: ClassVar[str] = "onnx"
    kind: ClassVar[type[BinaryClassifier]] = FeatureConvexClassifier
    counts: ClassVar[bool] = True
    sound = True

    def __init__(self, model: BinaryClassifier, threats: Sequence[ThreatModel]):
        self.margins = _session(model, None)
        self.sessions = {id(threat): _session(model, threat) for threat in threats}

    def knows(self, threats: Sequence[ThreatModel]) -> bool:
        """Whether it has a graph for each of these adversaries."""
        return all(id(threat) in self.sessions for threat in threats)

    def _certificates(self, model: Any, x: Tensor, threats: Sequence[ThreatModel]) -> list[Certificate]:
        del model
        (margin,) = map(torch.from_numpy, self.margins.run(["margin"], {"x": x.double().numpy()}))
        alerts = margin > 0  # others have radius 0, which takes no graph to know
        return [self._certificate(x, threat, margin, alerts) for threat in threats]

    def _certificate(self, x: Tensor, threat: ThreatModel, margin: Tensor, alerts: Tensor) -> Certificate:
        radius, unknown = torch.zeros_like(margin), torch.full_like(margin, torch.nan)
        if bool(alerts.any()):
            found = self.sessions[id(threat)].run(["radius"], {"x": x[alerts].double().numpy()})
            radius[alerts] = torch.from_numpy(found[0])
        return Certificate(radius, margin, unknown, threat, self.method, sound=True)


def _session(model: BinaryClassifier, threat: ThreatModel | None) -> Any:
    """The graph of the margin, or of the radius against an adversary."""
    try:
        import onnxruntime

        from asymcert.export.certified_graph import to_certified_onnx
        from asymcert.export.onnx_graph import to_onnx
    except ImportError as error:
        what = f"`--engine onnx` needs the package {error.name}. Install it: pip install onnx onnxruntime."
        raise DependencyError(what) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = to_onnx(model, raw=False) if threat is None else to_certified_onnx(model, threat, raw=False)
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
