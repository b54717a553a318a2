"""Where the time of a training step of the narrow encoder goes, on one thread."""

from statistics import median
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F

from ablate.simclr.base.device import keep_freed_memory
from ablate.simclr.config import Config
from ablate.simclr.data.batches import IMAGES_AT_ONCE, Stream
from ablate.simclr.data.dataset import load
from ablate.simclr.loss import nt_xent
from ablate.simclr.loss.pairs import make_pairs, match
from ablate.simclr.model import make_model
from ablate.simclr.model.optimizer import make_optimizer
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study
from ablate.trainer.world import ALONE

_MODEL = ("forward_and_loss", "backward", "optimizer")


def measure(steps: int = 120) -> dict[str, Any]:
    """The cell crop, color of the embedded profile, at its own batch and at 256."""
    study = load_study("augment_pairs")
    only = {"first": ["crop"], "second": ["color"]}
    config = expand(study, load_profile("embedded", study.source.path), only=only).trials[0].config
    sizes = {str(size): _parts(config, size, steps) for size in (config.batch_size, 256)}
    return {"unit": "milliseconds a step (medians), one thread", "aim": "rest at most 10 percent", "batch": sizes}


def _parts(config: Config, batch_size: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    keep_freed_memory()
    cpu = torch.device("cpu")
    data = load(config.data, cpu)
    model = make_model(config, data.classes, cpu).train()
    optimizer = make_optimizer(config.optimizer, model.parts())
    block = max(1, IMAGES_AT_ONCE // batch_size)  # steps whose views are made at once; the first block warms up
    measured = block * -(-steps // block)
    stream = Stream(data.train.images, config.augment, 32, batch_size, block + measured, 0, "pretrain", views=2)
    batches = stream.batches(0, ALONE, cpu)
    times: dict[str, list[float]] = {name: [] for name in ("views", *_MODEL)}
    for _ in range(block + measured):
        marks = [perf_counter()]
        views = next(batches).views
        marks.append(perf_counter())
        first, second = (F.normalize(z, dim=1) for z in model(views).z.chunk(2))
        (pairs,) = make_pairs(first, second, config.loss.negatives)
        match(first.detach(), second.detach(), config.loss.temperature)
        loss = nt_xent(pairs, config.loss)
        marks.append(perf_counter())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        marks.append(perf_counter())
        optimizer.step()
        marks.append(perf_counter())
        for name, start, end in zip(times, marks, marks[1:], strict=False):
            times[name].append(1e3 * (end - start))
    # Views of several small steps are made at once, so their share is a mean; the others are medians.
    parts = {name: median(values[block:]) for name, values in times.items()}
    parts["views"] = sum(times["views"][block:]) / measured
    rest = parts["views"] / sum(parts.values())
    return {**{name: round(value, 3) for name, value in parts.items()}, "rest_percent": round(100 * rest, 2)}
