"""The version, in one place, and the names that modules had in the version before it."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

MOVED = {  # modules of 0.1, which go by their old names for one version
    "baselines": "models",
    "binary": "models.base",
    "certify.baselines": "certify",
    "certify.checker": "proofs.checker",
    "certify.checker_network": "proofs.checker_network",
    "certify.passes": "certify.closed_form",
    "certify.prices": "proofs.prices",
    "certify.proof": "proofs.writer",
    "classifier": "models.feature_convex",
    "convex_concave": "models.convex_concave",
    "evaluate.facts": "runs.facts",
    "evaluate.fitting": "runs.fitting",
    "evaluate.proofs": "proofs.folder",
    "evaluate.rows": "runs.rows",
    "evaluate.run_folder": "runs.folder",
    "linf.classifier": "models.distance_net",
    "model_file": "models.files",
    "parts": "models.parts",
    "threat": "threats.model",
    "threat_file": "threats.file",
    "threat_table": "threats.table",
    "training.baselines": "training",
    "training.baselines.loop": "training.trainer",
    "training.baselines.recipe": "training.recipe",
    "training.epochs": "training.trainer",
    "training.loop": "training.trainer",
    **{f"baselines.{name}": f"models.{name}" for name in ("cayley", "lipschitz", "networks", "noise", "relu")},
    **{f"baselines.{name}": f"models.{name}" for name in ("smoothed", "splitting")},
    **{f"certify.baselines.{name}": f"certify.{name}" for name in ("lipschitz_margin", "norms", "smoothing")},
    **{f"certify.baselines.{name}": f"certify.relu.{name}" for name in ("branch_and_bound", "branching", "reach")},
    **{f"certify.baselines.{name}": f"certify.relu.{name}" for name in ("linear_bounds", "relu_bounds", "slopes")},
    "certify.baselines.splitting": "certify.splitting",
    **{f"training.baselines.{name}": f"training.{name}" for name in ("cayley", "relu", "smoothing")},
}


class Renamed(MetaPathFinder, Loader):
    """Finds a module of this package by the name that it had: the same module, not a copy, and a warning."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The specification of an old name; None for any other."""
        package, _, old = fullname.partition(".")
        if package != "asymcert" or old not in MOVED:
            return None
        own = importlib.util.find_spec(f"asymcert.{MOVED[old]}")
        assert own is not None
        return ModuleSpec(fullname, self, origin=own.origin, loader_state=own)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself."""
        new = spec.loader_state.name
        warnings.warn(f"{spec.name} is {new} now; the old name goes in the next version.", FutureWarning, stacklevel=2)
        return importlib.import_module(new)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again; the module stays what it says of itself."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state

    def get_code(self, fullname: str) -> Any:
        """For ``python -m``."""
        own = self.find_spec(fullname)
        return own and own.loader_state.loader.get_code(own.loader_state.name)
