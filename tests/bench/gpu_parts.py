"""The parts of the benchmark on a GPU."""

import contextlib
import functools
import importlib.util
import multiprocessing
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from ablate.run.mps import MultiProcessService, is_shared
from ablate.simclr import graph
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import load
from ablate.simclr.data.views import apply_views, draw_views
from ablate.simclr.group import WARM_UP, Group
from ablate.simclr.model import make_model
from ablate.simclr.model.fused import Fused
from ablate.simclr.model.optimizer import make_optimizer
from ablate.simclr.pretrain import contrastive_step, pretrain
from ablate.simclr.trainer import train
from ablate.simclr.training import start
from ablate.trainer.contract import Interrupted
from ablate.trainer.world import ALONE
from tests.bench.augmentation import kornia_chain, like_torchvision
from tests.bench.common import in_turn, ratio, spread
from tests.bench.loss import LOSSES
from tests.simclr import cpu_graph

STUDY = """
name = "bench"
title = "Bench"
question = "How long does a study of four cells take from the command to its page?"

[axes]
temperature = {{ setting = "loss.temperature", values = [0.05, 0.1, 0.2, 0.5] }}

[base]
{base}
"""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    warm_up: int
    """Steps before those that count: up to 32 batches are prefetched."""
    steps: int
    pairs: int
    """Batch size of ResNet-18 at 32 pixels."""
    photographs: int
    """Batch size of ResNet-50 at 224 pixels."""
    packed: int
    """Photographs in the pack, at least; a few are repeated."""
    loss: tuple[int, ...]
    """Numbers of views N of NT-Xent."""
    packing: tuple[int, ...]
    """Numbers of tiny trials side by side: the least, the most, others."""
    packed_steps: int
    study: str
    """Settings of the study's cells, on top of the profile `embedded`."""
    network: str = "resnet18"
    wide: str = "resnet50"
    side: int = 224
    compiler: str = "inductor"


FULL = Size(5, 40, 60, 512, 192, 2000, (4096, 16_384, 65_536), (1, 16, 4), 400, "")
TOY = Size(
    *(1, 1, 2, 16, 4, 8, (64, 128), (1, 2), 3),
    "epochs = 1\nbatch_size = 16\ndata.train_images = 64\ndata.test_images = 32\nwarmup_epochs = 0",
    network="resnet8",
    wide="resnet8",
    side=64,
    compiler="eager",  # no compiler at all: g++ takes minutes
)


@dataclass(frozen=True)
class Bench:
    """What all parts share."""

    device: torch.device
    size: Size
    images: Mapping[str, Any]
    """The settings of `data` of the images of 32 pixels."""
    deadline: float
    """By time.perf_counter: no measurement is repeated after it."""

    def resnet18(self) -> dict[str, Any]:
        """The loop and the model alone, with the CIFAR stem."""
        return self._loop_and_model(self._cifar10(), aim=0.97, least=35_000)

    def resnet50(self, pack: Path) -> dict[str, Any]:
        """The loop and the model alone, on photographs with the paper's augmentations."""
        settings = {
            "batch_size": self.size.photographs,
            "epochs": 100_000,
            "data": {"name": "packed", "root": pack, "image_size": self.size.side, "center_crop": 0.875},
            "encoder": {"name": self.size.wide},
        }
        return self._loop_and_model(Config.model_validate(settings), aim=0.95)

    def lightly(self, ours: float) -> dict[str, Any]:
        """lightly's loop, and how many times its speed this project's has."""
        if not importlib.util.find_spec("lightly") or self.images["name"] != "folder":
            return {"left_out": "needs lightly, and CIFAR-10 as a folder"}
        from tests.bench.gpu_lightly import pairs_per_second

        size = self.size
        found = pairs_per_second(self.images["root"], self.device, size.network, size.pairs, size.steps, size.warm_up)
        return {"unit": "pairs a second", "lightly": found, "aim": "ours at least 5 times it", "ratio": ours / found}

    def augmentation(self) -> dict[str, Any]:
        """Crop, flip, jitter and gray of a batch at 32 pixels alone, against kornia's batched chain."""
        shapes, augment = np.full((self.size.pairs, 2), 32), like_torchvision("bilinear", antialias=False)
        images = torch.rand(self.size.pairs, 3, 32, 32, device=self.device)
        step = iter(range(10**9))

        def ours() -> None:
            apply_views(draw_views(augment, shapes, 32, 0, next(step)), images, shapes, augment, 32)

        def fused() -> None:
            with_kernel = augment.model_copy(update={"color": augment.color.model_copy(update={"fused": True})})
            apply_views(draw_views(augment, shapes, 32, 0, next(step)), images, shapes, with_kernel, 32)

        measures = {"ours": lambda: self._speed(ours, self.size.pairs)}
        if self.device.type == "cuda" and importlib.util.find_spec("triton"):
            measures["fused_color"] = lambda: self._speed(fused, self.size.pairs)
        if importlib.util.find_spec("kornia"):
            chain = kornia_chain()
            measures["kornia"] = lambda: self._speed(lambda: chain(images.repeat(2, 1, 1, 1)), self.size.pairs)
        figures = self._in_turn(measures)
        found: dict[str, Any] = {name: spread(values) for name, values in figures.items()}
        if "kornia" in figures:
            found["ratio"] = ratio(figures["ours"], figures["kornia"])
        return {"unit": "pairs of views a second", **found}

    def loss(self) -> dict[str, Any]:
        """NT-Xent, forward and backward, of N views in 128 dimensions, against a plain one where that fits."""
        return {str(views): {name: self._loss(name, views) for name in ("ours", "plain")} for views in self.size.loss}

    def _loss(self, name: str, views: int) -> dict[str, Any]:
        on_gpu = self.device.type == "cuda"
        first, second = (torch.randn(views // 2, 128, device=self.device, requires_grad=True) for _ in range(2))
        try:
            LOSSES[name](first, second).backward()
            if on_gpu:
                torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device) if on_gpu else 0
            speed = self._speed(lambda: LOSSES[name](first, second).backward(), 1, passes=3)
        except torch.OutOfMemoryError:
            return {"failed": "out of memory"}
        memory = (torch.cuda.max_memory_allocated(self.device) - before) / 2**20 if on_gpu else None
        return {"seconds": 1 / speed, "mebibytes": memory}

    def graphs(self, plain: float) -> dict[str, Any]:
        """Steps a second of a tiny trial without and with `cuda_graph = true`; and once the loop of `resnet18`."""
        with self._imitated_graphs():
            ways = {"plain": _tiny(), "graph": _tiny(cuda_graph=True)}
            figures = self._in_turn(
                {name: lambda c=config: self._loop(c, 5) / c.batch_size for name, config in ways.items()}
            )
            resnet18 = self._loop(self._cifar10(cuda_graph=True), 5)
            colors = {"transforms": ("crop", "color"), "color": {"strength": 0.5, "fused": True}}
            fused = self._loop(self._cifar10(cuda_graph=True, augment=colors), 5)
        return {
            "unit": "steps a second, batch 32 at 32 pixels, ResNet-8; of ResNet-18 pairs a second",
            "aim": "graph at least 4 times plain",
            **{name: spread(values) for name, values in figures.items()},
            "ratio": ratio(figures["graph"], figures["plain"]),
            "resnet18": {"graph": resnet18, "ratio": resnet18 / plain, "with_fused_color": fused / plain},
        }

    @contextlib.contextmanager
    def _imitated_graphs(self) -> Iterator[None]:
        """At toy size, record steps on a CPU."""
        with contextlib.ExitStack() as stack:
            if self.device.type != "cuda":
                instead = {"_DEVICE": self.device.type, "beside": contextlib.nullcontext, "record": cpu_graph.record}
                for name, value in instead.items():
                    stack.enter_context(mock.patch.object(graph, name, value))
            yield

    def packing(self) -> dict[str, Any]:
        """Steps a second of tiny trials, several processes side by side on the device, in all; the most also by MPS."""
        least, most, *others = self.size.packing
        figures = {count: self._side_by_side(count) for count in (least, most)}
        under_mps = self._under_mps(most, figures[most])
        figures |= {count: self._side_by_side(count) for count in others if time.perf_counter() < self.deadline}
        return {
            "unit": "steps a second of all trials, batch 32 at 32 pixels, ResNet-8",
            "side_by_side": {str(count): found for count, found in figures.items()},
            "aim": "16 at least 3 times as fast as one after another",
            "ratio": figures[most] / figures[least],
            "mps": under_mps,
            "fused": self._as_one_network(most, figures[least]),
        }

    def _as_one_network(self, count: int, alone: float) -> dict[str, Any]:
        """Steps a second of so many tiny trials as one network, in all, without and with `cuda_graph = true`."""
        with self._imitated_graphs():
            found = {name: self._fused(count, cuda_graph=name == "graph") for name in ("plain", "graph")}
        return {**found, "ratio": found["graph"] / alone, "a_member_without_numbers_harms_others": self._spreads()}

    def _spreads(self) -> bool:
        """Whether the weights of one member, if they are not numbers, reach the outputs of the others."""
        models = [make_model(_tiny(seed=seed), 10, self.device) for seed in range(4)]
        torch.nn.init.constant_(models[1].encoder.get_parameter("conv1.weight"), torch.nan)
        others = Fused(models)(torch.rand(4, 64, 3, 32, 32, device=self.device))
        return not all(bool(torch.isfinite(others[k].z).all()) for k in (0, 2, 3))

    def _fused(self, count: int, **changes: Any) -> float:
        configs = [_tiny(seed=seed, **changes) for seed in range(count)]
        data, context = load(configs[0].data, self.device), _Timed(self.device, steps=10**12)
        models = [make_model(config, data.classes, self.device) for config in configs]
        own, *companions = (
            start(config, data.train.images, context, model, Checkpoints(None, "bench"))
            for config, model in zip(configs, models, strict=True)
        )
        group = Group(own, data, contrastive_step, {each: contextlib.ExitStack() for each in companions})
        seconds = group.train(WARM_UP + self.size.packed_steps)
        assert seconds is not None
        return count / seconds

    def _under_mps(self, count: int, without: float) -> dict[str, Any]:
        service = MultiProcessService(str(self.device), count)
        try:
            if not is_shared(service.environment):
                return {"left_out": service.note or "needs an NVIDIA GPU and nvidia-cuda-mps-control"}
            with mock.patch.dict(os.environ, service.environment):
                found = self._side_by_side(count, patience=60)
        except queue.Empty:
            return {"failed": "the trials took longer than 60 s"}
        finally:
            service.end()
        return {"side_by_side": found, "ratio": found / without}

    def _side_by_side(self, count: int, patience: float = 300) -> float:
        context = multiprocessing.get_context("spawn")
        ready, times = context.Barrier(count), context.Queue()
        arguments = (str(self.device), self.size, ready, times)
        processes = [context.Process(target=_tiny_trial, args=arguments) for _ in range(count)]
        try:
            for process in processes:
                process.start()
            spans = [times.get(timeout=patience) for _ in processes]
            for process in processes:
                process.join()
        finally:  # also where time is over
            for process in processes:
                if process.pid:
                    process.kill()
        return count * self.size.packed_steps / (max(end for _, end in spans) - min(begin for begin, _ in spans))

    def study(self, made: Path) -> dict[str, Any]:
        """`ablate run` of a study of four cells at `embedded`, from the command to the page."""
        if missing := [name for name in ("duckdb", "polars", "altair", "typer") if not importlib.util.find_spec(name)]:
            return {"left_out": f"needs {', '.join(missing)}"}
        folder = made / "study"
        (folder / "studies").mkdir(parents=True)
        root = Path(__file__).resolve().parents[2]
        (folder / "studies" / "profiles").symlink_to(root / "studies" / "profiles")
        (folder / "studies" / "bench.toml").write_text(STUDY.format(base=self.size.study))
        command = [sys.executable, "-m", "ablate", "run", "bench", "--device", self.device.type]
        searched = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
        began = time.perf_counter()
        run = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": searched}, timeout=300
        )
        seconds = time.perf_counter() - began
        if run.returncode:
            return {"failed": f"exit code {run.returncode}: {(run.stdout + run.stderr)[-1500:]}"}
        return {"trials": 4, "seconds": seconds, "page": (folder / "reports" / "bench.html").stat().st_size}

    def compiled(self, plain: float) -> dict[str, Any]:
        """The loop of `resnet18` with `compile = true`, once, and the seconds that the compiler adds to a training."""
        config = self._cifar10(compile=True)
        load(config.data, self.device)
        began = time.perf_counter()
        with mock.patch.object(torch, "compile", functools.partial(torch.compile, backend=self.size.compiler)):
            found = self._loop(config)
        steps = (self.size.warm_up + self.size.steps) * self.size.pairs / found
        added = max(0.0, time.perf_counter() - began - steps)
        return {"unit": "pairs a second", "loop": found, "ratio": found / plain, "seconds_to_compile": added}

    def long(self, epochs: int) -> dict[str, Any]:
        """CIFAR-10 for many epochs, and what it is worth."""
        context = _Timed(self.device, steps=10**12)
        began = time.perf_counter()
        found = train(self._cifar10(epochs=epochs, warmup_epochs=min(10, epochs)), context)
        kept = ("top1", "knn_top1", "online_test_top1", "loss", "pretrain_seconds", "evaluate_seconds", "precision")
        return {
            "epochs": epochs,
            "aim": "90 percent of the nearest neighbours right within 12 minutes",
            "seconds": time.perf_counter() - began,
            "seconds_an_epoch": float(found["pretrain_seconds"]) / epochs,
            **{name: found[name] for name in kept},
        }

    def _cifar10(self, **changes: Any) -> Config:
        """ResNet-18 with the CIFAR stem, batch 512: App. B.9 and the authors' README."""
        settings = {
            "batch_size": self.size.pairs,
            "epochs": 100_000,
            "data": dict(self.images),
            "augment": {"transforms": ("crop", "color"), "color": {"strength": 0.5}},
            "encoder": {"name": self.size.network, "stem": "cifar" if self.size.network == "resnet18" else "strided"},
            "loss": {"temperature": 0.5},
            "optimizer": {"learning_rate": 1.0},
            "evaluate": {"parts": ("cached_linear", "knn")},
        }
        if self.size is TOY:
            settings["data"] |= {"train_images": 64, "test_images": 32}  # type: ignore[operator]
        return Config.model_validate(settings | changes)

    def _loop_and_model(self, config: Config, aim: float, least: int = 0) -> dict[str, Any]:
        """The pretraining as a trial runs it, and its model on batches that are ready on the device, in turn."""
        data = load(config.data, self.device)

        figures = self._in_turn(
            {"loop": lambda: self._loop(config), "model": lambda: self._model_alone(config, data.classes)}
        )
        return {
            "unit": "pairs a second",
            "batch_size": config.batch_size,
            "aim": f"loop at least {aim} of model" + (f", and {least} pairs a second" if least else ""),
            **{name: spread(values) for name, values in figures.items()},
            "ratio": ratio(figures["loop"], figures["model"]),
        }

    def _loop(self, config: Config, warm_up: int = 0) -> float:
        """Pairs a second of the pretraining as a trial runs it, after this many steps at least."""
        timed = _Timed(self.device, max(warm_up, self.size.warm_up), self.size.steps)
        try:
            pretrain(config, load(config.data, self.device), timed)
        except Interrupted:
            return self.size.steps * config.batch_size / timed.seconds()
        raise AssertionError("the training ended before it was stopped")

    def _model_alone(self, config: Config, classes: int) -> float:
        """Pairs a second without augmentation and probe."""
        net = make_model(config, classes, self.device).train()
        optimizer = make_optimizer(config.optimizer, net.parts())
        side = config.data.image_size
        views = torch.rand(2 * config.batch_size, 3, side, side, device=self.device)
        labels = torch.zeros(config.batch_size, dtype=torch.long, device=self.device)
        alone = config.model_copy(update={"online_probe": False})

        def step() -> None:
            net.zero_grad(set_to_none=True)
            contrastive_step(alone, net, views, labels)
            optimizer.step()

        return self._speed(step, config.batch_size, passes=self.size.steps)

    def _speed(self, make: Callable[[], object], items: int, passes: int | None = None) -> float:
        """Items a second, after a warm-up."""
        passes = passes or self.size.steps
        for _ in range(min(passes, self.size.warm_up)):
            make()
        _wait(self.device)
        began = time.perf_counter()
        for _ in range(passes):
            make()
        _wait(self.device)
        return passes * items / (time.perf_counter() - began)

    def _in_turn(self, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """One round at least; more until the deadline."""
        figures = in_turn(1, measures)
        for _ in range(self.size.rounds - 1):
            if time.perf_counter() > self.deadline:
                break
            for name, values in in_turn(1, measures).items():
                figures[name] += values
        return figures


class _Timed:
    """A context that stops after some steps and knows how long those after the warm-up took."""

    world, checkpoints = ALONE, None

    def __init__(self, device: torch.device, warm_up: int = 0, steps: int = 0) -> None:
        self.device, self._warm_up, self._last = device, warm_up, warm_up + steps
        self._marks: list[float] = []
        self._over = False

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Fail where a setting does not do what is measured."""
        if "has no effect" in message:
            raise RuntimeError(message)

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        """Note the time at the first step that counts and at the last, the device waited for."""
        if done in (self._warm_up, self._last):
            _wait(self.device)
            self._marks.append(time.perf_counter())
        self._over = done >= self._last

    def keep_correct(self, metric: str, correct: Iterable[bool]) -> None:
        """Nothing."""

    def stopping(self) -> bool:
        """After the last step that counts."""
        return self._over

    def seconds(self) -> float:
        """Of the steps that count."""
        return self._marks[-1] - self._marks[0]


def _tiny(**changes: Any) -> Config:
    """A cell of `embedded`, without an end."""
    settings = {
        "batch_size": 32,
        "epochs": 100_000,
        "data": {"name": "textures", "image_size": 32, "train_images": 640, "test_images": 32},
        "augment": {"transforms": ("crop", "color")},
        "encoder": {"name": "resnet8", "stem": "strided"},
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
    }
    return Config.model_validate(settings | changes)


def _tiny_trial(device: str, size: Size, ready: Any, times: Any) -> None:
    """A process: the steps of a cell of `embedded`, which begin when all processes have warmed up."""
    torch.set_num_threads(1)
    context, config = _Packed(torch.device(device), size, ready), _tiny()
    try:
        pretrain(config, load(config.data, context.device), context)
    except Interrupted:
        times.put((context.began, time.time()))


class _Packed(_Timed):
    """A context that meets the others after the warm-up; its times are comparable between processes."""

    def __init__(self, device: torch.device, size: Size, ready: Any) -> None:
        super().__init__(device, size.warm_up, size.packed_steps)
        self._ready, self.began = ready, 0.0

    def progress(self, done: int, total: int, now: Callable[[], Mapping[str, Any]]) -> None:
        """Wait for the others before the first step that counts, and for the device after the last."""
        if done == self._warm_up:
            _wait(self.device)
            self._ready.wait(timeout=300)
            self.began = time.time()
        super().progress(done, total, now)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
