"""Every method that certifies, and which one a kind of classifier is certified by."""

from __future__ import annotations

from collections.abc import Sequence

from asymcert._checks import refuse
from asymcert.certify.ablation import Ablation
from asymcert.certify.base import Certifier
from asymcert.certify.closed_form import ClosedForm
from asymcert.certify.convex_concave import ConvexConcave
from asymcert.certify.distance_nets import DistanceIntervals, DistanceLipschitz
from asymcert.certify.enclosure import Enclosure
from asymcert.certify.exact import Exact
from asymcert.certify.lipschitz_margin import LipschitzMargin
from asymcert.certify.refined import Refined
from asymcert.certify.relu.branch_and_bound import BranchAndBound
from asymcert.certify.relu.linear_bounds import Crown, IntervalBounds
from asymcert.certify.smoothing import Smoothing
from asymcert.certify.splitting import Splitting
from asymcert.certify.tangent import Tangent
from asymcert.certify.texts import Words
from asymcert.certify.trees import TreeColumns
from asymcert.certify.union import Union
from asymcert.certify.veritas import Veritas
from asymcert.features import Ramps
from asymcert.models.base import BinaryClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.threats.model import ThreatModel

CERTIFIERS: tuple[type[Certifier], ...] = (
    ClosedForm,
    Tangent,
    Refined,
    Exact,
    Enclosure,
    DistanceIntervals,
    DistanceLipschitz,
    Smoothing,
    Splitting,
    LipschitzMargin,
    Crown,
    IntervalBounds,
    BranchAndBound,
    ConvexConcave,
    Veritas,
    TreeColumns,
    Ablation,
    Words,
    Union,
)
METHODS = {certifier.method: certifier for certifier in CERTIFIERS}


def methods_for(kind: type[BinaryClassifier]) -> tuple[str, ...]:
    """Names of the methods that certify a kind of classifier, its default first."""
    return tuple(name for name, certifier in METHODS.items() if issubclass(kind, certifier.kind))


def default_method(model: BinaryClassifier, threats: Sequence[ThreatModel] = ()) -> str:
    """The method that a classifier is certified by unless another is named.

    The first of its kind, but ``tangent`` where columns are counted or where steep ramps make Lipschitz constants huge,
    and ``enclosure`` where features mix inputs but are enclosed by the map.
    """
    feature_map = model.feature_map if isinstance(model, FeatureConvexClassifier) else None
    steep = isinstance(feature_map, Ramps)
    counted = any(isinstance(threat, ThreatModel) and threat.norm == 0 for threat in threats)  # others are refused
    if feature_map is not None and feature_map.encloses and not feature_map.coordinatewise and not counted:
        return Enclosure.method
    known = [certifier for certifier in CERTIFIERS if isinstance(model, certifier.kind)]
    if not known:
        raise refuse("model", "a classifier that a method certifies", type(model).__name__)
    for certifier in known:
        if certifier.counts if counted else certifier.lengths and not (steep and certifier is ClosedForm):
            return certifier.method
    return known[0].method
