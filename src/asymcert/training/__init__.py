"""Training of feature-convex classifiers."""

from asymcert.training.config import TrainConfig
from asymcert.training.loop import train
from asymcert.training.presets import PRESETS, preset_for

__all__ = ["PRESETS", "TrainConfig", "preset_for", "train"]
