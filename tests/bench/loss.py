"""NT-Xent at N = 8192, d = 128: memory above the inputs and time, beside lightly's and a plain one."""

import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bench.common import in_turn, ratio, spread

_COUNT, _DIMENSION, _TEMPERATURE = 8192, 128, 0.1


def measure(rounds: int = 3) -> dict[str, Any]:
    """Each in a process of its own, in turn: forward and backward, after one that warms up."""
    figures: dict[str, list[list[float]]] = {name: [] for name in LOSSES}
    in_turn(rounds, {name: lambda name=name: figures[name].append(_run(name)) or 0.0 for name in LOSSES})
    seconds = {name: [run[0] for run in runs] for name, runs in figures.items()}
    return {
        "unit": "seconds of forward and backward; MiB of memory above the inputs at the highest",
        "aim": "at most 200 MiB, at most 1.3 times the plain one's time",
        "size": {"N": _COUNT, "d": _DIMENSION},
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "memory": {name: spread([run[1] for run in runs]) for name, runs in figures.items()},
        "time_over_plain": ratio(seconds["ours"], seconds["plain"]),
        "time_over_lightly": ratio(seconds["ours"], seconds["lightly"]),
    }


def _run(name: str) -> list[float]:
    command = [sys.executable, "-m", "tests.bench.loss", name]
    return [
        float(value) for value in subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    ]


def _ours(first: Tensor, second: Tensor) -> Tensor:
    from ablate.simclr.config import Loss
    from ablate.simclr.loss import nt_xent
    from ablate.simclr.loss.pairs import make_pairs, match

    settings = Loss(temperature=_TEMPERATURE)
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    (pairs,) = make_pairs(first, second, settings.negatives)
    match(first.detach(), second.detach(), _TEMPERATURE)  # a step computes it too
    return nt_xent(pairs, settings)


def _plain(first: Tensor, second: Tensor) -> Tensor:
    z = F.normalize(torch.cat([first, second]), dim=1)
    logits = z @ z.T / _TEMPERATURE
    logits.fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(2 * len(first)).roll(len(first)))


def _lightly(first: Tensor, second: Tensor) -> Tensor:
    from ablate.simclr.base.vision import torchvision

    assert torchvision  # makes lightly importable
    from lightly.loss import NTXentLoss

    loss: Tensor = NTXentLoss(temperature=_TEMPERATURE)(first, second)
    return loss


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ours": _ours, "plain": _plain, "lightly": _lightly}


def _resident(key: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at the highest since it was reset."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        line = next(line for line in status if line.startswith(key))
    return int(line.split()[1]) / 1024


def _measure_one(name: str) -> tuple[float, float]:
    torch.manual_seed(0)
    small = [torch.randn(64, _DIMENSION, requires_grad=True) for _ in range(2)]
    LOSSES[name](*small).backward()  # what is loaded and kept for good is no memory of the loss
    first, second = (torch.randn(_COUNT, _DIMENSION, requires_grad=True) for _ in range(2))
    before = _resident("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as reset:  # noqa: PTH123
        reset.write("5")  # VmHWM starts again
    LOSSES[name](first, second).backward()
    memory = _resident("VmHWM") - before
    began = perf_counter()
    LOSSES[name](first, second).backward()
    return perf_counter() - began, memory


if __name__ == "__main__":
    print(*_measure_one(sys.argv[1]))
