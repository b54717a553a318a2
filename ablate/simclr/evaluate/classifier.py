"""Training a classifier on an encoder, frozen or not: linear evaluation, fine-tuning, transfer (App. B.5 to B.8)."""

import hashlib
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.simclr.batches import Batch, Stream
from ablate.simclr.checkpoint import Checkpoints, finite
from ablate.simclr.config import Augment, Config
from ablate.simclr.context import Context, Diverged, Interrupted
from ablate.simclr.data.images import Images
from ablate.simclr.device import to_device
from ablate.simclr.distributed import ALONE, World
from ablate.simclr.encoder import dropout_of_step
from ablate.simclr.model import zero_linear
from ablate.simclr.precision import autocast, model_dtype
from ablate.simclr.randomness import Purpose
from ablate.simclr.schedule import learning_rate

_ROUND = 8
"""Steps after which several ranks agree on whether to stop."""


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
    is kept with the pretraining's checkpoints. Raises Interrupted, the state saved, when the context stops it;
    Diverged when the weights are no longer numbers.
    """
    trained = nn.ModuleList([encoder, classifier]) if recipe.whole else nn.ModuleList([classifier])
    optimizer = torch.optim.SGD(
        trained.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    stream = _stream(config, recipe, images)
    store = _store(config, recipe, context)
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
        h = _encode(config, recipe, encoder, batch).to(classifier.weight.dtype)
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(classifier(h), labels[to_device(batch.rows, labels.device)], world).backward()
        world.mean_gradients(trained.parameters())
        optimizer.step()
        stop = (world.size == 1 or batch.step % _ROUND == 0) and world.agree(context.stopping(), context.device)
        due = time.monotonic() - saved >= 60 * config.checkpoint_minutes
        if store and world.first and (stop or due) and finite(trained):
            state = {"done": batch.step + 1, "model": trained.state_dict(), "optimizer": optimizer.state_dict()}
            store.save(state, batch.step + 1)
            saved = time.monotonic()
        if stop:
            world.tell(None)  # the others stay until it is saved
            raise Interrupted
    if store and world.first:
        store.clear()
    if not finite(trained):
        told = f"{recipe.part}: the weights are no longer numbers after {recipe.steps} steps"
        raise Diverged(f"{told}, learning rate {recipe.learning_rate:.4g}")


def _encode(config: Config, recipe: Recipe, encoder: nn.Module, batch: Batch) -> Tensor:
    views = batch.views.contiguous(memory_format=torch.channels_last)
    with (
        torch.set_grad_enabled(recipe.whole),
        dropout_of_step(encoder, views.device, (config.seed, batch.step)),
        autocast(config.precision, views.device),
    ):
        h: Tensor = encoder(views)
    return h


def _stream(config: Config, recipe: Recipe, images: Images) -> Stream:
    return Stream(
        images=images,
        augment=Augment(transforms=("crop",), crop=config.evaluate.crop),
        size=config.data.image_size,
        batch_size=recipe.batch_size,
        steps=recipe.steps,
        seed=config.seed,
        purpose=recipe.purpose,
        views=1,
        dtype=model_dtype(config.precision),
    )


def _store(config: Config, recipe: Recipe, context: Context) -> Checkpoints | None:
    """A folder for this evaluation beside the pretraining's checkpoints, which other evaluations share."""
    if context.checkpoints is None:
        return None
    owner = hashlib.sha256(f"{config.evaluate.model_dump_json()}{recipe}".encode()).hexdigest()
    return Checkpoints(context.checkpoints / f"{recipe.part}-{owner[:16]}", owner, context.say)


def cross_entropy(logits: Tensor, labels: Tensor, world: World = ALONE) -> Tensor:
    """The mean cross entropy; with labels (N, classes) the mean binary one over those of all ranks that are not -1."""
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels)
    known = (labels >= 0).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), weight=known, reduction="sum")
    return losses * (world.size / world.sum(known.sum()).clamp(min=1))


def fitting_batch(wanted: int, images: int, ranks: int) -> int:
    """The batch size asked for, or the largest that so few images give on so many ranks.

    Raises ValueError when there are fewer images than ranks.
    """
    if images < ranks:
        raise ValueError(f"{images} labelled images are fewer than the {ranks} ranks")
    return min(wanted, images) // ranks * ranks


def steps_of(epochs: int, images: int, batch_size: int) -> int:
    """Steps of so many epochs, at least one."""
    return max(1, epochs * images // batch_size)


def zero_classifier(inputs: int, classes: int, like: Tensor) -> nn.Linear:
    """A linear layer that starts at zero, on the device and in the format of `like`."""
    return zero_linear(inputs, classes).to(like.device, like.dtype)
