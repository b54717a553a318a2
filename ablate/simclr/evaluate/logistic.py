"""Logistic regression by L-BFGS on frozen features, and the l2 sweep of the transfer protocol (App. B.8)."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.trainer.contract import Diverged, Interrupted

L2_GRID = tuple(float(value) for value in np.logspace(-6, 5, 45))
"""45 values from 1e-6 to 1e5, evenly spaced in the logarithm (App. B.8)."""
_MEMORY = 10  # pairs that L-BFGS keeps
_ELEMENTS = 2**24  # logits or features of one block of rows


@dataclass(frozen=True)
class Linear:
    """A linear classifier: features @ weight.T + bias."""

    weight: Tensor
    """(C, d), dtype of the features."""
    bias: Tensor
    """(C,), dtype of the features."""
    gradient_norm: float
    """Of the objective where the search ended; see `fit_logistic`. Above the tolerance, it did not converge."""

    def logits(self, features: Tensor) -> Tensor:
        """(N, d) -> (N, C)."""
        return F.linear(features, self.weight, self.bias)


@dataclass(frozen=True)
class Sweep:
    """What `sweep_l2` chose, and why."""

    classifier: Linear
    l2: float
    scores: dict[float, float]
    """The validation metric for every l2, in the order tried: from the largest to the smallest."""


def fit_logistic(
    features: Tensor,
    labels: Tensor,
    classes: int,
    l2: float,
    start: Linear | None = None,
    tolerance: float = 1e-5,
    max_iterations: int = 1000,
    stopping: Callable[[], bool] = lambda: False,
) -> Linear:
    """The minimum of mean cross entropy + l2 / 2 |W|^2 over W and b; the bias b is not penalised.

    `features` is float (N, d). `labels` int64 (N,) give multinomial regression; `labels` (N, classes) of 1, 0 and -1
    (left out) one binary regression per class, each with the mean over its own known rows. The search starts from
    zero or from `start` and ends at a gradient norm of `tolerance`. The norm is in units of the terms that cancel in
    the gradient: the mean size of the residuals p - y, for W times the root mean square length of the centred
    features. So it depends neither on the scale of the features nor on how well they separate the classes; in float32
    it comes down to about 1e-6. Holds one more copy of the features. Raises ValueError unless l2 > 0 (separable
    classes have no minimum without), Diverged for features that are not finite, Interrupted when `stopping()`.
    """
    problem = _Problem(features, labels, classes)
    theta = problem.parameters(start)
    return problem.classifier(*_minimise(problem, theta, l2, tolerance, max_iterations, stopping))


def sweep_l2(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    classes: int,
    metric: Callable[[Tensor, Tensor], float],
    values: tuple[float, ...] = L2_GRID,
    tolerance: float = 1e-5,
    max_iterations: int = 1000,
    stopping: Callable[[], bool] = lambda: False,
) -> Sweep:
    """Choose l2 on validation data, then train on both parts (App. B.8); pairs are (features, labels).

    Each fit starts from that of the next larger l2. The largest `metric(logits, labels)` wins, the larger l2 of
    equal ones. Features, labels, `tolerance`, errors and the rest as in `fit_logistic`.
    """
    problem, scores = _Problem(*train, classes), {}
    theta, best = problem.parameters(None), None
    for l2 in sorted(values, reverse=True):
        theta, norm = _minimise(problem, theta, l2, tolerance, max_iterations, stopping)
        found = problem.classifier(theta, norm)
        scores[l2] = metric(found.logits(validation[0]), validation[1])
        if best is None or scores[l2] > scores[best[0]]:
            best = l2, found
    if best is None:
        raise ValueError("a sweep needs at least one l2")
    l2, found = best
    both = torch.cat([train[0], validation[0]]), torch.cat([train[1], validation[1]])
    return Sweep(fit_logistic(*both, classes, l2, found, tolerance, max_iterations, stopping), l2, scores)


class _Problem:
    """The objective in coordinates in which the search is short: centred features, turned to their principal axes.

    Neither changes the minimum: a shift goes into the bias, which is not penalised, and turning W keeps |W|. Axes
    without variance are dropped, for there nothing but the penalty acts on W, which is zero. Parameters are theta,
    float64 (C, r + 1): W on the r axes, then the bias. Products with features are in the dtype of the features,
    sums over rows and all else in float64.
    """

    def __init__(self, features: Tensor, labels: Tensor, classes: int) -> None:
        self.classes, self.labels = classes, labels
        self.rows = max(1, _ELEMENTS // max(features.shape[1], classes))
        blocks = features.split(self.rows)
        self.mean = torch.stack([block.double().sum(0) for block in blocks]).sum(0) / len(features)
        covariance = torch.zeros(len(self.mean), len(self.mean), dtype=torch.float64, device=features.device)
        for block in blocks:
            centred = block.double() - self.mean
            covariance.addmm_(centred.T, centred, alpha=1 / len(features))
        if not covariance.isfinite().all():
            raise Diverged("features to classify are not finite")
        variances, axes = torch.linalg.eigh(covariance)
        varies = variances > 1e-14 * variances.sum()
        self.variances, self.axes = variances[varies], axes[:, varies]  # (r,), (d, r)
        self.inputs = torch.cat([((block.double() - self.mean) @ self.axes).to(features.dtype) for block in blocks])
        self.length = float(self.variances.sum().sqrt()) or 1.0
        several = labels.dim() == 2
        self.counts = (
            (labels >= 0).sum(0).clamp(min=1) if several else labels.new_full((classes,), len(labels))
        ).double()

    def parameters(self, start: Linear | None) -> Tensor:
        """Theta of a classifier of the features as they were given; zeros for none."""
        if start is None:
            return self.mean.new_zeros(self.classes, len(self.variances) + 1)
        weight = start.weight.double()
        return torch.cat([weight @ self.axes, (start.bias.double() + weight @ self.mean)[:, None]], dim=1)

    def classifier(self, theta: Tensor, gradient_norm: float) -> Linear:
        """The classifier, of the features as they were given, whose parameters are `theta`."""
        weight = theta[:, :-1] @ self.axes.T
        bias = theta[:, -1] - weight @ self.mean
        return Linear(weight.to(self.inputs.dtype), bias.to(self.inputs.dtype), gradient_norm)

    def evaluate(self, theta: Tensor, l2: float) -> "_Point":
        """The objective and its derivatives at `theta`."""
        weight, bias = theta[:, :-1], theta[:, -1]
        loss, size, curvature = theta.new_zeros(3, self.classes)
        gradient = torch.zeros_like(theta)
        cast = weight.T.to(self.inputs.dtype)
        for inputs, labels in zip(self.inputs.split(self.rows), self.labels.split(self.rows), strict=True):
            losses, residual = _cross_entropy((inputs @ cast).double() + bias, labels)  # (rows, C) each
            loss += losses.sum(0)
            size += residual.abs().sum(0)
            curvature += (residual.abs() * (1 - residual.abs())).sum(0)  # p (1 - p): the residual is p or p - 1
            gradient[:, :-1] += (residual.to(inputs.dtype).T @ inputs).double()
            gradient[:, -1] += residual.sum(0)
        gradient /= self.counts[:, None]
        gradient[:, :-1] += l2 * weight
        value = (loss / self.counts).sum() + l2 / 2 * weight.square().sum()
        norm = torch.hypot(gradient[:, :-1].norm() / self.length, gradient[:, -1].norm())
        unit = (size / self.counts).norm().clamp(min=1e-12)  # residuals of a single class come down to nothing
        numbers = torch.stack([value, norm / unit]).tolist()  # a GPU is waited for once
        return _Point(theta, numbers[0], gradient, numbers[1], curvature / self.counts)

    def stiffness(self, curvature: Tensor, l2: float) -> Tensor:
        """The diagonal of the Hessian if p (1 - p) did not depend on the row: positive, (C, r + 1)."""
        curvature = curvature.clamp(min=1e-8)[:, None]
        return torch.cat([curvature * self.variances + l2, curvature], dim=1)


@dataclass(frozen=True)
class _Point:
    """The objective, its gradient (C, r + 1) and that one's norm, and the mean of p (1 - p) per class (C,) at theta."""

    theta: Tensor
    value: float
    gradient: Tensor
    norm: float
    curvature: Tensor


def _cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and their derivatives by the logits, (B, C) each; rows of -1 have neither."""
    if labels.dim() == 1:
        target = F.one_hot(labels, logits.shape[1])
        log_share = logits.log_softmax(1)
        return -target * log_share, log_share.exp() - target
    known, target = labels >= 0, (labels == 1).double()
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses * known, (logits.sigmoid() - target) * known


@torch.no_grad()
def _minimise(
    problem: _Problem, theta: Tensor, l2: float, tolerance: float, max_iterations: int, stopping: Callable[[], bool]
) -> tuple[Tensor, float]:
    """L-BFGS (Nocedal and Wright 2006, algorithm 7.5) from `theta`: the last theta and its gradient norm.

    The first guess of the inverse Hessian is the diagonal of `stiffness` at the start.
    """
    if l2 <= 0:
        raise ValueError(f"l2 = {l2:g} is not positive")

    def evaluate(theta: Tensor) -> _Point:
        if stopping():
            raise Interrupted
        return problem.evaluate(theta, l2)

    point = evaluate(theta)
    stiffness = problem.stiffness(point.curvature, l2)
    pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=_MEMORY)
    for _ in range(max_iterations):
        if point.norm <= tolerance:
            break
        following = _search(evaluate, point, -_inverse_hessian(point.gradient, pairs, stiffness))
        if following is None:  # rounding hides any further descent
            break
        pairs.append((following.theta - point.theta, following.gradient - point.gradient))
        point = following
    return point.theta, point.norm


def _inverse_hessian(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor]], stiffness: Tensor) -> Tensor:
    """The two-loop recursion: L-BFGS's inverse Hessian times `gradient`; `pairs` are steps and their changes."""
    direction, shares = gradient.clone(), []
    for step, change in reversed(pairs):
        shares.append((step * direction).sum() / (step * change).sum())
        direction -= shares[-1] * change
    direction /= stiffness
    if pairs:
        step, change = pairs[-1]
        direction *= (step * change).sum() / (change.square() / stiffness).sum()
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - (change * direction).sum() / (step * change).sum()) * step
    return direction


def _search(evaluate: Callable[[Tensor], _Point], point: _Point, direction: Tensor) -> _Point | None:
    """A point along `direction` that satisfies the weak Wolfe conditions, by bisection; None if there is none.

    Close to the minimum rounding hides the descent of the objective, not the slope: values that agree to 1e-6 are
    judged by it (the approximate Wolfe conditions of Hager and Zhang 2005, Eq. 4.1, with delta = 0.1).
    """
    slope = float((point.gradient * direction).sum())
    low, high, length = 0.0, math.inf, 1.0
    for _ in range(30):
        tried = evaluate(point.theta + length * direction)
        arrived = float((tried.gradient * direction).sum())
        descends = tried.value <= point.value + 1e-4 * length * slope
        if not (descends or (tried.value <= (1 + 1e-6) * point.value and arrived <= -0.8 * slope)):
            high = length
        elif arrived < 0.9 * slope:
            low = length
        else:
            return tried
        length = (low + high) / 2 if high < math.inf else 2 * low
    return None
