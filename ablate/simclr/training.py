"""The state of a pretraining: optimizers and learning rates, clock, metrics and checkpoints."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ablate.simclr.base.checkpoint import Checkpoints, finite, require_finite
from ablate.simclr.base.device import number_format, peak_memory
from ablate.simclr.config import Config
from ablate.simclr.data.batches import Stream, stream_of
from ablate.simclr.data.images import Images
from ablate.simclr.means import Epoch, Means, Reading, Row
from ablate.simclr.model import Model
from ablate.simclr.model.optimizer import learning_rate, make_optimizer, peak_learning_rate, warmup_steps
from ablate.trainer.contract import Context, Diverged, Interrupted

_NORM_EVERY = 10
"""The gradient's norm is computed every this many steps, to keep it cheap, and at least once per epoch."""
_ROUND = 8
"""Every this many steps ranks agree on whether to stop, and a GPU's loss is checked."""


def start(
    config: Config, images: Images, context: Context, model: Model, store: Checkpoints, rows: list[Row] | None = None
) -> "Run":
    """Start a training, or resume from its newest checkpoint. rows: where it keeps those that no trial logs yet."""
    size, count = config.batch_size, len(images)
    if count < size:
        raise ValueError(f"batch_size = {size} is more than the {count} training images")
    steps = count * config.epochs // size
    stream = stream_of(config, images, size, steps, "pretrain", views=2 if config.method == "simclr" else 1)
    peak = peak_learning_rate(config.optimizer, size)
    warmup = warmup_steps(config.warmup_epochs, count, size)
    rate = partial(learning_rate, steps=steps, warmup_steps=warmup, peak=peak)
    probe_rate = partial(learning_rate, steps=steps, warmup_steps=0, peak=0.1 * size / 256)  # as in linear evaluation
    together = context.device.type == "cuda" or None  # weight and bias in the same kernels
    probe_optimizer = torch.optim.SGD(model.probe.parameters(), lr=0.0, momentum=0.9, nesterov=True, foreach=together)
    optimizers: dict[str, tuple[torch.optim.Optimizer, Callable[[int], float]]] = {
        "optimizer": (make_optimizer(config.optimizer, model.parts()), rate),
        "probe_optimizer": (probe_optimizer, probe_rate),
    }
    run = Run(config, context, store, model, stream, optimizers, Means(context.world, context.device), rows)
    if state := store.newest():
        run.load(state)
        context.say(f"resuming at step {run.done} of {steps}")
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(context.device)
    model.train()
    run.start_clock()
    return run


@dataclass(eq=False)
class Run:
    """A training under way."""

    config: Config
    context: Context
    store: Checkpoints
    model: Model
    stream: Stream
    optimizers: dict[str, tuple[torch.optim.Optimizer, Callable[[int], float]]]
    """Name in a checkpoint -> the optimizer and its learning rate at a step."""
    means: Means
    rows: list[Row] | None = None
    """Those of a training whose trial has not begun: it logs them when it resumes, or finds the training done."""
    done: int = 0
    """Steps done."""
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    """Means of the last finished epoch."""
    fused: int = 1
    """How many trials were trained as one network."""
    _to_log: deque[Epoch] = field(default_factory=deque)
    """Epochs that have ended, whose rows are not logged yet."""
    _saved: float = field(default_factory=time.monotonic)

    @property
    def ended(self) -> bool:
        """Whether all steps are done."""
        return self.done == self.stream.steps

    def start_clock(self, trials: int = 1) -> None:
        """Start counting the seconds of the training and of its epoch; each of several trials gets its share."""
        self._epoch_began = self._counted = time.monotonic()
        self._epoch_start, self._sharing = self.done, trials

    def set_learning_rates(self, step: int) -> None:
        """Set the optimizers' learning rates for a step."""
        for optimizer, rate in self.optimizers.values():
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):  # a CUDA graph reads it
                    group["lr"].fill_(rate(step))
                else:
                    group["lr"] = rate(step)

    def update(self, step: int, measures: dict[str, Tensor]) -> None:
        """Update the weights by their gradients, the means over ranks, and add their norm to the measures if it is due.

        The norm is that of encoder and head, without the probe.
        """
        self.context.world.mean_gradients(self.model.parameters())
        if self._has_norm(step):
            weights = [weight for part in self.model.parts() for weight in part.parameters()]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            measures["gradient_norm"] = torch.nn.utils.get_total_norm(gradients)
        for optimizer, _ in self.optimizers.values():
            optimizer.step()

    def _has_norm(self, step: int) -> bool:
        return step % min(_NORM_EVERY, len(self.stream.images) // self.config.batch_size) == 0

    def end_step(self, step: int, measures: dict[str, Tensor]) -> None:
        """Record a step, and the epoch if it ends. Raises Interrupted, after saving the state, if asked to stop."""
        if not self._has_norm(step):
            measures.pop("gradient_norm", None)  # a CUDA graph computes it in each step
        self.done = step + 1
        self.means.add(measures)
        before, self._counted = self._counted, time.monotonic()
        self.seconds += (self._counted - before) / self._sharing
        self.context.progress(self.done, self.stream.steps, self._row_so_far)
        taken, images = self.done * self.config.batch_size, len(self.stream.images)
        if self.ended or taken // images > (taken - self.config.batch_size) // images:
            self._end_epoch()
        self._stop_if_asked()

    def _end_epoch(self) -> None:
        """Start the next epoch; log this one's row once its means are there."""
        self._to_log.append(self._epoch(self.means.start_reading()))
        self.means.restart(self.done)
        self._epoch_start, self._epoch_began = self.done, time.monotonic()
        if self.context.device.type != "cuda" or self.ended:
            self._check()

    def _epoch(self, means: Reading) -> Epoch:
        number = (self.done - 1) * self.config.batch_size // len(self.stream.images) + 1
        images = (self.done - self._epoch_start) * self.config.batch_size
        speed = images / max(time.monotonic() - self._epoch_began, 1e-9)
        return Epoch(number, means, self._rate(self.done - 1), speed, peak_memory(self.context.device))

    def _row_so_far(self) -> Row:
        """Return a row of metrics of the epoch so far, without its memory."""
        row = self._epoch(self.means.lately()).row()
        return {name: value for name, value in row.items() if name != "memory"}

    def _log_epochs(self, wait: bool) -> None:
        """Log the epochs that have ended; without `wait` only those whose means have arrived from the GPU."""
        while self._to_log and (wait or self._to_log[0].means.ready()):
            if self._to_log[0].means.broken() is not None:  # `_check` raises, on all ranks at the same step
                return
            epoch = self._to_log.popleft()
            self.metrics = {**epoch.means.means(), "learning_rate": epoch.learning_rate}
            self._log(epoch.row())

    def log_rows(self) -> None:
        """Log the rows that were kept, and from now on each at once."""
        rows, self.rows = self.rows or [], None
        for row in rows:
            self._log(row)

    def _log(self, row: Row) -> None:
        (self.context.log if self.rows is None else self.rows.append)(row)

    def _stop_if_asked(self) -> None:
        """Raise Interrupted, after saving the state, if any rank's context stops; check the loss too."""
        context, world = self.context, self.context.world
        round_ends = self.done % _ROUND == 0
        if round_ends or (context.device.type != "cuda" and world.size == 1):
            self._check()
        else:
            self._log_epochs(wait=False)
        if self.ended or (world.size > 1 and not round_ends):
            return
        if world.agree(context.stopping(), context.device):
            self._check()
            self.save()
            world.tell(None)  # the other ranks wait until the state is saved
            raise Interrupted

    def _check(self) -> None:
        """Raise Diverged if a loss was not finite; all ranks have the same losses. Waits for the device."""
        self._log_epochs(wait=True)
        readings = [*(epoch.means for epoch in self._to_log), self.means.start_reading()]
        if (step := next((found for each in readings if (found := each.broken()) is not None), None)) is not None:
            message = f"the loss was no longer a number at step {step} of {self.stream.steps}"
            message = f"{message}, learning rate {self._rate(step):.4g}"
            raise Diverged(f"{message}; a lower optimizer.learning_rate or a longer warm-up may help")

    def _rate(self, step: int) -> float:
        return self.optimizers["optimizer"][1](step)

    def save_if_due(self) -> None:
        """Save the state every `checkpoint_minutes`."""
        if time.monotonic() - self._saved >= 60 * self.config.checkpoint_minutes:
            self.save()
            self._saved = time.monotonic()

    def save(self) -> None:
        """Save the state, if its weights are finite."""
        if self.store.writes and finite(self.model):  # if they are not, the next step reports it
            self.store.save(self.state(), self.done)

    def state(self) -> dict[str, Any]:
        """Return what `load` restores."""
        self._log_epochs(wait=True)
        sums, counts = self.means.state()
        return {
            "done": self.done,
            "precision": number_format(self.config.precision, self.context.device),
            "seconds": self.seconds,
            "model": self._weights(),
            **{name: optimizer.state_dict() for name, (optimizer, _) in self.optimizers.items()},
            "sums": sums,
            "counts": counts,
            "metrics": self.metrics,
            "fused": self.fused,
            "rows": self.rows or [],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        if state["precision"] != (now := number_format(self.config.precision, self.context.device)):
            self.context.say(f"the training began in {state['precision']} and continues in {now}: another processor")
        self.done, self.seconds, self.metrics = state["done"], state["seconds"], state["metrics"]
        self.model.load_state_dict(state["model"])
        for name, (optimizer, _) in self.optimizers.items():
            groups = [{**group} for group in optimizer.param_groups]
            optimizer.load_state_dict(state[name])
            for group, ours in zip(optimizer.param_groups, groups, strict=True):
                group.update(ours)  # how it computes, which may have been otherwise in the interrupted training
        self.means.load(state["sums"], state["counts"], self.done)
        self._to_log.clear()
        self.fused = state.get("fused", 1)  # not in checkpoints of earlier versions, as `rows`
        for row in state.get("rows", ()):
            self._log(row)

    def _weights(self) -> dict[str, Tensor]:
        """Copies: while models are fused, theirs are parts of larger tensors, which would be saved whole."""
        return {name: value.to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def finish(self) -> dict[str, float | str]:
        """Save the end of the training; return the number format, the last epoch's metrics and this trial's seconds.

        Trials trained as one network share the seconds. Raises Diverged if weights are not finite.
        """
        steps = self.stream.steps
        require_finite(self.model, f"after step {steps} of {steps}, learning rate {self._rate(steps - 1):.4g}")
        kept = {name: self.metrics[name] for name in self.metrics if name not in ("learning_rate", "gradient_norm")}
        metrics: dict[str, float | str] = {"precision": number_format(self.config.precision, self.context.device)}
        metrics |= kept | ({"fused_trials": self.fused} if self.fused > 1 else {}) | {"pretrain_seconds": self.seconds}
        if self.store.writes:
            self.store.finish({"model": self._weights(), "metrics": metrics, "rows": self.rows or []})
        return metrics
