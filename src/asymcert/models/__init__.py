"""Every kind of classifier, and the file that each is stored in."""

from asymcert.models.ablated import AblatedClassifier
from asymcert.models.base import BinaryClassifier
from asymcert.models.convex_concave import ConvexConcaveClassifier
from asymcert.models.distance_net import DistanceClassifier
from asymcert.models.feature_convex import FeatureConvexClassifier
from asymcert.models.lipschitz import LipschitzClassifier
from asymcert.models.module_network import ModuleNetwork
from asymcert.models.relu import ReluClassifier
from asymcert.models.smoothed import SmoothedClassifier
from asymcert.models.splitting import SplitClassifier
from asymcert.models.text import TextClassifier
from asymcert.models.trees import TreeSum, TreeVote
from asymcert.models.union import UnionClassifier

__all__ = [
    "AblatedClassifier",
    "BinaryClassifier",
    "ConvexConcaveClassifier",
    "DistanceClassifier",
    "FeatureConvexClassifier",
    "LipschitzClassifier",
    "ModuleNetwork",
    "ReluClassifier",
    "SmoothedClassifier",
    "SplitClassifier",
    "TextClassifier",
    "TreeSum",
    "TreeVote",
    "UnionClassifier",
]
