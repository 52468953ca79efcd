"""Two processes that share every batch end where one does, up to rounding."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from asymcert.linf.layers import MeanShift
from asymcert.training.distributed import Processes, SharedMeanShift, process_group, share_means
from asymcert.training.linf_nets import train_linf
from linf.distributed_cases import CASES, data, gradients, trained

ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
ROOT = Path(__file__).parents[2]


def torchrun(*arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left, having continued a run that one began."""
    folder = tmp_path_factory.mktemp("processes")

    def stop(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asymcert.training.checkpoint.CHECKPOINT_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            train_linf(data(), CASES["mixed"], checkpoint=folder / "begun_by_one", on_epoch=stop)
    (folder / "printed").write_text(torchrun(Path(__file__).with_name("distributed_cases.py"), folder))
    return folder


def agree(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(theirs[name], ours[name], **tolerance, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_whole_batch(folder, name):
    """Up to float64 rounding, although the shares are of different sizes and weights."""
    ours = gradients(name)
    for rank in (0, 1):
        agree(ours, load_file(folder / f"{name}.gradients.{rank}"), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_training_ends_where_a_single_process_does(folder, name):
    ours, _ = trained(name)
    first, second = (load_file(folder / f"{name}.{rank}") for rank in (0, 1))
    agree(first, second, rtol=0.0, atol=0.0)
    agree(ours, first, **ROUNDING)


@pytest.mark.parametrize("name", CASES)
def test_only_the_first_process_reports(folder, name):
    _, ours = trained(name)
    first, second = (json.loads((folder / f"{name}.records.{rank}").read_text()) for rank in (0, 1))
    assert second == []
    for record, own in zip(first, ours, strict=True):
        assert min(record.pop("seconds"), own.pop("seconds")) > 0
        assert record.pop("loss") == pytest.approx(own.pop("loss"), rel=1e-4)
        assert record == own  # epoch, p, and shares of samples, which are far from ties


def test_two_processes_continue_what_one_began_and_one_what_two_finished(folder):
    ours, _ = trained("mixed")
    continued = [load_file(folder / f"continued.{rank}") for rank in (0, 1)]
    agree(*continued, rtol=0.0, atol=0.0)
    agree(ours, continued[0], **ROUNDING)
    finished, records = trained("mixed", checkpoint=folder / "finished_by_two")
    assert records == []
    agree(ours, finished, **ROUNDING)


def test_refusals(folder):
    for rank in (0, 1):
        few, differing = (folder / f"refusals.{rank}").read_text().splitlines()
        assert "`batch_size` must be at least 2, the number of processes" in few
        assert "disagree on the epochs in the checkpoint: [0, 4]" in differing


def test_the_example_prints_once(folder):
    printed = (folder / "printed").read_text()
    caught, radius = re.fullmatch(
        r"processes: 2, threes recognised: (\S+) %, median l_inf radius (\S+)\n", printed
    ).groups()
    assert float(caught) > 85
    assert float(radius) > 0.2


def test_without_torchrun_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group("cpu") as device:
        assert device == "cpu"
        assert Processes.current() == Processes(rank=0, count=1)


def test_shares_make_up_the_batch_and_weights_the_mean():
    batch, weights = torch.arange(7.0), torch.tensor([1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 1.0])
    places = [Processes(rank, 3) for rank in range(3)]
    shares = [place.share(batch) for place in places]
    assert [len(share) for share in shares] == [3, 2, 2]
    assert torch.equal(torch.cat(shares).sort().values, batch)
    means = [
        (place.share(weights) * share).sum() / place.share(weights).sum()
        for place, share in zip(places, shares, strict=True)
    ]
    parts = [place.weight(weights) * mean for place, mean in zip(places, means, strict=True)]
    torch.testing.assert_close(torch.stack(parts).mean(), (weights * batch).sum() / weights.sum())


def test_mean_shifts_are_replaced_with_their_state():
    module = nn.Sequential(nn.Linear(3, 2), nn.ModuleList([MeanShift(2)])).double()
    module[1][0].running.copy_(torch.tensor([1.0, 2.0]))
    before = module.state_dict()
    share_means(module.eval())
    after = module.state_dict()
    assert type(module[1][0]) is SharedMeanShift
    agree(before, after, rtol=0.0, atol=0.0)
    assert not module[1][0].training
