"""One step's loss and gradient: contrastive (Algorithm 1) or supervised, for batches of any size.

A batch that does not fit is encoded in parts of `micro_batch` images by gradient caching (Gao et al. 2021):
z of all parts without gradient; the loss of the whole batch, and its gradient for z; then each part again,
with that gradient. The loss and its gradient are exact. What differs from one pass: batch norm's statistics
are those of each part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr.config import Config
from ablate.simclr.distributed import ALONE, World
from ablate.simclr.encoder import dropout_of_step
from ablate.simclr.loss import contrastive_loss
from ablate.simclr.model import Model, Outputs

Measures = dict[str, Tensor]
"""What a step tells, scalars on the device: means over this rank's images, shares in percent."""


def contrastive_step(
    config: Config, model: Model, views: Tensor, labels: Tensor, world: World = ALONE, step: int = 0
) -> Measures:
    """Add the gradient of the contrastive loss to the model's, for views (2n, 3, S, S), first ones first.

    labels (n,) are for the online probe alone, whose gradient does not reach the encoder.
    """
    halves = [_split(half, config) for half in views.chunk(2)]
    parts = [views] if len(halves[0]) == 1 else [torch.cat(pair) for pair in zip(*halves, strict=True)]
    labels_of = [torch.cat([part, part]) for part in _split(labels, config)]
    seeds = [(config.seed, step, world.rank, number) for number in range(len(parts))]
    if len(parts) == 1:
        outputs = _forward(model, views, seeds[0])
        z_first, z_second = outputs.z.chunk(2)
        contrast = contrastive_loss(z_first, z_second, config.loss, world)
        probe_loss, probed = _probe(config, model, outputs, labels_of[0])
        (config.loss.scale * contrast.loss + probe_loss).backward()
    else:
        with torch.no_grad(), statistics_kept(model):
            pairs = [_forward(model, part, seed).z.chunk(2) for part, seed in zip(parts, seeds, strict=True)]
        z_first, z_second = (torch.cat(half).requires_grad_() for half in zip(*pairs, strict=True))
        contrast = contrastive_loss(z_first, z_second, config.loss, world)
        gradients = torch.autograd.grad(config.loss.scale * contrast.loss, [z_first, z_second])
        probed = {}
        caches = zip(*(_split(gradient, config) for gradient in gradients), strict=True)
        for part, of_part, seed, cache in zip(parts, labels_of, seeds, caches, strict=True):
            outputs = _forward(model, part, seed)
            probe_loss, seen = _probe(config, model, outputs, of_part)
            share = len(part) / len(views)
            outputs_of = [outputs.z, share * probe_loss] if config.online_probe else [outputs.z]
            torch.autograd.backward(outputs_of, [torch.cat(cache), None][: len(outputs_of)])
            probed = {name: probed.get(name, 0) + share * value for name, value in seen.items()}
    return {
        "loss": contrast.loss.detach(),
        "contrastive_accuracy": 100 * contrast.accuracy,
        "contrastive_entropy": contrast.entropy,
        **probed,
    }


def supervised_step(
    config: Config, model: Model, views: Tensor, labels: Tensor, world: World = ALONE, step: int = 0
) -> Measures:
    """Add the gradient of the cross entropy to the model's, for one view of each image, (n, 3, S, S)."""
    loss, top1 = views.new_zeros(()), views.new_zeros(())
    for number, (part, of_part) in enumerate(zip(_split(views, config), _split(labels, config), strict=True)):
        logits = _forward(model, part, (config.seed, step, world.rank, number)).z
        part_loss = F.cross_entropy(logits, of_part) * (len(part) / len(views))
        part_loss.backward()
        loss += part_loss.detach()
        top1 += (logits.argmax(1) == of_part).sum() * (100 / len(views))
    return {"loss": loss, "train_top1": top1}


def _split(values: Tensor, config: Config) -> list[Tensor]:
    return list(values.split(config.micro_batch or len(values)))


def _forward(model: Model, images: Tensor, seed: tuple[int, ...]) -> Outputs:
    with dropout_of_step(model.encoder, images.device, seed):
        outputs: Outputs = model(images)
    return outputs


def _probe(config: Config, model: Model, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Measures]:
    """The online probe's loss on h without gradient into the encoder, and its top-1 on these views."""
    if not config.online_probe:
        return outputs.h.new_zeros(()), {}
    logits = model.probe(outputs.h.detach())
    top1 = (logits.argmax(1) == labels).to(logits.dtype).mean()
    return F.cross_entropy(logits, labels), {"online_top1": 100 * top1}


@contextmanager
def statistics_kept(model: torch.nn.Module) -> Iterator[None]:
    """Batch norms normalise as before, but their running statistics stay as they are."""
    norms: list[Any] = [module for module in model.modules() if hasattr(module, "track_running_stats")]
    before = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = norm.track_running_stats and not norm.training
    try:
        yield
    finally:
        for norm, tracks in zip(norms, before, strict=True):
            norm.track_running_stats = tracks
