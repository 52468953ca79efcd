"""What a service is started with: methods and threats that its model can take, and models of the zoo by name."""

import shutil

import pytest

from asymcert.cli.serve_commands import source_for
from asymcert.errors import InputError
from asymcert.models import zoo
from asymcert.models.zoo import places
from asymcert.serve import server
from asymcert.serve.options import ServeOptions
from asymcert.serve.service import Service
from contracts.commands import refusal
from serve.conftest import Running

TOKEN = "a secret that is long"
REFUSED = [
    ("mnist-3-8-union", {"method": "tangent"}, "`model` must be a FeatureConvexClassifier for method 'tangent'"),
    ("mnist-3-8-union", {"norm": ["0"]}, "`threat` must be one that some member is certified against"),
    ("mnist-3-8-union", {"norm": ["2", "0"]}, "`threat` must be one that some member is certified against"),
    ("mnist-3-8-robust", {"norm": ["0"]}, "`threat` must be of a norm from 1 on for a model with a low-pass or bands"),
    ("mnist-3-8-robust", {"method": "exact", "norm": ["0"]}, "`threat` must be of a norm from 1 on for a model with a"),
    ("tumours", {"method": "closed-form", "norm": ["0"]}, "`threat` must be of a norm from 1 on for method 'closed"),
    ("spam-sms", {"norm": ["2"]}, "`threat` must be of edited words for a classifier of texts, got one of norm 2"),
]


@pytest.mark.parametrize(("name", "asked", "told"), REFUSED)
def test_what_no_request_could_be_answered_is_told_at_the_start(name, asked, told):
    with pytest.raises(InputError) as refused:
        source_for(f"zoo:{name}", **asked).load()
    assert str(refused.value).startswith(told)


def test_the_command_tells_it_before_it_listens(monkeypatch):
    monkeypatch.setattr(server, "listening_at", lambda *_: pytest.fail("it listens"))
    told = "`model` must be a FeatureConvexClassifier for method 'tangent', got UnionClassifier"
    assert refusal("serve", "zoo:mnist-3-8-union", "--method", "tangent").startswith(told)
    told = "`threat` must be of a norm from 1 on for a model with a low-pass or bands, got norm 0"
    assert refusal("serve", "zoo:mnist-3-8-robust", "--norm", "0").startswith(told)


@pytest.mark.parametrize("name", zoo.names())
def test_every_model_of_the_zoo_is_served_with_its_card(name):
    served = source_for(f"zoo:{name}").load()
    assert served.described["card"]["model"]["digest"] == served.digest


def test_a_reload_to_a_model_that_cannot_take_the_method_keeps_the_earlier_one(table_run, tmp_path):
    live = tmp_path / "live"
    live.symlink_to(table_run.path)
    with Running(Service(source_for(live, ["columns"]), ServeOptions(), TOKEN)) as client:
        before = client.service.model.digest
        live.unlink()
        live.symlink_to(zoo.entry("mnist-3-8-robust").folder)  # which counts no columns
        response = client.post("/v1/reload", headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 409
        assert "The earlier model stays, the new one cannot be used: " in response.json()["detail"]
        assert "of a norm from 1 on" in response.json()["detail"]
        assert client.service.model.digest == before


def test_a_reload_that_fails_names_no_folder_of_the_package(tmp_path, monkeypatch):
    shutil.copytree(zoo.entry("tumours").folder, tmp_path / "tumours")
    monkeypatch.setattr(places, "MODELS", tmp_path)
    with Running(Service(source_for("zoo:tumours"), ServeOptions(), TOKEN)) as client:
        (tmp_path / "tumours" / "model.safetensors").unlink()
        response = client.post("/v1/reload", headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 409
        assert str(tmp_path) not in response.text
        assert "the run folder: holds no model" in response.text
