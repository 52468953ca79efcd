"""What a run folder says of its run."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from asymcert._version import __version__

if TYPE_CHECKING:
    from asymcert.datasets.binary import BinaryData


def _versions() -> dict[str, str]:
    return {"asymcert": __version__, "python": platform.python_version()} | {
        name: version(name) for name in ("torch", "numpy", "polars")
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunFacts:
    """What ``run.json`` says of a run.

    Parameters
    ----------
    name
        Name of the data set.
    source
        Where the data came from, as ``DataSource.to_dict`` gives it; None for arrays made by hand.
    data_digest
        Digest of the data; result rows carry it too.
    sensitive, other
        Names of the two classes.
    input_shape
        Shape of one sample.
    config
        The training configuration, JSON-able.
    seed
        Of the training.
    scaling
        How a table's columns became inputs, None for data used as they are.
    versions
        Of this package and of those that results depend on.
    created
        Time in UTC, ISO 8601.
    """

    name: str
    source: dict[str, Any] | None
    data_digest: str
    sensitive: str
    other: str
    input_shape: tuple[int, ...]
    config: dict[str, Any]
    seed: int
    scaling: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=_versions)
    created: str = field(default_factory=_now)

    @classmethod
    def of(cls, data: BinaryData, config: Mapping[str, Any], seed: int) -> RunFacts:
        """The facts of a run on `data`."""
        return cls(
            name=data.name,
            source=None if data.source is None else data.source.to_dict(),
            data_digest=data.digest,
            sensitive=data.sensitive,
            other=data.other,
            input_shape=tuple(data.input_shape),
            config=dict(config),
            seed=seed,
            scaling=None if data.scaling is None else data.scaling.to_dict(),
        )
