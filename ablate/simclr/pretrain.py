"""The pretraining loop: views, loss, step, and again; interruptible after every step."""

import hashlib
import json
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from ablate.simclr.batches import Batch, Stream, plain
from ablate.simclr.checkpoint import Checkpoints, finite
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.simclr.context import Context, Diverged, Interrupted
from ablate.simclr.data.images import Dataset
from ablate.simclr.device import to_device
from ablate.simclr.distributed import make_batch_norm_global
from ablate.simclr.encoder import set_batch_norm_statistics
from ablate.simclr.model import Model, make_model
from ablate.simclr.objective import Measures, contrastive_step, supervised_step
from ablate.simclr.optimizer import make_optimizer
from ablate.simclr.precision import model_dtype, number_format
from ablate.simclr.schedule import learning_rate, peak_learning_rate, warmup_steps

Metrics = dict[str, float | str]
_ROUND = 8
"""Ranks agree every so many steps on whether to stop, and a GPU is asked whether the loss is a number."""
_NORM_EVERY = 10
"""Steps between two that the gradient's norm is computed of, so that it costs little; at least one an epoch."""
_STATISTICS_IMAGES = 256
"""Images at once from which the statistics of an untrained encoder are made."""


def pretrain(config: Config, data: Dataset, context: Context) -> tuple[Model, Metrics]:
    """Train the model on `data.train`; returns it with the last epoch's metrics.

    Goes on from the newest checkpoint of the context's folder, and trains nothing where the folder has the end.
    Logs one row an epoch. Raises Interrupted, its state saved, when the context stops it; Diverged when the
    loss is no longer a number.
    """
    if context.checkpoints is None:
        return _pretrain(config, data, context, None)
    store = Checkpoints(context.checkpoints, owner(config), context.say)
    with store.alone(context.stopping) if context.world.first else nullcontext(True) as alone:
        if not context.world.tell(alone):
            raise Interrupted
        return _pretrain(config, data, context, store)


def _pretrain(config: Config, data: Dataset, context: Context, store: Checkpoints | None) -> tuple[Model, Metrics]:
    world = context.world
    model = make_model(config, data.classes, context.device)
    if store and (final := world.tell(store.final() if world.first else None)):
        model.load_state_dict(final["model"])
        make_batch_norm_global(model, world)
        context.say("the pretraining was done before; its end is read from its checkpoint")
        return model, final["metrics"]
    metrics: Metrics = {"precision": number_format(config.precision, context.device)}
    if config.epochs == 0:
        _set_statistics(config, model, data, context)
        make_batch_norm_global(model, world)
    else:
        make_batch_norm_global(model, world)
        metrics |= _Training(config, data, context, model, store).run()
    if store and world.first:
        store.finish({"model": model.state_dict(), "metrics": metrics})
    return model, metrics


def owner(config: Config) -> str:
    """Digest of the settings that make a pretraining: where its images lie and how often it is saved do not."""
    settings = config.model_dump(mode="json", exclude={"evaluate": True, "checkpoint_minutes": True, "data": {"root"}})
    return hashlib.sha256(json.dumps([RECIPE_VERSION, settings], sort_keys=True).encode()).hexdigest()


def _set_statistics(config: Config, model: Model, data: Dataset, context: Context) -> None:
    """Batch norm's statistics of an encoder never trained: those of all training images, whatever the batch size."""
    images, settings = data.train.images, config.data
    rows = torch.arange(len(images)).numpy()
    parts = max(1, len(rows) // _STATISTICS_IMAGES)  # nearly equal, and none a single image
    at_once = -(-len(rows) // parts)
    batches = plain(images, settings.image_size, settings.center_crop, context.device, rows, at_once)
    set_batch_norm_statistics(model, _until_stopped(batches, model_dtype(config.precision), context))


def _until_stopped(batches: Iterable[Tensor], dtype: torch.dtype, context: Context) -> Iterator[Tensor]:
    for batch in batches:
        if context.world.agree(context.stopping(), context.device):
            raise Interrupted
        yield batch.to(dtype)


class _Training:
    """The state of a pretraining and its loop."""

    def __init__(
        self, config: Config, data: Dataset, context: Context, model: Model, store: Checkpoints | None
    ) -> None:
        self.config, self.context, self.model, self.store = config, context, model, store
        self.labels = data.train.labels
        images = data.train.images
        if len(images) < config.batch_size:
            raise ValueError(f"batch_size = {config.batch_size} is more than the {len(images)} training images")
        self.images = len(images)
        self.steps = len(images) * config.epochs // config.batch_size
        self.warmup = warmup_steps(config.warmup_epochs, len(images), config.batch_size)
        self.peak = peak_learning_rate(config.optimizer, config.batch_size)
        self.probe_peak = 0.1 * config.batch_size / 256  # as linear evaluation's (App. B.6)
        self.optimizer = make_optimizer(config.optimizer, model.parts())
        self.probe_optimizer = torch.optim.SGD(model.probe.parameters(), lr=0.0, momentum=0.9, nesterov=True)
        self.stream = Stream(
            images=images,
            augment=config.augment,
            size=config.data.image_size,
            batch_size=config.batch_size,
            steps=self.steps,
            seed=config.seed,
            purpose="pretrain",
            views=2 if config.method == "simclr" else 1,
            dtype=model_dtype(config.precision),
        )
        self.done = 0
        self.seconds = 0.0
        self.sums: Measures = {}
        self.counts: dict[str, int] = {}
        self.broken = torch.full((), -1, device=context.device)  # the first step whose loss was no number
        self.metrics: dict[str, float] = {}
        self.epoch_start, self.epoch_began = 0, 0.0

    def run(self) -> dict[str, float]:
        """Train to the end; returns the last epoch's metrics."""
        context, world = self.context, self.context.world
        if self.store and (state := world.tell(self.store.newest() if world.first else None)):
            self._load(state)
            context.say(f"going on from step {self.done} of {self.steps}")
        if context.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(context.device)
        self.model.train()
        began = saved = self.epoch_began = time.monotonic()
        before, self.epoch_start = self.seconds, self.done
        for batch in self.stream.batches(self.done, world, context.device):
            self._step(batch)
            self.seconds = before + time.monotonic() - began
            context.progress(self.done, self.steps, self._now)
            if self._epoch_ended():
                self._end_epoch()
            self._stop_if_asked()
            del batch  # its views are not kept while the next are made
            if self.store and world.first and time.monotonic() - saved >= 60 * self.config.checkpoint_minutes:
                self._save()
                saved = time.monotonic()
        kept = {name: value for name, value in self.metrics.items() if name not in ("learning_rate", "gradient_norm")}
        return {**kept, "pretrain_seconds": self.seconds}

    def _step(self, batch: Batch) -> None:
        """One update of all weights."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(batch.step, self.steps, self.warmup, self.peak)
        for group in self.probe_optimizer.param_groups:
            group["lr"] = learning_rate(batch.step, self.steps, 0, self.probe_peak)
        self.model.zero_grad(set_to_none=True)
        world, config = self.context.world, self.config
        labels = self.labels[to_device(batch.rows, self.labels.device)]
        step = contrastive_step if config.method == "simclr" else supervised_step
        measures = step(config, self.model, batch.views, labels, world, batch.step)
        world.mean_gradients(self.model.parameters())
        if batch.step % min(_NORM_EVERY, self.images // config.batch_size) == 0:
            measures["gradient_norm"] = self._gradient_norm()
        self.optimizer.step()
        self.probe_optimizer.step()
        self.done = batch.step + 1
        self._add(measures)

    def _add(self, measures: Measures) -> None:
        """Add a step's measures to the epoch's, and mark a loss that is no number, without waiting for the device."""
        values = torch.stack([value.double() for value in measures.values()])
        values = self.context.world.sum(values) / self.context.world.size
        for name, value in zip(measures, values, strict=True):
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        bad = (self.broken < 0) & ~torch.isfinite(values[list(measures).index("loss")])
        self.broken = torch.where(bad, self.done - 1, self.broken)

    def _gradient_norm(self) -> Tensor:
        """Of the pretraining's own loss over encoder and head."""
        gradients = [p.grad for part in self.model.parts() for p in part.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _epoch(self) -> int:
        """The number, from 1, of the epoch that the last step was in."""
        return (self.done - 1) * self.config.batch_size // self.images + 1

    def _epoch_ended(self) -> bool:
        taken = self.done * self.config.batch_size
        return self.done == self.steps or taken // self.images > (taken - self.config.batch_size) // self.images

    def _end_epoch(self) -> None:
        """Log a row, and begin the next epoch's."""
        self._check()
        self.metrics = self._means()
        self.context.log({**self._now(), "memory": self._memory()})
        self.sums, self.counts = {}, {}
        self.epoch_start, self.epoch_began = self.done, time.monotonic()

    def _means(self) -> dict[str, float]:
        """The epoch's means so far, over all ranks, and the learning rate of the last step."""
        means = {name: float(value) / self.counts[name] for name, value in self.sums.items()}
        return {**means, "learning_rate": learning_rate(self.done - 1, self.steps, self.warmup, self.peak)}

    def _now(self) -> dict[str, float | int | str]:
        """A row of metrics of the epoch so far."""
        images = (self.done - self.epoch_start) * self.config.batch_size
        speed = images / max(time.monotonic() - self.epoch_began, 1e-9)
        return {"phase": "pretrain", "epoch": self._epoch(), **self._means(), "pairs_per_second": speed}

    def _memory(self) -> float:
        """The most that was in use so far, on the GPU or by the process, in MiB."""
        if self.context.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.context.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def _stop_if_asked(self) -> None:
        """Raise Interrupted, the state saved, when the context of any rank says so; look after the loss on the way."""
        context, world = self.context, self.context.world
        round_ends = self.done % _ROUND == 0
        if round_ends or (context.device.type != "cuda" and world.size == 1):
            self._check()
        if self.done == self.steps or (world.size > 1 and not round_ends):
            return
        if world.agree(context.stopping(), context.device):
            self._check()
            if self.store and world.first:
                self._save()
            world.tell(None)  # the others stay until it is saved
            raise Interrupted

    def _check(self) -> None:
        """Raise Diverged when the loss was no number, which all ranks know alike."""
        if (step := int(self.broken)) >= 0:
            rate = learning_rate(step, self.steps, self.warmup, self.peak)
            told = f"the loss was no longer a number at step {step} of {self.steps}, learning rate {rate:.4g}"
            raise Diverged(f"{told}; a lower optimizer.learning_rate or a longer warm-up may help")

    def _save(self) -> None:
        assert self.store is not None
        if finite(self.model):  # the step after this one will tell of others
            self.store.save(self._state(), self.done)

    def _state(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "precision": number_format(self.config.precision, self.context.device),
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "probe_optimizer": self.probe_optimizer.state_dict(),
            "sums": self.sums,
            "counts": self.counts,
            "metrics": self.metrics,
        }

    def _load(self, state: dict[str, Any]) -> None:
        if state["precision"] != (now := number_format(self.config.precision, self.context.device)):
            self.context.say(f"began in {state['precision']}, goes on in {now}: another processor")
        self.done, self.seconds, self.metrics = state["done"], state["seconds"], state["metrics"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.probe_optimizer.load_state_dict(state["probe_optimizer"])
        self.sums = {name: value.to(self.context.device) for name, value in state["sums"].items()}
        self.counts = state["counts"]
