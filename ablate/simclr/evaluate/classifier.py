"""Training a classifier on an encoder, frozen or not: linear evaluation, fine-tuning, transfer (App. B.5 to B.8)."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.simclr.augment import Augment
from ablate.simclr.base.checkpoint import Checkpoints, finite
from ablate.simclr.base.device import autocast, to_device
from ablate.simclr.base.randomness import Purpose, generator
from ablate.simclr.config import RECIPE_VERSION, Config, Finetune, Linear
from ablate.simclr.data.batches import Batch, Stream, stream_of
from ablate.simclr.data.images import Images
from ablate.simclr.model import zero_linear
from ablate.simclr.model.encoder import dropout_of_step
from ablate.simclr.model.optimizer import LARS, learning_rate
from ablate.trainer.contract import Context, Diverged, Interrupted
from ablate.trainer.world import ALONE, World

_ROUND = 8
"""Several ranks agree every this many steps on whether to stop."""


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum 0.9, or LARS; cosine decay without warm-up; cropped and flipped images."""

    part: str
    """Part of the evaluation."""
    purpose: Purpose
    steps: int
    batch_size: int
    learning_rate: float
    """The initial, highest rate."""
    weight_decay: float = 0.0
    whole: bool = False
    """Train the encoder too, normalising by each batch's statistics."""
    optimizer: Literal["sgd", "lars"] = field(default="sgd", repr=False)


def recipe_by_epochs(
    part: str, purpose: Purpose, settings: Linear | Finetune, images: int, world: World, **others: Any
) -> Recipe:
    """A recipe of some epochs over the images, with a rate in proportion to the batch size."""
    size = fitting_batch(settings.batch_size, images, world.size)
    steps = max(1, settings.epochs * images // size)
    return Recipe(part, purpose, steps, size, settings.learning_rate * size / 256, **others)


def train_classifier(
    config: Config,
    recipe: Recipe,
    encoder: nn.Module,
    classifier: nn.Linear,
    images: Images,
    labels: Tensor,
    context: Context,
) -> None:
    """Train `classifier`, and `encoder` if the recipe says so, in place.

    labels (N,) are class indices; (N, classes) are 1, 0 or -1 (ignored) for each class. The state is saved with the
    pretraining's checkpoints. Raises Interrupted, after saving it, if the context stops; Diverged if the weights are
    not finite.
    """
    trained = nn.ModuleList([encoder, classifier] if recipe.whole else [classifier])
    optimizer = _optimizer(recipe, trained)
    stream, store = _stream(config, recipe, images), _store(config, recipe, context)
    start = _resume(store, trained, optimizer)
    encoder.train(recipe.whole)
    world, saved = context.world, time.monotonic()
    for batch in stream.batches(start, world, context.device):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(batch.step, recipe.steps, 0, recipe.learning_rate)
        h = _encode(config, recipe, encoder, batch, world).to(classifier.weight.dtype)
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(classifier(h), labels[to_device(batch.rows, labels.device)], world).backward()
        world.mean_gradients(trained.parameters())
        optimizer.step()
        stop = (world.size == 1 or batch.step % _ROUND == 0) and world.agree(context.stopping(), context.device)
        due = time.monotonic() - saved >= 60 * config.checkpoint_minutes
        if store.writes and (stop or due) and finite(trained):
            state = {"done": batch.step + 1, "model": trained.state_dict(), "optimizer": optimizer.state_dict()}
            store.save(state, batch.step + 1)
            saved = time.monotonic()
        if stop:
            world.tell(None)  # the other ranks wait until the state is saved
            raise Interrupted
    if store.writes:
        store.clear()
    if not finite(trained):
        message = f"{recipe.part}: the weights are not finite after {recipe.steps} steps"
        raise Diverged(f"{message}, learning rate {recipe.learning_rate:.4g}")


def _optimizer(recipe: Recipe, trained: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimizer == "lars":
        return LARS(trained.parameters(), lr=0.0, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(_groups(trained, recipe.weight_decay), lr=0.0, momentum=0.9, nesterov=True)


def _groups(trained: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters with and without decay: none on batch norm, as in the authors' code; there is on biases."""
    norms = {id(each) for part in trained.modules() if hasattr(part, "running_mean") for each in part.parameters()}
    decayed = [each for each in trained.parameters() if id(each) not in norms]
    others = [each for each in trained.parameters() if id(each) in norms]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _resume(store: Checkpoints, trained: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load the newest state, if there is one; returns the steps done."""
    if (state := store.newest()) is None:
        return 0
    trained.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["done"])


def _encode(config: Config, recipe: Recipe, encoder: nn.Module, batch: Batch, world: World) -> Tensor:
    random = generator(config.seed, recipe.purpose, batch.step, part=2 + world.rank)
    views = batch.views.contiguous(memory_format=torch.channels_last)
    with (
        torch.set_grad_enabled(recipe.whole),
        dropout_of_step(encoder, views.device, random),
        autocast(config.precision, views.device),
    ):
        h: Tensor = encoder(views)
    return h


def _stream(config: Config, recipe: Recipe, images: Images) -> Stream:
    augment = Augment.model_validate({"transforms": ("crop",), "crop": config.evaluate.crop})
    cropped = config.model_copy(update={"augment": augment})
    return stream_of(cropped, images, recipe.batch_size, recipe.steps, recipe.purpose, views=1)


def _store(config: Config, recipe: Recipe, context: Context) -> Checkpoints:
    """Return the checkpoints of this evaluation, in a subfolder of the pretraining's."""
    sgd = {"linear": {"optimizer"}} if recipe.optimizer == "sgd" else None  # its state keeps the name from before LARS
    settings = config.evaluate.model_dump_json(exclude=sgd)
    owner = hashlib.sha256(f"{RECIPE_VERSION}{settings}{recipe}".encode()).hexdigest()
    folder = context.checkpoints and context.checkpoints / f"{recipe.part}-{owner[:16]}"
    return Checkpoints(folder, owner, context.say, context.world, set_aside=True)


def cross_entropy(logits: Tensor, labels: Tensor, world: World = ALONE) -> Tensor:
    """Mean cross entropy; for labels (N, classes) the mean binary one over all ranks' labels that are not -1."""
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels)
    known = (labels >= 0).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), weight=known, reduction="sum")
    return losses * (world.size / world.sum(known.sum()).clamp(min=1))


def fitting_batch(wanted: int, images: int, ranks: int) -> int:
    """Return the wanted batch size, or the largest multiple of the ranks that the images allow.

    Raises ValueError if there are fewer images than ranks.
    """
    if images < ranks:
        raise ValueError(f"{images} labelled images are fewer than the {ranks} ranks")
    return min(wanted, images) // ranks * ranks


def zero_classifier(inputs: int, classes: int, like: Tensor) -> nn.Linear:
    """Make a linear layer that starts at zero, with the device and dtype of `like`."""
    return zero_linear(inputs, classes).to(like.device, like.dtype)
