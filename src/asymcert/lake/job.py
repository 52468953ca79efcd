"""What is certified against what, and how: the part of a lake run that its outputs depend on."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from asymcert._checks import check_count, check_types, refuse
from asymcert._version import __version__
from asymcert.certify import Certifier, certifier_for
from asymcert.errors import DataError, RunError
from asymcert.evaluate.units import table_of
from asymcert.lake.places import Place
from asymcert.lake.sealed import digest_of, sealed, unsealed
from asymcert.models.base import BinaryClassifier
from asymcert.threats.model import ThreatModel

FILE = "job.json"
MODEL = "model.safetensors"
BATCH = 8192  # rows scored at a time: part of the job, for rounding may depend on it
TAKEN = ("file", "row", "verdict", "margin", "problem")  # names of an output's columns


@dataclass(frozen=True)
class Job:
    """Everything that an output depends on besides its piece of the source.

    Parameters
    ----------
    model, columns
        Digests of the model, and of how columns become its inputs.
    dtype
        Floating-point type that the model runs in.
    threats
        As `ThreatModel.to_dict` gives them.
    method, options
        Of the certifier.
    keep
        Columns that outputs repeat.
    batch
        Rows scored at a time.
    version
        Of asymcert.
    """

    model: str
    columns: str
    dtype: str
    threats: list[dict[str, Any]]
    method: str
    options: dict[str, Any]
    keep: list[str]
    batch: int = BATCH
    version: str = __version__

    @classmethod
    def of(
        cls, model: BinaryClassifier, threats: Sequence[ThreatModel], certifier: Certifier, keep: Sequence[str] = ()
    ) -> Job:
        """The job of certifying rows of a table.

        Raises
        ------
        InputError
            The model is not of a table, the certifier cannot certify it against a threat, two threats are equal, or a
            column to keep has the name of one of the output's.
        """
        table_of(model.scaling)
        assert model.scaling is not None
        for name in keep:
            if name in TAKEN or list(keep).count(name) > 1:
                raise refuse("keep", f"of different names, none of {', '.join(TAKEN)}", repr(name))
        described = [threat.to_dict() for threat in threats]
        if not described or len({digest_of(threat) for threat in described}) < len(described):
            raise refuse("threats", "at least one, all different", f"{len(described)}")
        certifier.certify(model, torch.empty(0, *model.input_shape, dtype=model.dtype), threats)
        options = {item.name: getattr(certifier, item.name) for item in fields(certifier) if item.name != "workers"}  # pyright: ignore[reportArgumentType]
        dtype = str(model.dtype).removeprefix("torch.")
        columns = digest_of(model.scaling.to_dict())
        return cls(model.digest, columns, dtype, described, certifier.method, options, list(keep))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole job."""
        return digest_of(asdict(self))

    @property
    def adversaries(self) -> list[ThreatModel]:
        """What rows are certified against."""
        return [ThreatModel.from_dict(threat) for threat in self.threats]

    @property
    def certifier(self) -> Certifier:
        """What certifies them."""
        return certifier_for(self.method, **self.options)

    def store(self, dest: Place, model: BinaryClassifier) -> None:
        """Make a destination this job's, with the model in it, or check that it is.

        Raises
        ------
        RunError
            The destination holds another job's outputs, or other files.
        """
        try:
            found = Job.read(dest)
        except FileNotFoundError:
            if next(dest.entries(), None) is not None and not _begun(dest):
                what = f"{dest.address}: holds files that are no lake run's"
                raise RunError(f"{what}. Choose a new or empty place for --out.") from None
            dest.create(MODEL, _file_of(model))
            dest.create(FILE, sealed(asdict(self)))
            found = Job.read(dest)
        if found.digest != self.digest:
            names = [item.name for item in fields(self) if getattr(found, item.name) != getattr(self, item.name)]
            what = f"{dest.address}: holds outputs of another job, which differs in {', '.join(names)}"
            raise RunError(f"{what}. Choose another --out.")

    @classmethod
    def read(cls, dest: Place) -> Job:
        """The job of a destination.

        Raises
        ------
        FileNotFoundError
            It has none.
        DataError
            The record was changed.
        """
        content = unsealed(dest.read(FILE), f"{dest.address}/{FILE}")
        try:
            if set(content) != {item.name for item in fields(cls)}:
                raise TypeError("other keys")
            check_types(cls, content)
            job = cls(**content)
            check_count("batch", job.batch)
            return job
        except (TypeError, ValueError) as error:
            raise DataError(f"{dest.address}/{FILE}: of another version ({error}). Read it with that.") from None

    def load_model(self, dest: Place) -> BinaryClassifier:
        """The destination's copy of the model.

        Raises
        ------
        ModelFileError
            The file is damaged.
        RunError
            It holds another model.
        """
        with dest.local(MODEL) as path:
            model, digest = BinaryClassifier.read(path)
        if digest != self.model:
            raise RunError(f"{dest.address}/{MODEL}: is another model than the job's. Restore it.")
        return model.to(dtype=getattr(torch, self.dtype))


def _begun(dest: Place) -> bool:
    """Whether a destination holds but the model of a job that ended right then."""
    return {entry.path for entry in dest.entries() if not entry.path.startswith("partial/")} <= {MODEL}


def _file_of(model: BinaryClassifier) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, MODEL)
        model.save(path)
        return path.read_bytes()
