"""Records of strangers: one line, whatever they hold."""

import json
import shutil
from types import MappingProxyType

import pytest

from asymcert import lake
from asymcert.lake.job import Job
from asymcert.lake.lease import last_run
from asymcert.lake.manifest import DONE, Manifest
from asymcert.lake.places import Folder
from asymcert.lake.sealed import sealed, unsealed
from contracts.hostile import DEEP
from contracts.lakes import THREATS, make_lake, table_model
from contracts.readers import ReaderContract


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished destination."""
    place = tmp_path_factory.mktemp("records")
    lake.certify(table_model(), make_lake(place / "source", (3,)), place / "dest", THREATS, workers=0)
    return place / "dest"


class RecordContract(ReaderContract):
    """Inherited by the tests of each kind of record; `folder` says where one is."""

    sealed = True
    folder = ""
    wrong = MappingProxyType({})  # values of the wrong type

    @pytest.fixture(autouse=True)
    def _of(self, made):
        self.dest = made

    def good(self, folder):
        return shutil.copytree(self.dest, folder / "dest", dirs_exist_ok=True)

    def target(self, path):
        return next((path / self.folder).rglob("*.json"))

    def hostile(self, folder):
        content = unsealed(self.target(self.good(folder)).read_bytes(), "")
        texts = {f"{key} of another type": sealed({**content, key: value}) for key, value in self.wrong.items()}
        texts |= {f"without {key}": sealed({k: v for k, v in content.items() if k != key}) for key in self.wrong}
        texts |= {"deep": b"[" * DEEP, "a list": b"[1]", "empty": b"", "no seal": json.dumps(content).encode()}
        cases = {}
        for number, (what, text) in enumerate(texts.items()):
            cases[what] = shutil.copytree(self.dest, folder / str(number))
            self.target(cases[what]).write_bytes(text)
        return cases


class TestRecords(RecordContract):
    folder = DONE
    wrong = MappingProxyType({"rows": "many", "path": 3, "output": None, "seconds": "long", "parts": 2.5})

    def read(self, path):
        return list(Manifest(Folder(path)).records(DONE))


class TestRuns(RecordContract):
    folder = "runs"
    wrong = MappingProxyType({"pid": "one", "state": 1, "host": None, "source": ["x"], "beat": 0.5})

    def read(self, path):
        return last_run(Folder(path))


class TestJobs(RecordContract):
    wrong = MappingProxyType({"batch": 0, "threats": "all", "method": 1, "options": [], "keep": "id"})

    def target(self, path):
        return path / "job.json"

    def read(self, path):
        return Job.read(Folder(path))
