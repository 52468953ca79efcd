"""Scikit-learn estimators: fit, predict, and certify."""

from asymcert.estimator.distance_net import LinfDistanceDetector
from asymcert.estimator.feature_convex import FeatureConvexDetector
from asymcert.estimator.pipelines import certify_pipeline
from asymcert.estimator.text import TextDetector

__all__ = ["FeatureConvexDetector", "LinfDistanceDetector", "TextDetector", "certify_pipeline"]
