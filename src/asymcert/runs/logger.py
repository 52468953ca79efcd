"""A run's results for a tracker of experiments, such as MLflow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

from asymcert.runs.run import Run

LONGEST = 250  # characters of a parameter
NOT_A_NAME = re.compile(r"[^\w./ -]")  # characters that trackers refuse in names


class Logger(Protocol):
    """What a tracker offers; the module ``mlflow`` does."""

    def log_params(self, params: dict[str, Any]) -> Any:
        """Store settings."""

    def log_metrics(self, metrics: dict[str, float]) -> Any:
        """Store figures."""

    def log_artifact(self, local_path: str) -> Any:
        """Store a file."""


def log_to(run: Run, logger: Logger, metrics: Mapping[str, Any] | None = None) -> None:
    """Give a tracker the run's recipe, its figures and its model file.

    Parameters
    ----------
    run
        The run.
    logger
        The module ``mlflow``, in whose active run it is stored, or anything with its three functions.
    metrics
        Figures by name, such as a line of ``asymcert evaluate --json`` or of `asymcert.evaluate.summary`; only finite
        numbers are given on, since most trackers refuse others.

    Raises
    ------
    RunError
        The folder holds no run.
    ModelFileError
        It holds no model, or a damaged one.
    """
    facts, digest = run.facts, run.digest
    about = {"data": facts.name, "sensitive": facts.sensitive, "other": facts.other, "seed": facts.seed}
    about |= {"data_digest": facts.data_digest, "model_digest": digest, "model": type(run.model).__name__}
    params = {f"config.{name}": value for name, value in facts.config.items()} | about
    logger.log_params({_name(name): str(value)[:LONGEST] for name, value in params.items()})
    figures = {_name(name): float(value) for name, value in (metrics or {}).items() if _is_figure(value)}
    if figures:
        logger.log_metrics(figures)
    logger.log_artifact(str(run.folder.model_path))


def _name(text: str) -> str:
    return NOT_A_NAME.sub("_", text)


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
