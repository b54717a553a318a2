"""Contrastive pretraining (Algorithm 1): augment, encode, project, NT-Xent, step."""

import math
from collections.abc import Iterator
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from ablate.simclr.augment.views import apply_views, draw_views
from ablate.simclr.config import Config
from ablate.simclr.context import Context, Diverged, Interrupted
from ablate.simclr.data.images import Split
from ablate.simclr.encoder import ResNet, set_batch_norm_statistics
from ablate.simclr.head import projection_head
from ablate.simclr.loss import contrastive_accuracy, nt_xent
from ablate.simclr.optimizer import make_optimizer
from ablate.simclr.precision import computes_bfloat16
from ablate.simclr.randomness import generator
from ablate.simclr.schedule import learning_rate, peak_learning_rate


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
    for step, images in enumerate(batches(config, train.images)):
        if context.stopping():
            raise Interrupted
        rate = learning_rate(step, steps, warmup_steps, peak)
        for group in optimizer.param_groups:
            group["lr"] = rate
        views = as_input(make_views(config, images, step))
        first, second = project(config, encoder, head, views)
        loss = nt_xent(first, second, config.loss.temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        sums += torch.stack([loss.detach(), contrastive_accuracy(first, second)])
        context.progress(step + 1, steps)
        if (step + 1) % steps_per_epoch == 0:
            mean_loss, accuracy = (sums / steps_per_epoch).tolist()
            metrics = {"loss": mean_loss, "contrastive_accuracy": 100 * accuracy}
            speed = steps_per_epoch * config.batch_size / (perf_counter() - began)
            epoch = (step + 1) // steps_per_epoch
            context.log({"phase": "pretrain", "epoch": epoch, **metrics, "learning_rate": rate, "pairs_per_second": speed})
            if not math.isfinite(mean_loss):
                raise Diverged(f"the loss became {mean_loss} in epoch {epoch}; a lower optimizer.learning_rate may help")
            sums, began = torch.zeros_like(sums), perf_counter()
    return encoder, metrics


def make_model(config: Config, device: torch.device) -> tuple[ResNet, torch.nn.Module]:
    """The encoder and the projection head with the initial weights of the config's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = ResNet(config.encoder)
        head = projection_head(config.head, encoder.dimension)
    return encoder.to(device, memory_format=torch.channels_last), head.to(device)


def batches(config: Config, images: Tensor) -> Iterator[Tensor]:
    """The images of every step: each epoch in an order of its own, what does not fill a batch left out."""
    steps_per_epoch = len(images) // config.batch_size
    for epoch in range(config.epochs):
        order = generator(config.seed, "order", epoch).permutation(len(images))
        order = order[: steps_per_epoch * config.batch_size].reshape(steps_per_epoch, config.batch_size)
        for chosen in order:
            yield images[torch.from_numpy(np.ascontiguousarray(chosen)).to(images.device)]


def make_views(config: Config, images: Tensor, step: int) -> Tensor:
    """Both augmented views of uint8 images (N, 3, H, W): float32 (2N, 3, H, W) in [0, 1]."""
    operations = draw_views(config.augment, len(images), images.shape[-1], config.seed, step)
    return apply_views(operations, images, config.augment)


def as_input(images: Tensor) -> Tensor:
    """Images as the encoder takes them: float32 in [0, 1], channels last in memory, no normalisation."""
    floats = images * (1 / 255) if images.dtype == torch.uint8 else images
    return floats.contiguous(memory_format=torch.channels_last)


def project(config: Config, encoder: ResNet, head: torch.nn.Module, views: Tensor) -> tuple[Tensor, Tensor]:
    """z of the first and of the second views, float32 (N, d) each; both go through batch norm together."""
    encoder.train(), head.train()
    bfloat16 = computes_bfloat16(config.precision, views.device)
    with torch.autocast(views.device.type, torch.bfloat16, enabled=bfloat16):
        z = head(encoder(views)).float()  # (2N, d)
    first, second = z.chunk(2)
    return first, second
