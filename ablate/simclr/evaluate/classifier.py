"""Training a classifier on an encoder, frozen or not: linear evaluation, fine-tuning, transfer (App. B.5 to B.8)."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.simclr.batches import Stream
from ablate.simclr.checkpoint import Checkpoints
from ablate.simclr.config import Augment, Config
from ablate.simclr.config.base import Settings
from ablate.simclr.context import Context, Interrupted
from ablate.simclr.data.images import Images
from ablate.simclr.device import to_device
from ablate.simclr.precision import autocast, model_dtype
from ablate.simclr.randomness import Purpose
from ablate.simclr.schedule import learning_rate


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum 0.9 and cosine decay, without warm-up, on cropped and flipped images."""

    part: str
    """The evaluation it belongs to."""
    purpose: Purpose
    steps: int
    batch_size: int
    learning_rate: float
    """The first and highest."""
    weight_decay: float = 0.0
    whole: bool = False
    """Train the encoder too, with batch norm's statistics of each batch."""


def train_classifier(
    config: Config,
    recipe: Recipe,
    encoder: nn.Module,
    classifier: nn.Linear,
    images: Images,
    labels: Tensor,
    context: Context,
) -> None:
    """Train `classifier`, and `encoder` where the recipe says so, in place.

    labels (N,) are class indices; (N, classes) are 1, 0 or -1, which is left out, each class for itself. Its state
    is kept with the pretraining's checkpoints. Raises Interrupted, the state saved, when the context stops it.
    """
    trained = nn.ModuleList([encoder, classifier]) if recipe.whole else nn.ModuleList([classifier])
    optimizer = torch.optim.SGD(
        trained.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    stream = _stream(config, recipe, images)
    store = _store(config.evaluate, recipe, context)
    world, start = context.world, 0
    if store and (state := world.tell(store.newest() if world.first else None)):
        start = state["done"]
        trained.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    encoder.train(recipe.whole)
    saved = time.monotonic()
    for batch in stream.batches(start, world, context.device):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(batch.step, recipe.steps, 0, recipe.learning_rate)
        h = _encode(config, recipe, encoder, batch.views)
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(classifier(h), labels[to_device(batch.rows, labels.device)]).backward()
        world.mean_gradients(trained.parameters())
        optimizer.step()
        stop = world.agree(context.stopping(), context.device)
        due = time.monotonic() - saved >= 60 * config.checkpoint_minutes
        if store and world.first and (stop or due):
            store.save(
                {"done": batch.step + 1, "model": trained.state_dict(), "optimizer": optimizer.state_dict()},
                batch.step + 1,
            )
            saved = time.monotonic()
        if stop:
            raise Interrupted


def _encode(config: Config, recipe: Recipe, encoder: nn.Module, views: Tensor) -> Tensor:
    with torch.set_grad_enabled(recipe.whole), autocast(config.precision, views.device):
        h: Tensor = encoder(views.contiguous(memory_format=torch.channels_last))
    return h if h.dtype == torch.float64 else h.float()


def _stream(config: Config, recipe: Recipe, images: Images) -> Stream:
    return Stream(
        images=images,
        augment=Augment(transforms=("crop",), crop=config.augment.crop),
        size=config.data.image_size,
        batch_size=recipe.batch_size,
        steps=recipe.steps,
        seed=config.seed,
        purpose=recipe.purpose,
        views=1,
        dtype=model_dtype(config.precision),
    )


def _store(settings: Settings, recipe: Recipe, context: Context) -> Checkpoints | None:
    """A folder for this evaluation beside the pretraining's checkpoints, which other evaluations share."""
    if context.checkpoints is None:
        return None
    digits = hashlib.sha256(f"{settings.model_dump_json()}{recipe}".encode()).hexdigest()[:16]
    folder: Path = context.checkpoints / f"{recipe.part}-{digits}"
    return Checkpoints(folder, context.say)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross entropy; with labels (N, classes) the mean binary one over those that are not -1."""
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels)
    losses = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), reduction="none")
    return losses[labels >= 0].mean()


def fitting_batch(wanted: int, images: int, ranks: int) -> int:
    """The batch size asked for, or the largest that so few images give."""
    return min(wanted, images) // ranks * ranks


def steps_of(epochs: int, images: int, batch_size: int) -> int:
    """Steps of so many epochs, at least one."""
    return max(1, epochs * images // batch_size)


def zero_classifier(inputs: int, classes: int, like: Tensor) -> nn.Linear:
    """A linear layer that starts at zero, on the device and in the format of `like`."""
    layer = nn.Linear(inputs, classes).to(like.device, like.dtype)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
