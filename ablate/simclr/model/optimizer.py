"""The update: LARS as the authors' first release computes it, SGD and AdamW; and the learning rate of a step."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ablate.simclr.config import Optimizer


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017), in the order of google-research/simclr.

    For a weight w of two dimensions or more: g += weight_decay w; trust = eta |w| / |g|, or 1 if either norm is 0;
    v = momentum v + lr trust g; w -= v. Biases and batch norm's parameters, which have one dimension, get no weight
    decay and a trust of 1.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.9, eta: float = 0.001
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eta": eta})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            given = [weight for weight in group["params"] if weight.grad is not None]
            adapting = [weight for weight in given if weight.ndim > 1]
            others = [weight for weight in given if weight.ndim <= 1]
            if not given:
                continue
            steps = [*self._adapted(adapting, group), *self._scaled(others, group)]
            velocities = [self._velocity(weight) for weight in (*adapting, *others)]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, steps)
            torch._foreach_sub_([*adapting, *others], velocities)

    def _adapted(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """The steps lr trust g, all in a few kernels."""
        if not weights:
            return []
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        steps = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        norms = torch.stack(torch._foreach_norm([*weights, *steps])).view(2, -1)
        weight_norms, gradient_norms = norms
        trust = (group["eta"] * weight_norms / gradient_norms).masked_fill_((norms == 0).any(0), 1.0)
        torch._foreach_mul_(steps, (group["lr"] * trust).unbind())
        return steps

    def _scaled(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """The steps lr g."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        return list(torch._foreach_mul(gradients, group["lr"])) if gradients else []

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity: Tensor = state["velocity"]
        return velocity


def make_optimizer(settings: Optimizer, modules: Iterable[nn.Module]) -> torch.optim.Optimizer:
    """Make the optimizer of all trainable parameters; its learning rate is set at every step.

    Biases and batch norm's parameters, which have one dimension, get no weight decay.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    if settings.name == "lars":
        return LARS(parameters, lr=0.0, weight_decay=settings.weight_decay, momentum=settings.momentum)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        together = any(p.is_cuda for p in parameters) or None  # all weights in the same kernels
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, nesterov=nesterov, foreach=together)
    return torch.optim.AdamW(groups, lr=0.0, fused=True)


def peak_learning_rate(settings: Optimizer, batch_size: int) -> float:
    """Return the learning rate at the end of warm-up (App. B.1)."""
    factor = {"none": 1.0, "linear": batch_size / 256, "sqrt": math.sqrt(batch_size)}[settings.scaling]
    return settings.learning_rate * factor


def warmup_steps(epochs: float, images: int, batch_size: int) -> int:
    """Return the number of warm-up steps, rounded as in the authors' code."""
    return round(epochs * images // batch_size)


def learning_rate(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Return a step's rate: linear from 0 to `peak` at `warmup_steps`, then a cosine to 0 at `steps`."""
    if step < warmup_steps:
        return peak * step / warmup_steps
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
