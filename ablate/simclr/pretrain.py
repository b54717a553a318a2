"""Contrastive pretraining (Algorithm 1): augment, encode, project, NT-Xent, step."""

import math
from collections.abc import Iterator
from time import perf_counter

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

_IMAGES_AT_ONCE = 512


def pretrain(config: Config, train: Split, context: Context) -> tuple[ResNet, dict[str, float]]:
    """Train the encoder on `train`; returns it with the last epoch's metrics.

    Logs one row an epoch: loss, contrastive accuracy, learning rate, pairs per second. Raises Interrupted
    when the context stops it, Diverged when the loss is no longer a number.
    """
    encoder, head = make_model(config, context.device)
    optimizer = make_optimizer(config.optimizer, (encoder, head))
    steps_per_epoch = len(train.images) // config.batch_size
    steps, peak = config.epochs * steps_per_epoch, peak_learning_rate(config.optimizer, config.batch_size)
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if config.epochs == 0:
        set_batch_norm_statistics(encoder, [as_input(images) for images in train.images.split(config.batch_size)])
    metrics: dict[str, float] = {}
    sums, began = torch.zeros(2, device=context.device), perf_counter()
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
        sums += torch.stack([loss.detach(), accuracy])
        context.progress(step + 1, steps)
        if (step + 1) % steps_per_epoch == 0:
            mean_loss, mean_accuracy = (sums / steps_per_epoch).tolist()
            metrics = {"loss": mean_loss, "contrastive_accuracy": 100 * mean_accuracy}
            speed = steps_per_epoch * config.batch_size / (perf_counter() - began)
            epoch = (step + 1) // steps_per_epoch
            context.log(
                {"phase": "pretrain", "epoch": epoch, **metrics, "learning_rate": rate, "pairs_per_second": speed}
            )
            if not math.isfinite(mean_loss):
                raise Diverged(
                    f"the loss became {mean_loss} in epoch {epoch}; a lower optimizer.learning_rate may help"
                )
            sums, began = torch.zeros_like(sums), perf_counter()
    return encoder, metrics


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
    together = max(1, _IMAGES_AT_ONCE // config.batch_size)
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
    encoder.train(), head.train()
    bfloat16 = computes_bfloat16(config.precision, views.device)
    with torch.autocast(views.device.type, torch.bfloat16, enabled=bfloat16):
        z = head(encoder(views)).float()  # (2N, d)
    first, second = z.chunk(2)
    return first, second
