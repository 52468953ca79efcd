"""Whatever a command does with a run, its model is loaded and hashed once, and its data are loaded once."""

import pytest
from typer.testing import CliRunner

from asymcert import datasets
from asymcert.cli.app import app
from asymcert.models import base, files
from asymcert.runs import run as opened
from asymcert.runs.fitting import fit_run
from asymcert.runs.folder import RunFacts, RunFolder
from asymcert.training import train

COMMANDS = {
    "certify": ["certify", "--norm", "2", "--limit", "5"],
    "proofs": ["certify", "--norm", "2", "--limit", "5", "--method", "tangent", "--proof", "PROOFS"],
    "evaluate": ["evaluate"],
    "audit": ["audit", "--norm", "2"],
    "surface": ["surface", "--norm", "2"],
    "report": ["report"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few epochs, certified in l2."""
    folder, data = RunFolder(tmp_path_factory.mktemp("once") / "run"), datasets.load("digits-3-8")
    facts = RunFacts.of(data, {"epochs": 2}, 0)
    fit_run(folder, facts, lambda checkpoint, on_epoch: train(data, epochs=2, hidden=(4,), on_epoch=on_epoch))
    assert CliRunner().invoke(app, ["certify", str(folder.path), "--norm", "2", "--quiet"]).exit_code == 0
    return folder


@pytest.fixture
def counted(monkeypatch):
    """How often models were read and hashed, and data loaded."""
    counts = dict.fromkeys(("read", "hashed", "data"), 0)

    def count(module, name, what):
        original = getattr(module, name)

        def counting(*arguments):
            counts[what] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, counting)

    count(base, "read_contents", "read")
    count(base, "digest_of", "hashed")
    count(files, "digest_of", "hashed")
    count(opened, "load_source", "data")
    return counts


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_opens_its_run_once(run, counted, name, tmp_path):
    command, *options = [part.replace("PROOFS", str(tmp_path / "proofs")) for part in COMMANDS[name]]
    done = CliRunner().invoke(app, [command, str(run.path), *options])
    assert done.exit_code == 0, done.output
    reads = 0 if name == "report" else 1  # a report is drawn from rows alone
    hashed = 2 if name == "proofs" else reads  # proofs are tried on a copy that the checker reads
    assert counted == {"read": reads, "hashed": hashed, "data": 0 if name in ("surface", "report") else 1}
