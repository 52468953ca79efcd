import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymcert.errors import InputError
from asymcert.models.thresholds import balanced_threshold, check_resolution, threshold_for_rate


def accuracies(scores: torch.Tensor, sensitive: torch.Tensor, threshold: float) -> tuple[float, float]:
    """By the definition of the verdict: sensitive iff score > threshold."""
    said = scores > threshold
    return float(said[sensitive].double().mean()), float((~said[~sensitive]).double().mean())


@st.composite
def labelled_scores(draw):
    n = draw(st.integers(2, 30))
    scores = draw(st.lists(st.integers(-8, 8), min_size=n, max_size=n))
    labels = [True, False, *draw(st.lists(st.booleans(), min_size=n - 2, max_size=n - 2))]
    return torch.tensor(scores, dtype=torch.float64) / 4, torch.tensor(labels)


@given(labelled_scores())
def test_no_threshold_balances_better(case):
    scores, sensitive = case
    chosen = accuracies(scores, sensitive, balanced_threshold(scores, sensitive))
    for candidate in [*(scores - 1e-9).tolist(), *scores.tolist(), -math.inf]:
        hit, rejected = accuracies(scores, sensitive, candidate)
        assert abs(chosen[0] - chosen[1]) <= abs(hit - rejected) + 1e-12


@given(labelled_scores(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_threshold_for_rate_is_the_least_that_keeps_the_rate(case, rate):
    scores, sensitive = case
    threshold = threshold_for_rate(scores, sensitive, rate)
    assert 1 - accuracies(scores, sensitive, threshold)[1] <= rate + 1e-12
    lower = scores[scores < threshold]
    if len(lower):  # a threshold below the next score down lets too many through
        assert 1 - accuracies(scores, sensitive, float(lower.max()) - 1e-9)[1] > rate


@pytest.mark.parametrize(("count", "rate"), [(30, 0.1), (70, 0.1), (100, 0.29), (1000, 0.007)])
def test_a_rate_that_comes_out_even_is_used_up(count, rate):
    scores = torch.arange(count + 1, dtype=torch.float64)
    sensitive = scores == 0
    allowed = round(count * rate)
    assert (scores[~sensitive] > threshold_for_rate(scores, sensitive, rate)).sum() == allowed
    check_resolution(1 / count, sensitive)
    with pytest.raises(InputError, match=f"at least 1/{count}, one false alarm"):
        check_resolution(0.99 / count, sensitive)


@settings(max_examples=20)
@given(st.booleans())
def test_one_class_is_refused(label):
    with pytest.raises(InputError, match="`sensitive` must be labels of both classes"):
        balanced_threshold(torch.arange(3.0), torch.full((3,), label))


def test_a_weighty_miss_lowers_the_threshold():
    scores = torch.tensor([0.0, 1.0, 2.0, 3.0, 1.5, 2.5, 3.5, 4.5], dtype=torch.float64)
    sensitive = torch.arange(8) >= 4
    found = [balanced_threshold(scores, sensitive, weight) for weight in (0.01, 1.0, 100.0)]
    assert found == sorted(found, reverse=True)
    alarms = [float((scores[~sensitive] > threshold).double().mean()) for threshold in found]
    misses = [float((scores[sensitive] <= threshold).double().mean()) for threshold in found]
    assert (alarms[0], misses[2]) == (0.0, 0.0)
    assert alarms[1] == misses[1]
