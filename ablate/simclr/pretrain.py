"""The pretraining: the loop, and one step's loss and gradient, contrastive (Algorithm 1) or supervised.

A batch that does not fit is encoded in parts of `micro_batch` images by gradient caching (Gao et al. 2021): z of all
parts without gradient; the loss of the whole batch, and its gradient for z; then each part again, with that gradient.
The loss and its gradient are exact; only batch norm's statistics differ, being those of each part.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.base.device import model_dtype, number_format, to_device
from ablate.simclr.base.randomness import generator
from ablate.simclr.config import RECIPE_VERSION, Config, fusion
from ablate.simclr.data.batches import plain
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.data.images import Images
from ablate.simclr.fusion import fuse, no_effect, release, why_alone
from ablate.simclr.graph import Measures, Step, as_graph
from ablate.simclr.group import Group
from ablate.simclr.loss import LOSSES, temperature_of
from ablate.simclr.loss.pairs import make_pairs, match
from ablate.simclr.model import Model, Outputs, make_model
from ablate.simclr.model.compiled import compiled
from ablate.simclr.model.encoder import dropout_of_step, make_batch_norm_global, set_batch_norm_statistics
from ablate.simclr.training import Run, start
from ablate.trainer.contract import Companion, Console, Context, Interrupted
from ablate.trainer.world import ALONE, World

Metrics = dict[str, float | str]
_STATISTICS_IMAGES = 256
"""Images per batch when the statistics of an untrained encoder are set."""


def pretrain(config: Config, data: Dataset, context: Context) -> tuple[Model, Metrics]:
    """Train the model on `data.train`; return it with the last epoch's metrics.

    Resumes from the newest checkpoint in the context's folder; a final checkpoint is only read. Logs one row per
    epoch. Raises Interrupted, after saving the state, if the context stops it; Diverged if the loss is not finite.
    """
    world, ours = context.world, not isinstance(context, Console)  # a Console's folder is the user's
    store = Checkpoints(context.checkpoints, owner(config), context.say, world, set_aside=ours)
    with store.alone(context.stopping) as alone:
        if not alone:
            raise Interrupted
        model = make_model(config, data.classes, context.device)
        if final := store.final():
            model.load_state_dict(final["model"])
            make_batch_norm_global(model, world)
            context.say("the pretraining is done already; its final checkpoint is read")
            for row in final.get("rows", ()):
                context.log(row)
            release(config, context)
            return model, final["metrics"]
        if config.epochs == 0:
            _set_statistics(config, model, data.train.images, context)
            metrics: Metrics = {"precision": number_format(config.precision, context.device)}
            if store.writes:
                store.finish({"model": model.state_dict(), "metrics": metrics})
        make_batch_norm_global(model, world)
        if config.epochs:
            run = start(config, data.train.images, context, model, store)
            gradient = contrastive_step if config.method == "simclr" else supervised_step
            fuse(Group(run, data, gradient), _offered(config, context))
            with _prepared(config, model, run, context, gradient) as graph:
                for batch in run.stream.batches(run.done, world, context.device):
                    run.set_learning_rates(batch.step)
                    labels = data.train.labels[to_device(batch.rows, data.train.labels.device)]
                    if graph:
                        measures = graph(batch.views, labels, batch.step)
                    else:
                        model.zero_grad(set_to_none=True)
                        measures = gradient(config, model, batch.views, labels, world, batch.step)
                        run.update(batch.step, measures)
                    run.end_step(batch.step, measures)
                    del batch  # its views are not kept while the next are made
                    run.save_if_due()
            metrics = run.finish()
    return model, metrics


def _offered(config: Config, context: Context) -> list[tuple[Companion, Checkpoints]]:
    """The trials that may be trained with this one as one network, and their checkpoints."""
    if config.fuse_trials > 1 and (reason := why_alone(config, context)):
        context.say(f"{no_effect(config)}: {reason}")
    elif common := fusion(config):
        same = [each for each in context.companions if fusion(each.config) == common][: config.fuse_trials - 1]
        return [
            (each, Checkpoints(each.checkpoints, owner(each.config), each.sayer(context), set_aside=True))
            for each in same
        ]
    return []


@contextmanager
def _prepared(
    config: Config, model: Model, run: Run, context: Context, gradient: Callable[..., Measures]
) -> Iterator[Step | None]:
    """Within, the network is compiled if the settings say so; the whole step as a CUDA graph, or None without."""

    def step(views: Tensor, labels: Tensor, number: int) -> Measures:
        model.zero_grad(set_to_none=True)
        measures = gradient(config, model, views, labels, context.world, number)
        run.update(number, measures)
        return measures

    with ExitStack() as stack:
        if config.compile:
            stack.enter_context(compiled(model, context.world, context.say))
        optimizers = {name: optimizer for name, (optimizer, _) in run.optimizers.items()}
        yield stack.enter_context(as_graph(step, model, optimizers, config, context)) if config.cuda_graph else None


def contrastive_step(
    config: Config, model: Model, views: Tensor, labels: Tensor, world: World = ALONE, step: int = 0
) -> Measures:
    """Add the gradient of the contrastive loss to the model's, for views (2n, 3, S, S), first views first.

    labels (n,) are used only by the online probe, whose gradient does not reach the encoder.
    """
    settings = config.loss
    halves = [_split(half, config) for half in views.chunk(2)]
    parts = [views] if len(halves[0]) == 1 else [torch.cat(pair) for pair in zip(*halves, strict=True)]
    labels_of = [torch.cat([part, part]) for part in _split(labels, config)]
    if len(parts) == 1:
        outputs = _forward(config, model, views, world, step)
        z = outputs.z  # (2 n, d)
    else:
        with torch.no_grad(), statistics_kept(model):
            cached = [_forward(config, model, part, world, step, n).z.chunk(2) for n, part in enumerate(parts)]
        z = torch.cat([torch.cat(half) for half in zip(*cached, strict=True)]).requires_grad_()
    first, second = (F.normalize(z, dim=1) if settings.normalize else z).chunk(2)  # (n, d) each
    pairs = make_pairs(first, second, settings.negatives, world)
    losses = [LOSSES[settings.name](each, settings) for each in pairs]
    loss = torch.stack(losses).mean() if len(losses) > 1 else losses[0]  # Eq. 1
    all_second = pairs[0].candidates.detach()[-len(first) * world.size :]
    own = None if pairs[0].excluded is None else pairs[0].excluded[: len(first)]
    accuracy, entropy = match(first.detach(), all_second, temperature_of(settings), world, own)
    if len(parts) == 1:
        probe_loss, probed = _probe(config, model, outputs, labels_of[0])
        (settings.scale * loss + probe_loss).backward()
    else:
        (gradient,) = torch.autograd.grad(settings.scale * loss, [z])
        caches = [torch.cat(pair) for pair in zip(*(_split(half, config) for half in gradient.chunk(2)), strict=True)]
        probed = _backward_in_parts(config, model, parts, labels_of, caches, world, step)
    return {"loss": loss.detach(), "contrastive_accuracy": 100 * accuracy, "contrastive_entropy": entropy, **probed}


def _backward_in_parts(
    config: Config,
    model: Model,
    parts: list[Tensor],
    labels_of: list[Tensor],
    caches: list[Tensor],
    world: World,
    step: int,
) -> Measures:
    """Encode each part again and backpropagate the cached gradient of its z; return the probe's measures."""
    probed: Measures = {}
    for number, (part, labels, cache) in enumerate(zip(parts, labels_of, caches, strict=True)):
        outputs = _forward(config, model, part, world, step, number)
        probe_loss, measured = _probe(config, model, outputs, labels)
        share = len(part) / sum(map(len, parts))
        outputs_of = [outputs.z, share * probe_loss] if config.online_probe else [outputs.z]
        torch.autograd.backward(outputs_of, [cache, None][: len(outputs_of)])
        probed = {name: probed.get(name, 0) + share * value for name, value in measured.items()}
    return probed


def supervised_step(
    config: Config, model: Model, views: Tensor, labels: Tensor, world: World = ALONE, step: int = 0
) -> Measures:
    """Add the gradient of the cross entropy to the model's, for one view of each image (n, 3, S, S)."""
    loss, top1 = views.new_zeros(()), views.new_zeros(())
    for number, (part, of_part) in enumerate(zip(_split(views, config), _split(labels, config), strict=True)):
        logits = _forward(config, model, part, world, step, number).z
        part_loss = F.cross_entropy(logits, of_part) * (len(part) / len(views))
        part_loss.backward()
        loss += part_loss.detach()
        top1 += (logits.argmax(1) == of_part).sum() * (100 / len(views))
    return {"loss": loss, "train_top1": top1}


def _split(values: Tensor, config: Config) -> list[Tensor]:
    return list(values.split(config.micro_batch or len(values)))


def _forward(config: Config, model: Model, images: Tensor, world: World, step: int, number: int = 0) -> Outputs:
    """Encode one part of a step's images, with dropout that depends on the step, the rank and the part."""
    random = generator(config.seed, "pretrain", step, part=2 + number * world.size + world.rank)
    with dropout_of_step(model.encoder, images.device, random):
        outputs: Outputs = model(images)
    return outputs


def _probe(config: Config, model: Model, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Measures]:
    """Return the online probe's loss on h, without gradient into the encoder, and its top-1 on these views."""
    if not config.online_probe:
        return outputs.h.new_zeros(()), {}
    logits = model.probe(outputs.h.detach())
    top1 = (logits.argmax(1) == labels).mean(dtype=logits.dtype)
    return F.cross_entropy(logits, labels), {"online_top1": 100 * top1}


@contextmanager
def statistics_kept(model: torch.nn.Module) -> Iterator[None]:
    """Freeze the running statistics of batch norms, which normalise as before."""
    norms: list[Any] = [module for module in model.modules() if hasattr(module, "track_running_stats")]
    before = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = norm.track_running_stats and not norm.training
    try:
        yield
    finally:
        for norm, tracks in zip(norms, before, strict=True):
            norm.track_running_stats = tracks


def owner(config: Config) -> str:
    """Hash the settings that determine a pretraining: all but its evaluation and those outside a trial's identity."""
    left_out: dict[str, Any] = {
        "evaluate": True,
        "checkpoint_minutes": True,
        "deterministic": True,
        "cuda_graph": True,
        "fuse_trials": True,
        "augment": {"color": {"fused"}},
        "data": {"root"},
    }
    for added in ("fixed_batches", "compile"):  # checkpoints from before these settings keep their owner
        if not getattr(config, added):
            left_out[added] = True
    settings = config.model_dump(mode="json", exclude=left_out)
    return hashlib.sha256(json.dumps([RECIPE_VERSION, settings], sort_keys=True).encode()).hexdigest()


def _set_statistics(config: Config, model: Model, images: Images, context: Context) -> None:
    """Set batch norm's statistics of an untrained encoder to those of all images, at any batch size."""
    settings, rows = config.data, torch.arange(len(images)).numpy()
    parts = max(1, len(rows) // _STATISTICS_IMAGES)  # nearly equal, and never a single image
    at_once = -(-len(rows) // parts)
    crop, share = config.evaluate.crop, settings.kept_share
    batches = plain(images, settings.image_size, crop, share, context.device, rows, at_once)
    set_batch_norm_statistics(model, _until_stopped(batches, model_dtype(config.precision), context))


def _until_stopped(batches: Iterable[Tensor], dtype: torch.dtype, context: Context) -> Iterator[Tensor]:
    for batch in batches:
        if context.world.agree(context.stopping(), context.device):
            raise Interrupted
        yield batch.to(dtype)
