"""Trainings that do each step together, as one network, and in which none can harm another."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.base.device import to_device
from ablate.simclr.data.batches import Batch
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.graph import Measures, Step, as_graph
from ablate.simclr.model import make_model
from ablate.simclr.model.fused import Fused
from ablate.simclr.training import Run, start
from ablate.trainer.contract import Companion, Console, Context, Diverged, Interrupted, in_short
from ablate.trainer.world import ALONE

WARM_UP = 6
"""Steps before a measurement, in which a CUDA graph is recorded and cuDNN chooses its algorithms."""
_SOON = 48
"""After the trial's own training has ended, companions with at most this many steps left are trained to their end."""

Gradient = Callable[..., Measures]
"""`contrastive_step` or `supervised_step`."""


class _Unrecorded(Console):
    """The context of a companion, whose trial has no attempt yet; its run keeps the rows."""

    def __init__(self, own: Context, companion: Companion, stopping: Callable[[], bool]) -> None:
        super().__init__(own.device, companion.checkpoints, stopping=stopping)
        self.key, self._say = companion.key, companion.sayer(own)

    def say(self, message: str) -> None:
        """Write it into the log of the trial that is trained."""
        self._say(message)


@dataclass
class Group:
    """Trainings that do each step together: the trial's own and those of its companions."""

    own: Run
    data: Dataset
    gradient: Gradient
    companions: dict[Run, ExitStack] = field(default_factory=dict)
    """Each with the lock of its folder."""
    _gone: set[str] = field(default_factory=set)
    """Keys of trials that have left, or could not be taken along."""
    _own_is_saved: bool = False

    @property
    def runs(self) -> list[Run]:
        """All that have not ended, the trial's own first."""
        return [run for run in (self.own, *self.companions) if not run.ended]

    def take(self, companion: Companion, store: Checkpoints) -> None:
        """Take a companion along, unless another process trains it, or it is done, or it cannot be started."""
        context, key = self.own.context, companion.key

        def stopping() -> bool:
            return self.own.ended and context.stopping()

        if key in self._gone or key in [run.context.key for run in self.companions]:
            return
        with ExitStack() as lock:
            try:
                if lock.enter_context(store.alone(stopping=lambda: True)) and not store.final():
                    model = make_model(companion.config, self.data.classes, context.device)
                    unrecorded = _Unrecorded(context, companion, stopping)
                    images = self.data.train.images
                    run = start(companion.config, images, unrecorded, model, store, rows=[])
                    self.companions[run] = lock.pop_all()
                    return
            except Exception as error:  # its own attempt will report it
                companion.sayer(context)(in_short(error))
        self._gone.add(key)

    def leave(self, run: Run, why: str | None = None) -> None:
        """Let a companion leave, and other processes train it."""
        self._gone.add(run.context.key)
        self.companions.pop(run).close()
        if why:
            run.context.say(why)

    def drop(self) -> None:
        """Let all companions go as they are in their folders; they can be taken along again."""
        while self.companions:
            self.companions.popitem()[1].close()

    def measure(self) -> float | Exception | None:
        """Do twice the steps of a warm-up; return the seconds of a step in the second half.

        None if a training ended or left before. If a step fails, the trial's own training goes back to the state
        before the first step, the companions are dropped, and the error is returned.
        """
        state = tree_map_only(Tensor, lambda value: value.to("cpu", copy=True), self.own.state())
        self.own.rows = []  # those of epochs that end now are logged once the steps count
        try:
            seconds = self.train(2 * WARM_UP)
        except Interrupted:  # the state that it has saved has the rows
            raise
        except Diverged:
            self.own.log_rows()
            raise
        except Exception as error:  # perhaps after some weights have changed
            self.drop()
            self.own.rows = None
            self.own.load(state)
            return error
        self.own.log_rows()
        return seconds

    def train(self, steps: int | None = None) -> float | None:
        """Do steps until a training ends or leaves, or at most so many; return the seconds of each after the warm-up.

        None if there were none. Raises what the trial's own training raises; a companion that fails leaves.
        """
        runs, device, began, done = self.runs, self.own.context.device, 0.0, 0
        fused = Fused([run.model for run in runs])
        streams = [run.stream.batches(run.done, ALONE, device) for run in runs]
        for run in runs:
            run.start_clock(len(runs))
        with contextlib.closing(fused), self._whole_step(fused, runs) as step:
            while done != steps and len(batches := self._next(runs, streams)) == len(runs):
                if done == WARM_UP:
                    began = _now(device)
                rows = [to_device(batch.rows, self.data.train.labels.device) for batch in batches]
                labels = self.data.train.labels[torch.stack(rows)]
                measures = step(torch.stack([batch.views for batch in batches]), labels, self.own.done)
                done += 1
                self._end_step(runs, measures)
                if len(self.runs) < len(runs):
                    break
            return (_now(device) - began) / (done - WARM_UP) if done > WARM_UP else None

    def _next(self, runs: list[Run], streams: list[Iterator[Batch]]) -> list[Batch]:
        """The next batch of each training, for which its learning rates are set; without those that leave."""
        batches = []
        for run, stream in zip(runs, streams, strict=True):
            with self._sparing(run):
                if batch := next(stream, None):
                    run.set_learning_rates(batch.step)
                    batches.append(batch)
        return batches

    def _whole_step(self, fused: Fused, runs: list[Run]) -> AbstractContextManager[Step]:
        """The step as a function; a measure of the run number k is called `k name`."""
        config = self.own.config

        def step(views: Tensor, labels: Tensor, number: int) -> Measures:
            fused.zero_grad()
            fused(views)
            each: list[Measures] = [{} for _ in runs]
            for k, (run, member) in enumerate(zip(runs, fused.members, strict=True)):
                if not self._is_here(run):
                    continue
                with self._sparing(run, number):
                    each[k] = self.gradient(run.config, member, views[k], labels[k], ALONE, number)
            fused.backward()
            for run, measures in zip(runs, each, strict=True):  # own first: nothing of the others can come between
                if self._is_here(run):
                    with self._sparing(run, number):
                        run.update(number and run.done, measures)  # a graph is recorded as step 0 with all measures
            return {f"{k} {name}": value for k, measures in enumerate(each) for name, value in measures.items()}

        optimizers = {f"{k} {name}": each for k, run in enumerate(runs) for name, (each, _) in run.optimizers.items()}
        return as_graph(step, fused, optimizers, config, self.own.context) if config.cuda_graph else nullcontext(step)

    def _is_here(self, run: Run) -> bool:
        return run is self.own or run in self.companions

    @contextlib.contextmanager
    def _sparing(self, run: Run, number: int = 1) -> Iterator[None]:
        """Within, an error of a companion makes it leave, and does not end the trial's own training.

        number: of the step. An error while a graph is recorded, as step 0, is passed on to the graph.
        """
        try:
            yield
        except Interrupted:
            raise
        except Exception as error:
            if run is self.own or not number:
                raise
            self.leave(run, in_short(error))

    def _end_step(self, runs: list[Run], measures: Measures) -> None:
        """End the step of all trainings, and only then raise what one of them raised."""
        raised: list[Exception] = []
        for k, run in enumerate(runs):
            of_run = {name.partition(" ")[2]: value for name, value in measures.items() if name.startswith(f"{k} ")}
            if self._is_here(run):
                try:
                    with self._sparing(run):
                        run.end_step(run.done, of_run)
                        run.save_if_due()
                except Exception as error:
                    raised.append(error)
        if raised:
            raise raised[0]

    def train_to_the_end(self) -> None:
        """Train until the trial's own training has ended or has no companion left; then companions that end soon."""
        for run in self.runs:
            run.fused = max(run.fused, len(self.runs))
        try:
            while self.companions and not self.own.ended:
                self.train()
                self.finish()
            self._train_the_last()
        except (Interrupted, Diverged):  # after a whole step
            self._save()
            raise
        self._save()

    def _train_the_last(self) -> None:
        """Train companions with few steps left to their end; errors are only logged, as the trial's own is saved."""
        try:
            while min((run.stream.steps - run.done for run in self.companions), default=_SOON + 1) <= _SOON:
                self.train()
                self.finish()
        except (Interrupted, Diverged):
            raise
        except Exception as error:
            self.own.context.say(f"its companions go on when it is their turn: {in_short(error)}")
            self.drop()

    def _save(self) -> None:
        with contextlib.suppress(Diverged):
            self.finish()
        for run in list(self.companions):
            with self._sparing(run):
                run.save()

    def finish(self) -> None:
        """Save the end of the trainings that have ended, the trial's own included, before the others go on."""
        for run in [each for each in (self.own, *self.companions) if each.ended]:
            with self._sparing(run):
                if run is not self.own:
                    run.finish()
                    self.leave(run)
                elif not self._own_is_saved:
                    run.finish()
                    self._own_is_saved = True


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
