"""An epoch's mean measures, summed on the device and read without a wait for each step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.trainer.world import World


@dataclass(frozen=True)
class Reading:
    """The sums of some steps on their way from the device; on a CPU they are there at once."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    """How many steps had each measure."""
    first: int
    """The number of the first step."""
    steps: int
    copy: Tensor
    """The sums, and the number of steps before the first whose loss was not finite."""
    event: "torch.cuda.Event | None"

    def ready(self) -> bool:
        """Whether reading waits for nothing."""
        return self.event is None or bool(self.event.query())

    def means(self) -> dict[str, float]:
        """The mean of each measure; waits for the device."""
        sums = self._numbers()[:-1]
        return {name: total / count for name, total, count in zip(self.names, sums, self.counts, strict=True) if count}

    def broken(self) -> int | None:
        """The first step whose loss was not finite, if there is one; waits for the device."""
        good = int(self._numbers()[-1])
        return self.first + good if good < self.steps else None

    def _numbers(self) -> list[float]:
        if self.event is not None:
            self.event.synchronize()
        numbers: list[float] = self.copy.tolist()
        return numbers


class Means:
    """The sums of an epoch's measures over its steps and all ranks, in float64 on the device.

    The first measure is the loss. A measure that not every step has comes last.
    """

    def __init__(self, world: World, device: torch.device) -> None:
        self._world, self._device = world, device
        self._names: list[str] = []
        self._shown: Reading | None = None
        self._coming: Reading | None = None
        self.restart(0)

    def restart(self, step: int) -> None:
        """Forget all sums; the next step is `step`."""
        self._first, self._steps = step, 0
        self._counts = dict.fromkeys(self._names, 0)
        self._good = torch.zeros(1, dtype=torch.float64, device=self._device)
        self._sums = torch.zeros(len(self._names), dtype=torch.float64, device=self._device)

    def add(self, measures: dict[str, Tensor]) -> None:
        """Add the measures of the next step, scalars on the device."""
        if new := list(measures)[len(self._names) :]:
            self._names += new
            self._counts |= dict.fromkeys(new, 0)
            self._sums = torch.cat([self._sums, self._sums.new_zeros(len(new))])
        assert list(measures) == self._names[: len(measures)]
        values = list(measures.values())
        if len({value.dtype for value in values}) > 1:
            values = [value.double() for value in values]
        totals = torch.stack(values)
        if self._world.size > 1:
            totals = self._world.sum(totals.double()) / self._world.size
        self._sums[: len(totals)].add_(totals)
        for name in measures:
            self._counts[name] += 1
        loss = self._sums[:1]
        self._good.add_(loss - loss == 0)  # of a sum that is infinite or NaN, and stays so, the difference is NaN
        self._steps += 1

    def start_reading(self) -> Reading:
        """Start to copy the sums so far to the CPU; nothing waits until they are read."""
        numbers, event = torch.cat([self._sums, self._good]), None
        if self._device.type == "cuda":
            numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True).copy_(numbers, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        return Reading(tuple(self._names), tuple(self._counts.values()), self._first, self._steps, numbers, event)

    def lately(self) -> Reading:
        """The sums so far, which can be read without a wait: on a GPU those of an earlier call, at first of no step."""
        if self._coming is None or self._device.type != "cuda":
            self._coming = self.start_reading()
        if self._coming.ready():
            self._shown, self._coming = self._coming, None
        return self._shown or Reading((), (), self._first, 0, torch.zeros(1), None)

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """The sums and how many steps they have, by measure, for a checkpoint."""
        counts = {name: count for name, count in self._counts.items() if count}
        return {name: self._sums[number] for number, name in enumerate(self._names) if name in counts}, counts

    def load(self, sums: dict[str, Tensor], counts: dict[str, int], step: int) -> None:
        """Restore what `state` returned before `step`."""
        self._names = list(sums)
        self.restart(step)
        if sums:
            self._sums = torch.stack(list(sums.values())).to(self._device, torch.float64)
        self._counts = dict(counts)


Row = dict[str, float | int | str]


@dataclass(frozen=True)
class Epoch:
    """What the row of an epoch says."""

    number: int
    means: Reading
    learning_rate: float
    pairs_per_second: float
    memory: float | None

    def row(self) -> Row:
        """Return the row; waits for the means."""
        rates = {"learning_rate": self.learning_rate, "pairs_per_second": self.pairs_per_second}
        memory = {} if self.memory is None else {"memory": self.memory}
        return {"phase": "pretrain", "epoch": self.number, **self.means.means(), **rates, **memory}
