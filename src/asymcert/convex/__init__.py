"""Input-convex scores: the second half of a feature-convex classifier."""

from asymcert.convex.base import ConvexScore
from asymcert.convex.conv import ConvexConvNet
from asymcert.convex.declared import DeclaredScore, check_convexity, declared
from asymcert.convex.ensemble import ConvexEnsemble
from asymcert.convex.mirrored import MirroredScore
from asymcert.convex.mlp import ConvexMLP
from asymcert.convex.symmetric import SymmetricAverage, symmetrise

__all__ = [
    "ConvexConvNet",
    "ConvexEnsemble",
    "ConvexMLP",
    "ConvexScore",
    "DeclaredScore",
    "MirroredScore",
    "SymmetricAverage",
    "check_convexity",
    "declared",
    "symmetrise",
]
