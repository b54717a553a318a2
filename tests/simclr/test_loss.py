import math
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr.config import Loss
from ablate.simclr.loss import LOSSES, temperature_of
from ablate.simclr.loss import pairs as module
from ablate.simclr.loss.pairs import Pairs, make_pairs, match


def pair(count: int = 6, dimension: int = 5) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return tuple(torch.randn(count, dimension, dtype=torch.float64, generator=random) for _ in range(2))  # type: ignore[return-value]


class Contrastive(NamedTuple):
    loss: Tensor
    accuracy: Tensor
    entropy: Tensor


def loss(first: Tensor, second: Tensor, **given: object) -> Contrastive:
    """The loss of z of two views, and how well the views are matched, as a training step computes them."""
    settings = Loss.model_validate(given)
    if settings.normalize:
        first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    pairs = make_pairs(first, second, settings.negatives)
    value = torch.stack([LOSSES[settings.name](each, settings) for each in pairs]).mean()
    return Contrastive(value, *match(first, second, temperature_of(settings)))


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b))


def algorithm_1(first: Tensor, second: Tensor, temperature: float) -> float:
    """Algorithm 1 of the paper in loops: z_{2k-1} and z_{2k} are the views of image k."""
    z = [view.tolist() for views in zip(first, second, strict=True) for view in views]

    def of_pair(i: int, j: int) -> float:
        others = sum(math.exp(cosine(z[i], z[k]) / temperature) for k in range(len(z)) if k != i)
        return -math.log(math.exp(cosine(z[i], z[j]) / temperature) / others)

    pairs = range(0, len(z), 2)
    return sum(of_pair(k, k + 1) + of_pair(k + 1, k) for k in pairs) / len(z)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("block", [1, 200, 2**23])
def test_nt_xent_is_algorithm_1_in_loops_whatever_the_blocks(
    temperature: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", block)
    first, second = pair()
    ours = loss(first, second, temperature=temperature).loss.item()
    assert ours == pytest.approx(algorithm_1(first, second, temperature), rel=1e-12)


@pytest.mark.parametrize("block", [1, 200, 2**23])
@pytest.mark.parametrize("negatives", ["both", "one"])
def test_the_gradient_of_nt_xent_is_that_of_finite_differences(
    block: int, negatives: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", block)
    first, second = (view.requires_grad_() for view in pair(4, 3))
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, temperature=0.5, negatives=negatives).loss, (first, second))


def test_the_gradient_scales_with_what_comes_from_above() -> None:
    first, second = (view.requires_grad_() for view in pair())
    (once,) = torch.autograd.grad(loss(first, second).loss, first)
    (thrice,) = torch.autograd.grad(3 * loss(first, second).loss, first)
    torch.testing.assert_close(thrice, 3 * once)


def test_nt_xent_does_not_depend_on_the_length_of_z_unless_it_is_not_normalized() -> None:
    first, second = pair()
    lengths = torch.rand(6, 1, dtype=torch.float64) + 0.1
    assert loss(first * lengths, second).loss.item() == pytest.approx(loss(first, second).loss.item())
    plain = {"normalize": False, "temperature": 10}
    assert loss(first * lengths, second, **plain).loss.item() != pytest.approx(loss(first, second, **plain).loss.item())


def test_without_normalization_similarity_is_the_dot_product() -> None:
    first, second = pair()
    z = torch.cat([first, second]).tolist()
    total = 0.0
    for i, anchor in enumerate(z):
        dots = [sum(x * y for x, y in zip(anchor, other, strict=True)) / 10 for other in z]
        total -= dots[(i + 6) % 12] - math.log(sum(math.exp(dot) for k, dot in enumerate(dots) if k != i))
    assert loss(first, second, normalize=False, temperature=10).loss.item() == pytest.approx(total / 12, rel=1e-12)


@pytest.mark.parametrize("count", [2, 5, 64])
def test_when_all_z_are_alike_the_loss_is_that_of_guessing_among_2n_minus_1(count: int) -> None:
    z = torch.ones(count, 3, dtype=torch.float64)
    assert loss(z, z).loss.item() == pytest.approx(math.log(2 * count - 1), rel=1e-12)


def test_nt_xent_in_float32_is_torchs_cross_entropy_at_the_papers_temperature_range() -> None:
    first, second = (view.float() for view in pair(300, 64))
    for temperature in (0.05, 1.0):
        z = F.normalize(torch.cat([first, second]), dim=1)
        logits = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
        expected = F.cross_entropy(logits, torch.arange(600).roll(300))
        torch.testing.assert_close(loss(first, second, temperature=temperature).loss, expected)


def test_accuracy_and_entropy_are_those_of_the_first_views_among_all_second_views() -> None:
    first, second = pair(40)
    second = first + 1.2 * second
    similarity = [[cosine(a, b) / 0.1 for b in second.tolist()] for a in first.tolist()]
    right = sum(max(range(40), key=row.__getitem__) == i for i, row in enumerate(similarity))
    entropy = 0.0
    for row in similarity:
        total = sum(map(math.exp, row))
        entropy -= sum(math.exp(s) / total * (s - math.log(total)) for s in row) / 40
    assert 0 < right < 40
    measured = loss(first, second, temperature=0.1)
    assert measured.accuracy.item() == pytest.approx(right / 40)
    assert measured.entropy.item() == pytest.approx(entropy, rel=1e-9)


def test_identical_views_are_always_nearest_to_each_other() -> None:
    first, _ = pair()
    assert loss(first, first).accuracy == 1


def test_when_all_z_are_alike_the_entropy_is_that_of_n_equal_candidates() -> None:
    z = F.normalize(torch.ones(16, 3, dtype=torch.float64), dim=1)
    assert match(z, z, 0.1)[1].item() == pytest.approx(math.log(16))


@pytest.mark.parametrize("name", ["nt_xent", "nt_logistic", "margin"])
def test_accuracy_and_entropy_carry_no_gradient_where_the_loss_does(name: str) -> None:
    first, second = (view.requires_grad_() for view in pair())
    result = loss(first, second, name=name)
    assert result.loss.requires_grad
    assert not result.accuracy.requires_grad
    assert not result.entropy.requires_grad


def unit_pair(count: int) -> tuple[Tensor, Tensor]:
    first, second = (F.normalize(view, dim=1) for view in pair(count))
    return first.requires_grad_(), second.requires_grad_()


def gradients_of_first(name: str, first: Tensor, second: Tensor, **settings: object) -> Tensor:
    """The gradient for the first views as anchors alone: second views are given as constants, one-sided."""
    candidates = second.detach()
    own = torch.arange(len(first))
    pairs = Pairs(first, candidates, own)
    value = LOSSES[name](pairs, Loss.model_validate({"name": name, "negatives": "one", **settings}))
    return torch.autograd.grad(value, first)[0] * len(first)  # the mean is over anchors


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def table_2(name: str, u: Tensor, positive: Tensor, negatives: list[Tensor], tau: float, margin: float) -> Tensor:
    """The gradient with respect to u as Table 2 prints it, negated, for a loss that is minimised."""
    plus, minus = float(u @ positive), [float(u @ v) for v in negatives]
    if name == "nt_xent":
        z = math.exp(plus / tau) + sum(math.exp(m / tau) for m in minus)
        up = (1 - math.exp(plus / tau) / z) / tau * positive
        return -(up - sum(math.exp(m / tau) / z / tau * v for m, v in zip(minus, negatives, strict=True)))
    count = len(negatives)
    if name == "nt_logistic":
        up = sigmoid(-plus / tau) / tau * positive
        return -(up - sum(sigmoid(m / tau) / tau * v for m, v in zip(minus, negatives, strict=True)) / count)
    parts = [positive - v if plus - m < margin else 0 * v for m, v in zip(minus, negatives, strict=True)]
    return -sum(parts[1:], parts[0]) / count


@pytest.mark.parametrize("name", ["nt_xent", "nt_logistic", "margin"])
def test_the_gradient_of_a_loss_is_the_formula_of_table_2(name: str) -> None:
    first, second = unit_pair(7)
    made = gradients_of_first(name, first, second, temperature=0.3, margin=0.8)
    for i in range(7):
        negatives = [second[j].detach() for j in range(7) if j != i]
        expected = table_2(name, first[i].detach(), second[i].detach(), negatives, tau=0.3, margin=0.8)
        torch.testing.assert_close(made[i], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["nt_xent", "nt_logistic", "margin"])
@pytest.mark.parametrize("negatives", ["both", "one"])
def test_a_loss_is_its_formula_in_loops_over_anchors_and_negatives(name: str, negatives: str) -> None:
    first, second = pair(6)
    views = [[F.normalize(z, dim=0) for z in view] for view in (first, second)]
    total = 0.0
    for side in (0, 1):
        for i in range(6):
            u, positive = views[side][i], float(views[side][i] @ views[1 - side][i])
            others = [float(u @ views[1 - side][j]) for j in range(6) if j != i]
            if negatives == "both":
                others += [float(u @ views[side][j]) for j in range(6) if j != i]
            if name == "nt_xent":
                total -= positive / 0.3 - math.log(math.exp(positive / 0.3) + sum(math.exp(s / 0.3) for s in others))
            elif name == "nt_logistic":
                total -= math.log(sigmoid(positive / 0.3))
                total -= sum(math.log(sigmoid(-s / 0.3)) for s in others) / len(others)
            else:
                total += sum(max(s - positive + 0.4, 0) for s in others) / len(others)
    made = loss(first, second, name=name, negatives=negatives, temperature=0.3, margin=0.4).loss.item()
    assert made == pytest.approx(total / 12, rel=1e-12)


@pytest.mark.parametrize("name", ["nt_logistic", "margin"])
def test_semi_hard_takes_the_nearest_negative_that_is_farther_than_the_positive(name: str) -> None:
    first, second = pair(8)
    second[0] = -first[0]  # no negative is farther
    z = [[F.normalize(z, dim=0) for z in view] for view in (first, second)]
    total, without = 0.0, 0
    for side in (0, 1):
        for i in range(8):
            u, positive = z[side][i], float(z[side][i] @ z[1 - side][i])
            allowed = [s for j in range(8) if j != i and (s := float(u @ z[1 - side][j])) < positive]
            if name == "margin":
                allowed = [s for s in allowed if s > positive - 0.4]
                total += max(allowed) - positive + 0.4 if allowed else 0.0
            else:
                total -= math.log(sigmoid(positive / 0.3))
                total -= math.log(sigmoid(-max(allowed) / 0.3)) if allowed else 0.0
            without += not allowed
    settings = {"name": name, "negatives": "one", "semi_hard": True, "temperature": 0.3, "margin": 0.4}
    assert without > 0  # an anchor without any is among them
    assert loss(first, second, **settings).loss.item() == pytest.approx(total / 16, rel=1e-12)


def test_a_margin_that_every_triplet_keeps_costs_nothing() -> None:
    z = torch.eye(4, dtype=torch.float64)
    assert loss(z, z, name="margin", margin=0.5).loss.item() == 0
    assert loss(z, z, name="margin", margin=1.5).loss.item() == pytest.approx(0.5)


def test_blocks_cover_every_anchor_once_also_where_they_do_not_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair(7)
    values = []
    for rows in (1, 2, 3, 5, 14, 100):
        monkeypatch.setattr(module, "_BLOCK_BYTES", rows * 14 * 8)
        values.append(loss(first, second).loss.item())
    assert all(a == pytest.approx(b, rel=1e-12) for a, b in pairwise(values))
