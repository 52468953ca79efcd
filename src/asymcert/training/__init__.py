"""Training of every kind of classifier by one loop."""

from asymcert.training.config import TrainConfig
from asymcert.training.linf_config import LINF_PRESETS, LinfConfig
from asymcert.training.linf_nets import train_linf
from asymcert.training.models import MODELS, preset_for, train
from asymcert.training.presets import PRESETS

__all__ = ["LINF_PRESETS", "MODELS", "PRESETS", "LinfConfig", "TrainConfig", "preset_for", "train", "train_linf"]
