"""The contract of a trainer: the context that it receives, and the exceptions that say how a trial ended.

Imports no torch, so that a failure can be classified without it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

    from ablate.trainer.world import World

Metrics = Mapping[str, float | int | str]


class Companion(NamedTuple):
    """A trial that waits in the same pool, and may be pretrained together with another one."""

    key: str
    config: Any
    checkpoints: Path
    """Its pretraining's checkpoint folder, where its trial will find what was trained."""

    def sayer(self, context: "Context") -> Callable[[str], None]:
        """Return a function that writes what concerns the companion into the log of another trial."""
        return lambda message: context.say(f"trial {self.key[:12]}: {message}")


class Context(Protocol):
    """All that a trainer receives besides its config; `ablate.run.attempt` has the one that writes records."""

    device: "torch.device"
    world: "World"
    """The processes that compute the trial together."""
    checkpoints: Path | None
    """This pretraining's checkpoint folder; None disables checkpoints."""
    out: Path
    """This attempt's folder for other files; beside it are `stdout` and `stderr`, the attempt's log."""
    key: str
    """The trial's key."""
    companions: Sequence[Companion]
    """Trials that a trainer with the hook `fusion` may pretrain together with this one."""

    def log(self, metrics: Metrics) -> None:
        """Record one row of metrics."""

    def say(self, message: str) -> None:
        """Record a sentence for the user."""

    def progress(self, done: int, total: int, now: Callable[[], Metrics]) -> None:
        """Report how far the trial is, in steps of pretraining.

        `now` returns the current metrics. It waits for the device, so the context calls it only now and then.
        """

    def keep_correct(self, metric: str, correct: Iterable[bool]) -> None:
        """Record which test examples the trial got right, in the order of the test set; their share is the metric.

        The share may be a fraction or in percent. With it, pages say how much of an interval is due to the test set.
        """

    def release(self) -> None:
        """Give the companions up: they are pretrained, or wait for their own turn. Other workers may train them."""

    def stopping(self) -> bool:
        """Whether the trial must end now; the trainer then raises `Interrupted`."""


class Interrupted(Exception):
    """The context asked the trainer to stop before the end, and it saved its state."""


class Diverged(Exception):
    """The loss or a result is NaN or infinite."""


def in_short(error: Exception) -> str:
    """Return an error as one line for a log."""
    name = "" if isinstance(error, Diverged) else f"{type(error).__name__}: "
    return f"{name}{error}".partition("\n")[0]


class TrialFailed(Exception):
    """The trial failed for a named reason: `cause` is one word, such as `exit_code`.

    by_signal: whether a signal ended a process that the trainer had started.
    """

    def __init__(self, cause: str, message: str, by_signal: bool = False) -> None:
        super().__init__(message)
        self.cause, self.by_signal = cause, by_signal


class DataError(ValueError):
    """The data are missing, unreadable or not as expected."""


class OtherOwnerError(ValueError):
    """A checkpoint belongs to another training."""


class SettingError(ValueError):
    """A setting that does not fit the files that it names: `setting` is its dotted path."""

    def __init__(self, message: str, setting: str, help: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting
        self.help = help


class Console:
    """A context that prints: `train(Config(), Console())` needs no records."""

    def __init__(
        self,
        device: "str | torch.device" = "cpu",
        checkpoints: Path | None = None,
        world: "World | None" = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        import torch

        from ablate.trainer.world import ALONE

        self.device, self.checkpoints, self.world = torch.device(device), checkpoints, world or ALONE
        self.stopping = stopping
        self.out, self.key = Path(), ""
        self.companions: Sequence[Companion] = ()

    def log(self, metrics: Metrics) -> None:
        """Print one row, on the first rank."""
        shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in metrics.items()}
        self.say("  ".join(f"{name}={value}" for name, value in shown.items()))

    def say(self, message: str) -> None:
        """Print a sentence, on the first rank."""
        if self.world.first:
            print(message, flush=True)

    def progress(self, done: int, total: int, now: Callable[[], Metrics]) -> None:
        """Do nothing: a row is printed once per epoch."""

    def keep_correct(self, metric: str, correct: Iterable[bool]) -> None:
        """Do nothing: without records there is no page."""

    def release(self) -> None:
        """Do nothing: a console has no companions."""
