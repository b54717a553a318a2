"""Contrastive pretraining (Algorithm 1): augment, encode, project, NT-Xent, step."""

import math
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.simclr.augment.views import apply_views, draw_views, join_steps
from ablate.simclr.config import Config
from ablate.simclr.context import Context, Diverged, Interrupted
from ablate.simclr.data.images import Split
from ablate.simclr.encoder import ResNet, set_batch_norm_statistics
from ablate.simclr.head import projection_head
from ablate.simclr.loss import nt_xent
from ablate.simclr.optimizer import make_optimizer
from ablate.simclr.precision import computes_bfloat16
from ablate.simclr.randomness import generator
from ablate.simclr.schedule import learning_rate, peak_learning_rate

IMAGES_AT_ONCE = 512
"""The views of as many steps are made at once as take this many images."""


def pretrain(config: Config, train: Split, context: Context) -> tuple[ResNet, dict[str, float]]:
    """Train the encoder on `train`; returns it with the last epoch's metrics.

    Logs one row an epoch: loss, contrastive accuracy, learning rate, pairs per second. Raises Interrupted
    when the context stops it, Diverged when the loss is no longer a number.
    """
    encoder, head = make_model(config, context.device)
    optimizer = make_optimizer(config.optimizer, (encoder, head))
    steps_per_epoch = len(train.images) // config.batch_size
    if config.epochs and not steps_per_epoch:
        raise ValueError(f"batch_size = {config.batch_size} is more than the {len(train.images)} training images")
    steps, peak = config.epochs * steps_per_epoch, peak_learning_rate(config.optimizer, config.batch_size)
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if config.epochs == 0:
        parts = max(1, len(train.images) // max(config.batch_size, 3))  # nearly equal, and none a single image
        set_batch_norm_statistics(encoder, map(as_input, train.images.tensor_split(parts)))
    epoch = _Epoch(1, context.device)
    metrics: dict[str, Any] = {}
    for step, views in enumerate(batches(config, train.images)):
        if context.stopping():
            raise Interrupted
        rate = learning_rate(step, steps, warmup_steps, peak)
        for group in optimizer.param_groups:
            group["lr"] = rate
        first, second = project(config, encoder, head, as_input(views))
        loss, accuracy = nt_xent(first, second, config.loss.temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        epoch.add(loss.detach(), accuracy, config.batch_size)
        context.progress(step + 1, steps, partial(epoch.metrics, rate))
        if (step + 1) % steps_per_epoch == 0:
            metrics = epoch.metrics(rate)
            context.log(metrics)
            if not math.isfinite(metrics["loss"]):
                told = f"the loss became {metrics['loss']} in epoch {epoch.number}"
                raise Diverged(f"{told}; a lower optimizer.learning_rate may help")
            epoch = _Epoch(epoch.number + 1, context.device)
    return encoder, {name: metrics[name] for name in ("loss", "contrastive_accuracy") if name in metrics}


class _Epoch:
    """Means over the steps of one epoch so far, summed on the device until somebody asks."""

    def __init__(self, number: int, device: torch.device) -> None:
        self.number = number
        self._sums = torch.zeros(2, device=device)
        self._steps = self._pairs = 0
        self._began = perf_counter()

    def add(self, loss: Tensor, accuracy: Tensor, pairs: int) -> None:
        """Add one step."""
        self._sums += torch.stack([loss, accuracy])
        self._steps += 1
        self._pairs += pairs

    def metrics(self, rate: float) -> dict[str, Any]:
        """One row of metrics; `rate` is the learning rate of the last step."""
        loss, accuracy = (self._sums / self._steps).tolist()
        return {
            "phase": "pretrain",
            "epoch": self.number,
            "loss": loss,
            "contrastive_accuracy": 100 * accuracy,
            "learning_rate": rate,
            "pairs_per_second": self._pairs / (perf_counter() - self._began),
        }


def make_model(config: Config, device: torch.device) -> tuple[ResNet, torch.nn.Module]:
    """The encoder and the projection head with the initial weights of the config's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = ResNet(config.encoder)
        head = projection_head(config.head, encoder.dimension)
    return encoder.to(device).to(memory_format=torch.channels_last), head.to(device)  # type: ignore[call-overload]


def batches(config: Config, images: Tensor) -> Iterator[Tensor]:
    """The two views of every step's images: float32 (2N, 3, H, W) in [0, 1], first views first.

    Each epoch has an order of its own, and what does not fill a batch is left out. The views of a few small
    steps are made at once, which changes nothing but the time they take.
    """
    steps = _orders(config, len(images))
    together = max(1, IMAGES_AT_ONCE // config.batch_size)
    for first in range(0, len(steps), together):
        block = steps[first : first + together]  # (steps, N)
        operations = join_steps(
            [
                draw_views(config.augment, config.batch_size, images.shape[-1], config.seed, first + step)
                for step in range(len(block))
            ]
        )
        chosen = images[torch.from_numpy(block.reshape(-1)).to(images.device)]
        yield from apply_views(operations, chosen, config.augment, steps=len(block))


def _orders(config: Config, count: int) -> np.ndarray:
    """Which of `count` images each step takes: (epochs x steps, N)."""
    steps_per_epoch = count // config.batch_size
    orders = [generator(config.seed, "order", epoch).permutation(count) for epoch in range(config.epochs)]
    kept = [order[: steps_per_epoch * config.batch_size] for order in orders]
    return np.array(kept, np.int64).reshape(-1, config.batch_size)


def as_input(images: Tensor) -> Tensor:
    """Images as the encoder takes them: float32 in [0, 1], channels last in memory, no normalisation."""
    floats = images * (1 / 255) if images.dtype == torch.uint8 else images
    return floats.contiguous(memory_format=torch.channels_last)


def project(config: Config, encoder: ResNet, head: torch.nn.Module, views: Tensor) -> tuple[Tensor, Tensor]:
    """Z of the first and of the second views, float32 (N, d) each; both go through batch norm together."""
    encoder.train()
    head.train()
    bfloat16 = computes_bfloat16(config.precision, views.device)
    with torch.autocast(views.device.type, torch.bfloat16, enabled=bfloat16):
        z = head(encoder(views)).float()  # (2N, d)
    first, second = z.chunk(2)
    return first, second
