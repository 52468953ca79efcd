"""A folder that holds one run: what was run, the model, and tables that grow safely."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from asymcert._checks import check_types, refuse
from asymcert._files import flush_folder, parse_json, written
from asymcert.datasets.plan import Plan
from asymcert.errors import InputError, RunError
from asymcert.models.base import BinaryClassifier
from asymcert.models.files import MODEL, stated_digest
from asymcert.models.zoo import check_no_model, check_own, resolve
from asymcert.runs.facts import RunFacts
from asymcert.runs.log import append_record, read_records
from asymcert.runs.rows import MOST_ROWS, threat_key
from asymcert.runs.tables import PART, SCHEMAS, check_table, read_part
from asymcert.threats.model import ThreatModel

FORMAT = 1
THREATS = "threats"
LOG = "train_log.jsonl"
PLAN = "columns.toml"


@dataclass(frozen=True)
class RunFolder:
    """One run on disk: ``run.json``, model, ``train_log.jsonl``, ``threats`` and tables of Parquet parts.

    A part is written under a temporary name, flushed to disk and renamed, so a process that dies leaves at most a
    temporary file that nobody reads. Part names are unique: two processes can append at once. A part's name carries
    a digest of its bytes, so that damage is noticed.

    Parameters
    ----------
    path
        The folder, which need not exist yet; or ``zoo:NAME`` for a model of the zoo, whose folder is read only.
    """

    path: Path

    def __init__(self, path: str | Path):
        object.__setattr__(self, "path", resolve(path))

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "run.json").is_file()

    @property
    def model_path(self) -> Path:
        """The model file of the run."""
        return self.path / MODEL

    @property
    def own(self) -> list[pl.Expr]:
        """What rows of the run's own data and of its model, where it has one, fulfil.

        The model's digest is taken as the file states it; rows of another threshold name another model.
        """
        digests = {"data_digest": self.facts().data_digest}
        if self.model_path.exists():
            digests["model_digest"] = stated_digest(self.model_path)
        return [pl.col(name) == digest for name, digest in digests.items()]

    @property
    def checkpoint_path(self) -> Path:
        """What an interrupted training is continued from."""
        return self.path / "checkpoint.safetensors"

    @property
    def own_files(self) -> list[Path]:
        """What the run consists of, there already or not: no command may write anything else there."""
        parts = [part for folder in self.path.glob("*") for part in folder.glob("*") if PART.fullmatch(part.name)]
        named = [self.path / name for name in ("run.json", LOG, PLAN)] + [self.model_path, self.checkpoint_path]
        return [*named, *(self.path / THREATS).glob("*.json"), *parts]

    def create(self, facts: RunFacts) -> None:
        """Claim the folder for a new run.

        Raises
        ------
        RunError
            The folder already holds a run, or other files.
        InputError
            It lies in the zoo, or would be taken for a model of it.
        """
        check_own("path", self.path)
        if self.exists or (self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))):
            what = "a run" if self.exists else "other files"
            raise RunError(f"{self.path}: already holds {what}. Choose another folder, or delete this one first.")
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._write("run.json", _content(facts), replace=False)
        except FileExistsError:
            raise RunError(f"{self.path}: another process has just made a run here. Choose another folder.") from None

    def write_plan(self, plan: Plan) -> None:
        """Write what a table's columns were taken for into ``columns.toml``: to read, and for other runs."""
        self.check_own()
        self._write(PLAN, plan.to_toml().encode())

    def facts(self) -> RunFacts:
        """What ``run.json`` says.

        Raises
        ------
        RunError
            The file is missing, damaged, or from an unknown version.
        """
        path = self.path / "run.json"
        try:
            content = parse_json(path.read_bytes())
            if content.pop("format") != FORMAT:
                raise RunError(f"{path}: unknown format. Read it with the asymcert version that wrote it.")
            check_types(RunFacts, content)
            return RunFacts(**{**content, "input_shape": tuple(content["input_shape"])})
        except (FileNotFoundError, NotADirectoryError):
            message = f"{self.path}: not a run folder, run.json is missing. Make one with `asymcert train`."
            raise RunError(message) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            known = [item.name for item in fields(RunFacts)]
            raise RunError(f"{path}: damaged ({error}). It must be a JSON object with {known}; train again.") from error

    def save_model(self, model: BinaryClassifier) -> None:
        """Store the model of the run.

        Raises
        ------
        RunError
            The folder holds no run, or already another model.
        """
        self.check_writable()
        if self.model_path.exists() and self.load_model().digest != model.digest:
            raise RunError(f"{self.model_path}: is another model. Choose another folder for another run.")
        model.save(self.model_path)

    def change(self, facts: RunFacts, model: BinaryClassifier) -> None:
        """Replace the run's model, and what ``run.json`` says; under the folder's lock."""
        self.check_writable()
        model.save(self.model_path)
        self._write("run.json", _content(facts))

    def load_model(self) -> BinaryClassifier:
        """The model of the run, as `read_model` reads it."""
        return self.read_model()[0]

    def read_model(self) -> tuple[BinaryClassifier, str]:
        """The model of the run and its digest; see `BinaryClassifier.load` for what is refused.

        Raises
        ------
        RunError
            The folder holds no run, no model yet, or the model of another run.
        """
        facts = self.facts()
        if not self.model_path.is_file():
            raise RunError(f"{self.path}: holds no model. Training has not finished; run `asymcert train`.")
        model, digest = BinaryClassifier.read(self.model_path)
        what = f"{self.model_path}: is the model of another run"
        if model.input_shape != facts.input_shape:
            raise RunError(f"{what}, on inputs of shape {model.input_shape}, not {facts.input_shape}. Restore its own.")
        scaling = None if model.scaling is None else model.scaling.to_dict()
        if json.dumps(scaling, sort_keys=True) != json.dumps(facts.scaling, sort_keys=True):
            raise RunError(f"{what}, with other columns or ranges. Restore its own.")
        return model, digest

    def save_threat(self, threat: ThreatModel) -> None:
        """Store what a row's ``threat`` stands for, once."""
        self.check_writable()
        key = threat_key(threat)
        path = self.path / THREATS / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            content = json.dumps({"key": key, **threat.to_dict()}, allow_nan=False) + "\n"
            self._write(f"{THREATS}/{path.name}", content.encode())

    def threats(self) -> dict[str, ThreatModel]:
        """The threat models that were stored, by their `threat_key`.

        Raises
        ------
        RunError
            A file is damaged.
        """
        folder = self.path / THREATS
        found = {}
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            try:
                content = parse_json(path.read_bytes())
                key = content.pop("key")
                found[key] = ThreatModel.from_dict(content)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(f"{path}: damaged ({error}). Delete it and certify again.") from error
            if threat_key(found[key]) != key:
                raise RunError(f"{path}: damaged, it is not the threat model {key}. Delete it and certify again.")
        return found

    def append(self, table: str, frame: pl.DataFrame) -> Path | None:
        """Add rows to a table as one new part; returns its path, or None for an empty frame.

        Raises
        ------
        RunError
            The folder holds no run, or the table's earlier parts have other columns.
        InputError
            The frame does not fit the table's schema, or the table's name is not a plain word.
        """
        folder = self._table(table)
        self.check_writable()
        check_table(table, frame)
        if len(frame) > MOST_ROWS:
            raise refuse("frame", f"of at most {MOST_ROWS} rows", len(frame), "Append it in parts.")
        if frame.is_empty():
            return None
        parts = self._parts(table)
        if table not in SCHEMAS and parts and read_part(parts[0]).schema != frame.schema:
            raise RunError(f"{folder}: earlier rows have other columns. Move the folder away and run it again.")
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
        number = 1 + max((int(PART.fullmatch(part.name)[1]) for part in parts), default=-1)  # pyright: ignore
        digest = hashlib.sha256(content).hexdigest()[:16]
        folder.mkdir(exist_ok=True)
        return self._write(f"{table}/part-{number:05d}-{secrets.token_hex(4)}-{digest}.parquet", content)

    def read(self, table: str) -> pl.DataFrame:
        """All rows of a table in the order they were appended; an empty frame with its schema if there are none.

        Raises
        ------
        RunError
            A part is damaged, or its columns are not those of the table.
        """
        frames = {part: read_part(part) for part in self._parts(table)}
        schema = SCHEMAS.get(table) or next((frame.schema for frame in frames.values()), pl.Schema())
        for part, frame in frames.items():
            if frame.schema != schema:
                raise RunError(f"{part}: its columns are not those of the table. Move it away and run again.")
            try:
                check_table(table, frame)
            except InputError as error:
                raise RunError(f"{part}: no part of the table: {error} Move it away and run again.") from error
        return pl.concat(frames.values()) if frames else schema.to_frame()

    def append_log(self, record: Mapping[str, Any]) -> None:
        """Add one epoch's record to ``train_log.jsonl``; a last line that was cut off, as by a full disk, goes."""
        self.check_writable()
        append_record(self.path / LOG, record)

    def read_log(self) -> list[dict[str, Any]]:
        """Records of ``train_log.jsonl``, in order; a last line that was cut off is left out.

        Of an epoch that was run again after an interruption, the last record counts.

        Raises
        ------
        RunError
            A line before the last is no record.
        """
        return read_records(self.path / LOG)

    def check_writable(self) -> None:
        """Refuse to write into what is no run, or into the package."""
        if not self.exists:
            raise RunError(f"{self.path}: not a run folder. Create it with RunFolder(path).create(facts).")
        self.check_own()

    def check_own(self) -> None:
        """Refuse a model of the zoo where rows are needed, or written; also where the folder or its model is a link."""
        check_no_model(self.model_path)

    def _table(self, table: str) -> Path:
        if re.fullmatch(r"[a-z][a-z0-9_]*", table) is None:
            raise refuse("table", "a word of lower-case letters, digits and underscores", repr(table))
        return self.path / table

    def _parts(self, table: str) -> list[Path]:
        folder = self._table(table)
        parts = [path for path in folder.iterdir() if PART.fullmatch(path.name)] if folder.is_dir() else []
        return sorted(parts, key=lambda path: (int(path.name.split("-")[1]), path.name))

    def _write(self, name: str, content: bytes, *, replace: bool = True) -> Path:
        """Write a file so that it is seen whole or not at all, also after a crash."""
        target = self.path / name
        with written(target.with_name(f".{target.name}.{secrets.token_hex(4)}.part"), content) as partial:
            if replace:
                os.replace(partial, target)
            else:
                os.link(partial, target)  # fails if the target exists
        flush_folder(target.parent)
        return target


def _content(facts: RunFacts) -> bytes:
    """Of ``run.json``."""
    return (json.dumps({"format": FORMAT, **asdict(facts)}, indent=2, allow_nan=False) + "\n").encode()
