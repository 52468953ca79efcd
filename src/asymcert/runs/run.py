"""A run that is open: its model is loaded and hashed once, its data are loaded once, whoever asks for them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from asymcert.datasets import BinaryData, load_source
from asymcert.datasets.source import DataSource
from asymcert.errors import AsymcertError, RunError
from asymcert.models.base import BinaryClassifier
from asymcert.models.files import stated_digest, stated_kind
from asymcert.runs.facts import RunFacts
from asymcert.runs.folder import RunFolder
from asymcert.threats.shown import Shown

DIGITS = 12  # of a digest, enough to tell models apart


class Run(Shown):
    """A run folder with what it holds; each part is read when it is first asked for.

    Parameters
    ----------
    path
        The folder.
    data_dir
        Folder with the data, where it is not where training found it.
    """

    def __init__(self, path: str | Path, data_dir: str | Path | None = None):
        self.folder, self.data_dir = RunFolder(path), data_dir

    @cached_property
    def facts(self) -> RunFacts:
        """What ``run.json`` says; see `RunFolder.facts` for what is refused."""
        return self.folder.facts()

    @property
    def model(self) -> BinaryClassifier:
        """The run's model; see `RunFolder.load_model` for what is refused."""
        return self._read[0]

    @property
    def digest(self) -> str:
        """The model's digest."""
        return self._read[1]

    @cached_property
    def data(self) -> BinaryData:
        """The data that the run was trained on, checked by their digest.

        Raises
        ------
        RunError
            The data were made by hand, or are others now.
        """
        if self.facts.source is None:
            raise RunError(f"{self.folder.path}: its data was made by hand. Certify it with asymcert.certify.")
        data = load_source(DataSource.from_dict(self.facts.source), self.data_dir)
        if data.digest != self.facts.data_digest:
            what = "the data is not what the model was trained on"
            raise RunError(f"{self.folder.path}: {what}. Point --data-dir at the original.")
        return data

    def _shown(self) -> dict[str, str]:
        """What the files state, without loading the model; a damaged folder is shown too."""
        shown = {"folder": str(self.folder.path)}
        try:
            facts, path = self.facts, self.folder.model_path
            shown["data"] = f"{facts.name}, {facts.sensitive} against {facts.other}"
            return shown | {"model": stated_kind(path), "digest": stated_digest(path)[:DIGITS]}
        except AsymcertError as error:
            return shown | {"problem": str(error)}

    @cached_property
    def _read(self) -> tuple[BinaryClassifier, str]:
        return self.folder.read_model()
