"""Information measures: identities and bounds on drawn distributions, and the values of SciPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.special import logsumexp
from scipy.stats import entropy as reference
from sklearn.metrics import mutual_info_score

from thetastar.functional import collapse, information, losses

few = settings(max_examples=60, deadline=None)
SIZES, SEEDS, BASES = st.integers(1, 8), st.integers(0, 10_000), st.sampled_from([math.e, 2.0, 10.0])


def drawn(seed: int, classes: int, zeros: bool = False) -> np.ndarray:
    """Two distributions, some entries of which may be impossible."""
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(classes, 0.7), 2)
    if zeros:
        p = p * (random.random((2, classes)) > 0.3)
        p[:, 0] += p.sum(1) == 0
    return p / p.sum(1, keepdims=True)


@pytest.mark.shows("F8")
@few
@given(SEEDS, SIZES, BASES, st.booleans())
def test_entropies_and_divergences_are_scipys(seed: int, classes: int, base: float, zeros: bool) -> None:
    p, q = drawn(seed, classes, zeros)
    a, b = torch.tensor(p), torch.tensor(q)
    assert information.entropy(a, base=base).item() == pytest.approx(reference(p, base=base), abs=1e-12)
    assert information.kl(a, b, base=base).item() == pytest.approx(reference(p, q, base=base), abs=1e-12)
    root = distance.jensenshannon(p, q, base=base)
    assert information.js(a, b, base=base).clamp_min(0).sqrt().item() == pytest.approx(root, abs=1e-7)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = -np.where(p > 0, p * np.log(q), 0).sum() / np.log(base)
    assert information.cross_entropy(a, b, base=base).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.shows("F8")
@few
@given(SEEDS, SIZES, BASES)
def test_identities_and_bounds(seed: int, classes: int, base: float) -> None:
    p, q = torch.tensor(drawn(seed, classes))
    h, cross, kl, js = (
        value.item()
        for value in (
            information.entropy(p, base=base),
            information.cross_entropy(p, q, base=base),
            information.kl(p, q, base=base),
            information.js(p, q, base=base),
        )
    )
    tiny = 1e-12
    assert cross == pytest.approx(h + kl, abs=1e-12)
    assert -tiny <= h <= math.log(classes, base) + tiny
    assert kl >= -tiny
    assert cross >= h - tiny
    assert -tiny <= js <= math.log(2, base) + tiny
    assert js == pytest.approx(information.js(q, p, base=base).item(), abs=1e-12)
    assert information.kl(p, p).item() == 0
    mean = information.entropy((p + q) / 2, base=base) - (h + information.entropy(q, base=base)) / 2
    assert js == pytest.approx(mean.item(), abs=1e-12)


@pytest.mark.shows("F8")
def test_edges() -> None:
    """KL has a direction, cross-entropy no upper bound; what is certain has no entropy, what is excluded costs ∞."""
    p, q = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    assert information.kl(p, q).item() == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(5))
    assert information.kl(q, p).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert information.cross_entropy(p, torch.tensor([1 - 1e-30, 1e-30, 0.0])).item() > 30
    certain = torch.tensor([1.0, 0.0, 0.0])
    assert information.entropy(certain).item() == 0
    assert information.kl(p, certain).item() == math.inf
    assert information.kl(certain, p).item() == pytest.approx(math.log(2))
    assert information.js(certain, certain.flip(0), base=2).item() == 1
    assert information.entropy(torch.full((8,), 1 / 8), base=2).item() == pytest.approx(3)
    assert information.surprisal(p, base=2).tolist() == [1, 1, math.inf]


@pytest.mark.shows("F8")
@few
@given(SEEDS, st.integers(1, 8), st.floats(0.1, 100), st.floats(-1e4, 1e4))
def test_of_logits_nothing_overflows_and_an_offset_changes_nothing(
    seed: int, classes: int, scale: float, offset: float
) -> None:
    z, w = torch.tensor(np.random.default_rng(seed).standard_normal((2, classes)) * scale)
    log_p, log_q = (np.longdouble(x.numpy()) - np.longdouble(logsumexp(x.numpy())) for x in (z, w))
    expected = {
        "entropy": -(np.exp(log_p) * log_p).sum(),
        "cross_entropy": -(np.exp(log_p) * log_q).sum(),
        "kl": (np.exp(log_p) * (log_p - log_q)).sum(),
    }
    for name, value in expected.items():
        given_ = (z,) if name == "entropy" else (z, w)
        found = getattr(information, name)(*given_, logits=True).item()
        assert found == pytest.approx(float(value), rel=1e-9, abs=1e-12), name
        moved = getattr(information, name)(*(x + offset for x in given_), logits=True).item()
        assert moved == pytest.approx(found, rel=1e-6, abs=1e-6), name
    assert information.surprisal(z, logits=True).numpy() == pytest.approx(-log_p.astype(float), rel=1e-9, abs=1e-9)
    p, q = torch.softmax(z, -1), torch.softmax(w, -1)
    assert information.js(z, w, logits=True).item() == pytest.approx(information.js(p, q).item(), abs=1e-12)
    m, lse = z.max().item(), information.log_sum_exp(z).item()
    assert m - 1e-9 <= lse <= m + math.log(classes) + 1e-9
    assert lse == pytest.approx(float(logsumexp(z.numpy())))


@pytest.mark.shows("F8")
def test_log_sum_exp_meets_both_of_its_bounds() -> None:
    assert information.log_sum_exp(torch.full((16,), 1000.0)).item() == pytest.approx(1000 + math.log(16))
    assert information.log_sum_exp(torch.tensor([1000.0, -1000.0])).item() == 1000
    half = information.log_sum_exp(torch.full((16,), 100.0, dtype=torch.bfloat16))
    assert half.item() == pytest.approx(100 + math.log(16), rel=1e-6), "bfloat16 is summed in float32"


@pytest.mark.shows("F8")
@few
@given(SEEDS, st.integers(1, 40), st.integers(1, 5), st.integers(1, 5), BASES)
def test_mutual_information(seed: int, rows: int, of_x: int, of_y: int, base: float) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, of_x, rows)
    y = np.where(random.random(rows) < 0.5, x, random.integers(0, of_y, rows))
    found = information.mutual_information_of_labels(torch.tensor(x) * 7 - 3, torch.tensor(y), base=base).item()
    assert found == pytest.approx(mutual_info_score(x, y) / math.log(base), abs=1e-12)
    joint = torch.tensor(random.random((of_x, of_y)) ** 3)
    joint = joint / joint.sum()
    h = [information.entropy(p, base=base).item() for p in (joint.sum(1), joint.sum(0), joint.flatten())]
    value = information.mutual_information(joint * 1000, base=base).item()
    assert value == pytest.approx(h[0] + h[1] - h[2], abs=1e-12), "counts or probabilities"
    assert -1e-12 <= value <= min(h[0], h[1]) + 1e-12
    apart = joint.sum(1, keepdim=True) * joint.sum(0)
    assert information.mutual_information(apart).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.shows("F8")
def test_gradients_are_finite_at_impossible_outcomes() -> None:
    """∂H/∂z_j = −p_j (log p_j + H); ∂KL(P ‖ Q)/∂w = q − p."""
    z = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    (by_z,) = torch.autograd.grad(information.entropy(z, logits=True), z)
    p, q = torch.softmax(z, -1).detach(), torch.softmax(w, -1).detach()
    torch.testing.assert_close(by_z, -p * (p.log() + information.entropy(p)))
    (by_w,) = torch.autograd.grad(information.kl(z.detach(), w, logits=True), w)
    torch.testing.assert_close(by_w, q - p)
    certain = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    for value in (information.entropy(certain), information.js(certain, torch.tensor([0.5, 0.5]).double())):
        assert torch.autograd.grad(value, certain)[0].isfinite().all()


@pytest.mark.shows("F8")
def test_losses_and_gauges_speak_of_the_same_quantities() -> None:
    random = np.random.default_rng(0)
    z, soft = torch.tensor(random.standard_normal((5, 4))), torch.tensor(random.dirichlet(np.ones(4), 5))
    torch.testing.assert_close(losses.kl(z, soft), information.kl(soft, torch.softmax(z, -1)))
    torch.testing.assert_close(losses.cross_entropy(z, soft), information.cross_entropy(soft, torch.softmax(z, -1)))
    spread = torch.diag(torch.tensor([4.0, 1.0, 0.25]).double())
    p = torch.tensor([2.0, 1.0, 0.5]).double() / 3.5
    torch.testing.assert_close(collapse.effective_rank(spread), information.entropy(p).exp())
