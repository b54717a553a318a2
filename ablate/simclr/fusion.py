"""The pretrainings of several trials as one network, where that is faster than one after another.

A trial that a worker trains takes companions along: trials that wait for the same worker, and whose networks are of
one architecture. Each keeps its own order of the images, augmentation, loss, optimizer and checkpoints, and ends as it
would alone, up to rounding. When the trial of a companion begins, its pretraining is done.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.base.device import to_device
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.graph import Measures, Step, as_graph
from ablate.simclr.model import Model, make_model
from ablate.simclr.model.fused import Fused
from ablate.simclr.training import Run, start
from ablate.trainer.contract import Companion, Diverged, Interrupted
from ablate.trainer.world import ALONE, World

WARM_UP, _TIMED = 6, 6
"""Steps before a measurement, in which a CUDA graph is recorded and cuDNN chooses its algorithms; and those in it."""
_FEWEST_STEPS = 4 * (WARM_UP + _TIMED)
"""With fewer steps left, a trial goes on alone."""
_WORTHWHILE = 0.9
"""Trials stay together if their steps take at most this share of the time that they take one after another."""
_SHARE_OF_MEMORY = 0.9
_STATES = 4
"""Memory of a model's weights, gradients and optimizer, in weights."""

Gradient = Callable[..., Measures]
"""`contrastive_step` or `supervised_step`."""


@dataclass
class _Unrecorded:
    """The context of a companion, whose trial has no attempt yet."""

    device: torch.device
    checkpoints: Path | None
    say: Callable[[str], None]
    stopping: Callable[[], bool]
    world: World = ALONE
    out: Path = Path()
    key: str = ""
    companions: Sequence[Companion] = ()

    def log(self, metrics: Any) -> None:
        """Do nothing: the run keeps its rows."""

    def progress(self, done: int, total: int, now: Any) -> None:
        """Do nothing."""

    def keep_correct(self, metric: str, correct: Any) -> None:
        """Do nothing."""


@dataclass
class Group:
    """Trainings that do each step together, the trial's own and those of its companions."""

    own: Run
    data: Dataset
    gradient: Gradient
    companions: list[Run] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """All that have not ended."""
        return [run for run in (self.own, *self.companions) if not run.ended]

    def train(self, steps: int | None = None) -> float:
        """Do steps until a training ends, or at most so many; return the seconds of each after the warm-up.

        Raises what the own training raises; and torch.OutOfMemoryError at the first step, before it has changed
        anything. A companion that fails leaves the group.
        """
        runs, device, began, done = self.runs, self.own.context.device, 0.0, 0
        fused = Fused([run.model for run in runs])
        streams = [run.stream.batches(run.done, ALONE, device) for run in runs]
        for run in runs:
            run.start_clock(len(runs))
        with contextlib.closing(fused), self._whole_step(fused) as step:
            for batches in zip(*streams, strict=False):
                if done == WARM_UP:
                    began = _now(device)
                rows = [to_device(batch.rows, self.data.train.labels.device) for batch in batches]
                labels = self.data.train.labels[torch.stack(rows)]
                for run, batch in zip(runs, batches, strict=True):
                    run.set_learning_rates(batch.step)
                views = torch.stack([batch.views for batch in batches])
                with nullcontext() if done else _unless_out_of_memory(fused):
                    measures = step(views, labels, self.own.done)
                done += 1
                self._end_step(measures)
                if len(self.runs) < len(runs) or done == steps:
                    break
            return (_now(device) - began) / max(1, done - WARM_UP)

    def _whole_step(self, fused: Fused) -> AbstractContextManager[Step]:
        """The step as a function; a measure of the run number k is called `k name`."""
        runs, config = self.runs, self.own.config

        def step(views: Tensor, labels: Tensor, number: int) -> Measures:
            fused.zero_grad()
            fused(views)
            each = [
                self.gradient(run.config, part, *own, ALONE, number)
                for run, part, *own in zip(runs, fused.members, views, labels, strict=True)
            ]
            fused.backward()
            for run, measures in zip(runs, each, strict=True):
                run.update(number and run.done, measures)  # a graph is recorded as step 0, which has all measures
            return {f"{k} {name}": value for k, measures in enumerate(each) for name, value in measures.items()}

        optimizers = {f"{k} {name}": each for k, run in enumerate(runs) for name, (each, _) in run.optimizers.items()}
        return as_graph(step, fused, optimizers, config, self.own.context) if config.cuda_graph else nullcontext(step)

    def _end_step(self, measures: Measures) -> None:
        """End the step of all trainings, and only then raise what one of them raised."""
        raised: list[Exception] = []
        for k, run in enumerate(self.runs):
            of_run = {name.partition(" ")[2]: value for name, value in measures.items() if name.startswith(f"{k} ")}
            try:
                run.end_step(run.done, of_run)
                run.save_if_due()
            except Interrupted as error:
                raised.append(error)
            except Diverged as error:
                if run is self.own:
                    raised.append(error)
                else:
                    self._leave(run, str(error))
        if raised:
            raise raised[0]

    def _leave(self, run: Run, why: str) -> None:
        run.context.say(why)
        self.companions.remove(run)

    def train_to_the_end(self) -> None:
        """Train until the own training goes on alone or has ended, and those that then need a few steps more."""
        for run in self.runs:
            run.fused = len(self.runs)
        try:
            while self.companions and (not self.own.ended or self._last_steps() <= _FEWEST_STEPS):
                self.train()
                for run in [each for each in self.companions if each.ended]:
                    try:
                        run.finish()
                        self.companions.remove(run)
                    except Diverged as error:
                        self._leave(run, str(error))
        except (Interrupted, Diverged):
            self._save()
            raise
        self._save()

    def _last_steps(self) -> int:
        return min(run.stream.steps - run.done for run in self.companions)

    def _save(self) -> None:
        for run in self.companions:
            run.save()


def fuse(own: Run, offered: Sequence[tuple[Companion, Checkpoints]], data: Dataset, gradient: Gradient) -> None:
    """Train `own` and those of the offered companions that fit into memory as one network, if that is faster.

    Returns when the own training has ended, or goes on alone. What its context says names the measured times.
    """
    context, left = own.context, own.stream.steps - own.done
    if not offered or left < _FEWEST_STEPS:
        return
    group, device = Group(own, data, gradient), context.device
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    alone = group.train(WARM_UP + _TIMED)
    count = min(len(offered), _most_that_fit(own.model, device, before))
    while count > 0:
        with ExitStack() as locks:
            for companion, store in offered:
                if len(group.companions) < count and (run := _begun(own, companion, store, locks, data)):
                    group.companions.append(run)
            members = len(group.runs)
            try:
                together = group.train(WARM_UP + _TIMED) if members > 1 else alone
            except torch.OutOfMemoryError:
                group.companions, count = [], count // 2
                continue
            times = f"a step of {members} trials takes {1000 * together:.3g} ms, of one {1000 * alone:.3g} ms"
            if is_worthwhile(together, members, alone):
                context.say(f"trained with {members - 1} other trials as one network: {times}")
                group.train_to_the_end()
            elif members > 1:
                context.say(f"fuse_trials = {own.config.fuse_trials} has no effect: {times}")
            break
    own.start_clock()


def is_worthwhile(together: float, members: int, alone: float) -> bool:
    """Whether trials are faster as one network than one after another, from the seconds of a step."""
    return members > 1 and together <= _WORTHWHILE * members * alone


def _begun(own: Run, companion: Companion, store: Checkpoints, locks: ExitStack, data: Dataset) -> Run | None:
    """The training of a companion; None if another process trains it, or it is done."""
    if not locks.enter_context(store.alone(stopping=lambda: True)) or store.final():
        return None
    context, config = own.context, companion.config

    def say(message: str) -> None:
        context.say(f"trial {companion.key[:12]}: {message}")

    model = make_model(config, data.classes, context.device)
    unrecorded = _Unrecorded(context.device, companion.checkpoints, say, lambda: own.ended and context.stopping())
    return start(config, data.train.images, unrecorded, model, store, rows=[])


@contextlib.contextmanager
def _unless_out_of_memory(fused: Fused) -> Iterator[None]:
    """Within, memory that runs out during a forward or backward pass leaves the models as they were."""
    before = [values.clone() for values in fused.buffers()]
    try:
        yield
    except torch.OutOfMemoryError:
        for values, kept in zip(fused.buffers(), before, strict=True):
            values.copy_(kept)
        raise


def _most_that_fit(model: Model, device: torch.device, before: int) -> int:
    """How many companions the GPU has memory for. before: what was allocated before the own training's steps."""
    if device.type != "cuda":
        return sys.maxsize
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    each = torch.cuda.max_memory_allocated(device) - before + _STATES * weights
    allocated = torch.cuda.memory_allocated(device)
    free, total = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - allocated
    ours = torch.cuda.get_per_process_memory_fraction(device) * total - allocated
    return int(_SHARE_OF_MEMORY * min(free, ours) / each) - 1  # the own training keeps its memory


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
