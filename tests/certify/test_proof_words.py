"""Proofs of how many words an adversary must edit: as many as the certificate says, of features and of whole texts."""

import hashlib
import math

import numpy as np
import pytest
import torch

from asymcert.attacks.texts.problem import TextProblem
from asymcert.certify import certify
from asymcert.proofs.checker import Claim, Model, main, read_container
from asymcert.proofs.checker_network import RefusedError
from asymcert.proofs.checker_words import Edits, Features
from asymcert.proofs.writer import as_checked, write_proof, write_proofs
from asymcert.threats.model import ThreatModel
from asymcert.threats.table import TableThreat
from contracts.edited import ADVERSARIES, LANGUAGES, affine, convex, least_price, reachable
from contracts.messages import HARMLESS, SPAM, WEIGHTS, additive
from contracts.models import linear_model
from contracts.text_runs import text_run


def refusal(model, metadata, tensors, **changed):
    """Why the checker refuses a proof with some of its parts changed; None if it confirms."""
    fields = {name: value for name, value in changed.items() if name not in {*tensors, "family", "ends", "protected"}}
    parts = {**tensors, **{name: value for name, value in changed.items() if name not in fields}}
    try:
        Claim(model, {**metadata, **fields}, {name: part for name, part in parts.items() if part is not None}).check()
    except (RefusedError, FloatingPointError) as reason:
        return str(reason)
    return None


# Rows of features


def proved(name, adversary, folder):
    """Models, and for each sensitive text its proof, the certificate's radius and the true least price of two edits."""
    language, (kinds, protected) = LANGUAGES[name], ADVERSARIES[adversary]
    texts, threat = language.texts(4, (3, 4), 7), language.threat(kinds, protected)
    made = [reachable(language, text, kinds, protected, 2) for text in texts]
    seeds = range(4, 8) if name == "grams" else range(4)
    for model in (build(language, seed) for seed in seeds for build in (affine, convex)):
        certificate = certify(model, language.rows(texts), threat)
        paths = write_proofs(folder, model, language.rows(texts), certificate)
        for path, radius, own in zip(paths, certificate.radius.tolist(), made, strict=True):
            assert (path is None) == (radius == 0)
            if path is not None:
                yield as_checked(model), read_container(path, "asymcert-proof"), radius, least_price(model, *own)


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("name", LANGUAGES)
def test_the_radius_is_the_certificate_s_and_no_text_within_undoes_the_verdict(name, adversary, tmp_path):
    met = 0
    for model, proof, radius, least in proved(name, adversary, tmp_path):
        claimed = float.fromhex(proof[0]["radius"])
        assert claimed >= radius
        assert refusal(model, *proof) is None
        if math.isfinite(least):
            assert claimed < least
            assert refusal(model, *proof, radius=least.hex()) == "the radius does not follow from the cuts"
        met += 1
    assert met > 1


MISTAKES = {
    "pairs cost new words nothing": ("pairs", "add", "_charged", lambda self, gained: np.zeros((len(gained), 2))),
    "one edit too few": ("words", "add", "_plans", lambda self, budget: [[max(0, int(budget) - 1), 0, 0]]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_brute_force_catches_a_mistake_of_the_checker(mistake, tmp_path, monkeypatch):
    name, adversary, method, wrong = MISTAKES[mistake]
    monkeypatch.setattr(Edits, method, wrong)
    found = [(proof[0]["radius"], least) for _, proof, _, least in proved(name, adversary, tmp_path)]
    assert any(float.fromhex(claimed) >= least for claimed, least in found if math.isfinite(least))


def test_a_pair_is_paid_by_the_word_that_the_text_has_not(tmp_path):
    """Words a, b, c and the pair ab: to add b to a text with a takes 1 and 4; a text with neither needs both."""
    family = np.array([0, 0, 0, 1], np.int8)
    features = Features(family, np.array([[0, 0], [1, 1], [2, 2], [0, 1]]), 0)
    described = {"kinds": {"add": "1"}, "sentences": False, "marks_stay": False}
    falls, never = np.array([0.0, 1.0, 2.0, 4.0]), np.zeros(4, bool)
    for x, expected in (([1, 0, 0, 0], [5, 7]), ([0, 1, 0, 0], [4, 6]), ([0, 0, 0, 0], [3, 5]), ([1, 1, 0, 0], [4, 6])):
        edits = Edits(described, float, features, never, np.array(x, float))
        assert [edits.bound(falls * (np.array(x) == 0), radius) for radius in (1.0, 2.0)] == pytest.approx(expected)


def test_parts_that_are_none(tmp_path):
    model, (metadata, tensors), *_ = next(proved("grams", "any", tmp_path))
    half = np.full(tensors["x"].shape, 0.5)
    edits = metadata["edits"]
    wrong = (
        ({"x": half, "input": hashlib.sha256(half.tobytes()).hexdigest()}, "neither 0 nor 1"),
        ({"family": tensors["family"].astype(float)}, "family is of the wrong type"),
        ({"family": tensors["family"][:-1]}, "ends are of the wrong type"),
        ({"family": tensors["family"] + np.int8(2)}, "a family is none of the four"),
        ({"ends": tensors["ends"] + 5}, "ends are no inputs of words"),
        ({"edits": {**edits, "grams": 0}}, "runs of letters are not counted"),
        ({"edits": {**edits, "kinds": {"swap": "0x1.0000000000000p+0"}}}, "a kind of edits is unknown"),
        ({"edits": {**edits, "kinds": {"add": "-0x1.0000000000000p+0"}}}, "a price is not positive"),
        ({"edits": {**edits, "sentences": True}}, "neither the whole text nor a sentence"),
        ({"edits": {**edits, "marks_stay": 1}}, "neither true nor false"),
        ({"edits": {**edits, "more": 1}}, "unknown to this checker"),
        ({"norm": "0x1.0000000000000p+0"}, "not counted in this norm"),
        ({"radius": (2.0**40).hex()}, "too many plans"),
        ({"window": 0}, "format is unknown"),
    )
    for changed, reason in wrong:
        assert reason in refusal(model, metadata, tensors, **changed)


# Texts


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A model of texts and their sentences, as the checker reads it, and proofs against edits of words."""
    folder, model = tmp_path_factory.mktemp("texts"), additive("both", counts=("cash", "dear"), grams=("as", " l"))
    x = TextProblem(model, model.scaling.columns[0].encoder).inputs([*SPAM, *HARMLESS])
    certificate = certify(model, x, TableThreat(model.scaling).words(["add", "remove"], ["prize"]))
    model.save(folder / "model")
    paths = write_proofs(folder / "proofs", model, x, certificate)
    assert main([str(folder / "model"), *(str(path) for path in paths if path)]) == 0
    found = [None if path is None else read_container(path, "asymcert-proof") for path in paths]
    assert [float.fromhex(proof[0]["radius"]) if proof else 0.0 for proof in found] == certificate.radius.tolist()
    return Model(folder / "model"), [proof for proof in found if proof is not None]


@pytest.mark.parametrize("windows", ["whole", "both", "sentences"])
def test_the_radius_is_the_certificate_s_by_the_window_that_attains_it(windows, tmp_path):
    model, met = additive(windows, counts=("cash",)), set()
    x = TextProblem(model, model.scaling.columns[0].encoder).inputs([*SPAM, *HARMLESS])
    for kinds, sentences, marks in ((["add"], False, True), (["remove"], False, False), ([], True, False)):
        threat = TableThreat(model.scaling).words(kinds, sentences=sentences, marks_stay=marks)
        certificate = certify(model, x, threat)
        paths = write_proofs(tmp_path, model, x, certificate)
        assert [path is not None for path in paths] == (certificate.radius > 0).tolist()
        for path, radius in zip(paths, certificate.radius.tolist(), strict=True):
            if path is not None:
                metadata, _ = read_container(path, "asymcert-proof")
                assert float.fromhex(metadata["radius"]) == radius
                met.add(metadata["window"])
    assert met == {"whole": {0}, "both": {0, 1}, "sentences": {0}}[windows]


def test_more_edits_are_refused(texts):
    model, proofs = texts
    assert len(proofs) == len(SPAM)
    for metadata, tensors in proofs:
        radius, kinds = float.fromhex(metadata["radius"]), metadata["edits"]["kinds"]
        cheaper = {kind: (0.25).hex() for kind in kinds}
        for changed in (
            {"radius": (radius + 1.0).hex()},
            {"radius": "inf"},
            {"edits": {**metadata["edits"], "kinds": cheaper}},
            {"edits": {**metadata["edits"], "kinds": {**kinds, "replace": (0.5 * radius / (radius + 1)).hex()}}},
        ):
            assert refusal(model, metadata, tensors, **changed) == "the radius does not follow from the cuts"


def test_a_text_without_one_of_its_words_is_another(texts):
    model, proofs = texts
    cash = (list(WEIGHTS).index("cash") + 1) / 2**24
    metadata, tensors = proofs[0]
    x = np.where(tensors["x"] == cash, 0.0, tensors["x"])
    assert refusal(model, metadata, tensors, x=x) == "the digest of x does not fit"
    fitting = {"x": x, "input": hashlib.sha256(x.tobytes()).hexdigest()}
    assert refusal(model, metadata, tensors, **fitting) == "the radius does not follow from the cuts"


def test_what_the_model_says_of_texts_is_not_the_proof_s_to_say(texts, tmp_path):
    model, proofs = texts
    metadata, tensors = proofs[0]
    frozen = np.full(model.shape, -1, np.int8)
    assert "one too many" in refusal(model, metadata, tensors, family=frozen)
    assert "one too many" in refusal(model, metadata, tensors, ends=np.zeros((*model.shape, 2), np.int64))
    assert "unknown" in refusal(model, metadata, tensors, edits={**metadata["edits"], "grams": 0})
    without = {name: value for name, value in metadata.items() if name != "edits"}
    assert "not about edits" in refusal(model, without, tensors, protected=None)
    without = {name: value for name, value in metadata.items() if name != "window"}
    assert "format is unknown" in refusal(model, without, tensors)
    for other in (additive("both", threshold=1.25), additive("whole", counts=("cash",))):
        assert refusal(as_checked(other), metadata, tensors) is not None
    assert "another threshold" in refusal(model, metadata, tensors, threshold=(1.25).hex())


def test_only_a_window_that_edits_of_the_text_are_edits_of(texts):
    model, proofs = texts
    metadata, tensors = proofs[0]
    assert "neither the whole text nor a sentence" in refusal(model, metadata, tensors, window=1)
    for place in (-1, 2, 0.0, True, "0", None):
        assert refusal(model, metadata, tensors, window=place) is not None
    stays = {**metadata["edits"], "marks_stay": True}
    assert refusal(model, metadata, tensors, window=1, edits=stays) is None


@pytest.mark.parametrize("codes", [[], [0.5], [1 - 3 / 2**24, 1.0], [1.0, 0.3 / 2**24], [1.0, 99 / 2**24], [1.0, 2.0]])
def test_codes_that_are_no_text(texts, codes):
    model, proofs = texts
    x = np.array(codes)
    fitting = {"x": x, "input": hashlib.sha256(x.tobytes()).hexdigest()}
    assert refusal(model, *proofs[0], **fitting) is not None


def test_an_evaluation_of_texts_keeps_proofs(tmp_path):
    run = text_run(tmp_path / "run", proofs=tmp_path / "proofs")
    folders = sorted((tmp_path / "proofs").iterdir())
    assert len(folders) == 3
    rows = run.read("certificates")
    proofs = [str(path) for folder in folders for path in folder.iterdir()]
    assert len(proofs) == int((rows["radius"] > 0).sum()) > 0
    assert main([str(run.model_path), *proofs]) == 0


def test_an_affine_score_has_proofs(tmp_path):
    model = linear_model(torch.tensor([2.0, -1.0]), 0.5)
    path = tmp_path / "proof"
    radius = write_proof(path, model, torch.tensor([1.0, 0.0]), ThreatModel(2), torch.ones(1, 2), torch.ones(1))
    assert radius == pytest.approx(1.5 / math.sqrt(5.0))
    assert refusal(as_checked(model), *read_container(path, "asymcert-proof")) is None
