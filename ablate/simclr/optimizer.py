"""LARS as the authors' first release computes it, SGD and AdamW."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ablate.simclr import config


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017), in the order of google-research/simclr.

    For a weight w of two dimensions or more: g += weight_decay w; trust = eta |w| / |g|, or 1 where either
    norm is 0; v = momentum v + lr trust g; w -= v. Biases and batch norm's parameters, of one dimension,
    have no weight decay and a trust of 1.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        weight_decay: float,
        momentum: float = 0.9,
        eta: float = 0.001,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eta": eta})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for which in (True, False):
                self._update([weight for weight in weights if (weight.ndim > 1) == which], group, adapts=which)

    def _update(self, weights: list[Tensor], group: dict[str, Any], adapts: bool) -> None:
        """One step of some weights, in a few kernels for all of them."""
        if not weights:
            return
        steps = [weight.grad for weight in weights if weight.grad is not None]
        if adapts:
            steps = list(torch._foreach_add(steps, weights, alpha=group["weight_decay"]))
            weight_norms, gradient_norms = (torch.stack(torch._foreach_norm(each)) for each in (weights, steps))
            adapted = (weight_norms > 0) & (gradient_norms > 0)
            trust = torch.where(adapted, group["eta"] * weight_norms / gradient_norms, 1.0)
            torch._foreach_mul_(steps, (group["lr"] * trust).unbind())
        else:
            steps = list(torch._foreach_mul(steps, group["lr"]))
        velocities = [self._velocity(weight) for weight in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, steps)
        torch._foreach_sub_(weights, velocities)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity: Tensor = state["velocity"]
        return velocity


def make_optimizer(settings: config.Optimizer, modules: Iterable[nn.Module]) -> torch.optim.Optimizer:
    """The optimizer over all parameters of `modules` that learn; its rate is set at every step.

    Biases and batch norm's parameters, of one dimension, have no weight decay.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    if settings.name == "lars":
        return LARS(parameters, lr=0.0, weight_decay=settings.weight_decay, momentum=settings.momentum)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, nesterov=settings.momentum > 0)
    return torch.optim.AdamW(groups, lr=0.0, fused=True)
