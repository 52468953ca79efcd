"""Numbers of edited words that an adversary needs: against all texts that so many edits make, and by hand."""

import math

import pytest
import torch

from asymcert.certify import Refined, Tangent
from contracts.edited import ADVERSARIES, LANGUAGES, affine, convex, least_price, reachable

CERTIFIERS = (Tangent(), Refined(cuts=3, steps=1))


def compare(language, kinds, protected, models, certifiers, count=4, edits=2, seed=7):
    """Radius and true least price of every sensitive text, as far as so many edits show it."""
    threat, found = language.threat(kinds, protected), []
    texts = language.texts(count, (3, 4), seed)
    prices = [reachable(language, text, kinds, protected, edits) for text in texts]
    for model in models:
        x = language.rows(texts).to(model.dtype)
        least = [least_price(model, *own) for own in prices]
        for certifier in certifiers:
            certificate = certifier.certify(model, x, [threat])[0]
            sensitive = certificate.sensitive.nonzero().flatten().tolist()
            found += [(float(certificate.radius[row]), least[row]) for row in sensitive]
    return found


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("name", LANGUAGES)
def test_no_text_within_the_radius_undoes_the_verdict(name, adversary):
    language, (kinds, protected) = LANGUAGES[name], ADVERSARIES[adversary]
    models = [build(language, seed) for seed in range(4) for build in (affine, convex)]
    count = 12 if adversary == "remove" else 3
    models += [model.to(torch.float32) for model in models[:2]]
    found = compare(language, kinds, protected, models, CERTIFIERS, count)
    assert all(radius < least for radius, least in found if math.isfinite(least))
    assert sum(radius > 0 for radius, _ in found) > 3
    assert sum(math.isfinite(least) for _, least in found) > 3
