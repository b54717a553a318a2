"""What the trainer asks of a GPU and of several ranks on GPUs, with an imitation of torch.cuda: no GPU is needed."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ablate.errors import UserError
from ablate.simclr import __main__ as program
from ablate.simclr.base import checkpoint
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.base.device import arithmetic, free_memory, number_format
from ablate.simclr.base.resample import _add_taps
from ablate.simclr.config import Config
from ablate.simclr.means import Means
from ablate.simclr.model.synchronized import synchronized
from ablate.simclr.pretrain import owner
from ablate.study.expansion.trial import identity
from ablate.trainer.world import ALONE, TIMEOUT, World, refuse_shared_gpus, started

GPU = torch.device("cuda")


def convolutions_and_products() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    before = convolutions_and_products()
    yield
    assert convolutions_and_products() == before


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "float64"])
@pytest.mark.usefixtures("ampere")
def test_no_precision_but_tf32_computes_in_tf32(precision: Any) -> None:
    assert convolutions_and_products()[0]  # torch's default
    with arithmetic(precision, False, GPU):
        assert convolutions_and_products() == (False, False)


@pytest.mark.usefixtures("ampere")
def test_tf32_is_a_precision_of_its_own_where_a_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with arithmetic("tf32", False, GPU):
        assert convolutions_and_products() == (True, False)
    assert number_format("tf32", GPU) == "tf32"
    assert number_format("tf32", torch.device("cpu")) == "float32"
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: False)
    with arithmetic("tf32", False, GPU):
        assert convolutions_and_products() == (False, False)
    assert number_format("tf32", GPU) == "float32"


@pytest.mark.usefixtures("ampere")
def test_deterministic_pins_the_algorithms_for_the_training_only() -> None:
    for wanted in (True, False):
        with arithmetic("auto", wanted, GPU):
            assert torch.are_deterministic_algorithms_enabled() == torch.backends.cudnn.deterministic == wanted
            assert not torch.backends.cudnn.benchmark
        assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.deterministic


def test_taps_that_read_one_pixel_are_added_in_the_same_order_one_by_one_and_at_once() -> None:
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 5, 5, generator=random)
    pixel = torch.randint(0, 3, weights.shape, generator=random)  # several taps on each pixel
    found = [_add_taps(torch.zeros(3, 5, 4), pixel, weights, at_once) for at_once in (True, False)]
    assert torch.equal(*found)


def test_deterministic_is_no_part_of_what_a_trial_or_its_pretraining_is() -> None:
    plain, fixed = Config(), Config(deterministic=True)
    assert identity(plain) == identity(fixed)
    assert owner(plain) == owner(fixed)


@pytest.mark.parametrize(("part", "reserved", "left"), [(1.0, 10, 70), (0.25, 10, 15), (0.25, 30, 0)])
def test_images_take_a_share_of_what_the_process_may_use_and_not_of_the_whole_gpu(
    monkeypatch: pytest.MonkeyPatch, part: float, reserved: int, left: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (70, 100))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: part)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)
    assert free_memory(GPU) == left


class Store(dict[str, bytes]):
    def set(self, name: str, value: str) -> None:
        self[name] = value.encode()


def test_ranks_that_would_share_a_gpu_are_refused_on_each_rank_and_others_are_not() -> None:
    gpus = ["one GPU-a", "one GPU-b", "two GPU-a", "one GPU-b"]
    for size, refused in ((3, False), (4, True)):
        store = Store({f"gpu-{rank}": gpu.encode() for rank, gpu in enumerate(gpus)})
        for rank in range(size):
            if not refused:
                refuse_shared_gpus(store, World(rank, size), gpus[rank])
                continue
            with pytest.raises(UserError, match="ranks 1, 3 would share one GPU of one"):
                refuse_shared_gpus(store, World(rank, size), gpus[rank])


def test_ranks_without_a_gpu_are_an_error_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "-",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match="torch sees no GPU"), started("cuda"):
        raise AssertionError
    (tmp_path / "config.toml").write_text("epochs = 0\nwarmup_epochs = 0\n")
    arguments = [str(tmp_path / "config.toml"), "--output", str(tmp_path), "--device", "cuda"]
    monkeypatch.setattr("sys.argv", ["simclr", *arguments])
    monkeypatch.setattr(program, "SIGNALS", ())
    assert program.main() == 2
    assert "error: --device cuda: torch sees no GPU" in capsys.readouterr().err


def test_the_first_rank_tells_the_others_that_it_still_waits_for_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TIMEOUT.total_seconds() > 10 * checkpoint._TELL_SECONDS
    monkeypatch.setattr(checkpoint, "_TELL_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "_WAIT_SECONDS", 0.0)
    told: list[bool | None] = []

    class Telling(World):
        def tell(self, value: Any) -> Any:
            told.append(value)
            return value

    said: list[str] = []
    with Checkpoints(tmp_path, "me").alone(lambda: False) as alone:
        assert alone
        waiting = Checkpoints(tmp_path, "me", said.append, Telling(0, 2))
        with waiting.alone(lambda: len(told) > 3) as other:
            assert not other
    assert told == [None, None, None, None, False]
    assert len(said) == 1


class Waits(TorchDispatchMode):
    """Counts operations whose result must be on the CPU before Python can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        if any(name in str(function) for name in ("_local_scalar_dense", "nonzero", "aten.index.", "masked_select")):
            self.found.append(str(function))
        return function(*arguments, **keywords or {})


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (6, 4)])
def test_batch_norm_over_gpus_is_that_of_the_whole_batch_and_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    """The other rank has the same images, so sums over ranks are twice this rank's; torch's kernels are written out."""
    axes = [0, *range(2, len(shape))]

    def wide(values: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (len(shape) - 2))

    def combined(inputs: Tensor, means: Tensor, inverses: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        running_mean, running_var, momentum, eps, counts = rest
        mean = means.mean(0)
        variance = (inverses**-2 - eps + (means - mean) ** 2).mean(0)
        total = counts.sum()
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (total / (total - 1)), momentum)
        return mean, (variance + eps) ** -0.5

    for name, kernel in {
        "batch_norm_stats": lambda x, eps: (x.mean(axes), (x.var(axes, correction=0) + eps) ** -0.5),
        "batch_norm_gather_stats_with_counts": combined,
        "batch_norm_elemt": lambda x, w, b, mean, inverse, eps: (x - wide(mean)) * wide(inverse * w) + wide(b),
    }.items():
        monkeypatch.setattr(torch, name, kernel)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(
        torch.distributed, "all_gather_into_tensor", lambda out, own, group: out.copy_(torch.cat([own, own]))
    )
    torch.manual_seed(0)
    local = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(4).double()
    nn.init.normal_(local.weight), nn.init.normal_(local.bias)
    ours, inputs = synchronized(copy.deepcopy(local)), torch.randn(shape, dtype=torch.float64)
    with Waits() as waits:
        output = ours(inputs)
    assert waits.found == []
    torch.testing.assert_close(output, local(torch.cat([inputs, inputs]))[:6])
    torch.testing.assert_close(ours.state_dict(), local.state_dict())
    ours.eval(), local.eval()
    torch.testing.assert_close(ours(inputs), local(inputs))


def test_means_are_those_of_the_steps_that_had_the_measure_and_the_first_broken_step_is_known() -> None:
    random, means = np.random.default_rng(0), Means(ALONE, torch.device("cpu"))
    means.restart(10)
    rows = random.normal(size=(7, 2))
    for step, (loss, norm) in enumerate(rows):
        norms = {"gradient_norm": torch.tensor(norm)} if step % 3 == 0 else {}
        means.add({"loss": torch.tensor(loss, dtype=torch.float32), **norms})
    reading = means.start_reading()
    expected = {"loss": np.mean(rows[:, 0].astype(np.float32).astype(float)), "gradient_norm": np.mean(rows[::3, 1])}
    assert reading.means() == pytest.approx(expected, rel=1e-12)
    assert reading.broken() is None
    sums, counts = means.state()
    again = Means(ALONE, torch.device("cpu"))
    again.load(sums, json.loads(json.dumps(counts)), 17)
    assert again.start_reading().means() == reading.means()
    for loss in (1.0, float("inf"), float("-inf"), 1.0):
        again.add({"loss": torch.tensor(loss)})
    assert again.start_reading().broken() == 18


def test_progress_on_a_gpu_shows_earlier_means_while_the_new_ones_are_on_their_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived, waited = [False], []
    event = SimpleNamespace(record=lambda: None, query=lambda: arrived[0], synchronize=lambda: waited.append(1))
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    empty, zeros = torch.empty, torch.zeros
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **how: empty(*size, **how))
    monkeypatch.setattr(torch, "zeros", lambda *size, device=None, **how: zeros(*size, **how))
    means = Means(ALONE, GPU)
    means.add({"loss": torch.tensor(2.0)})
    assert means.lately().means() == {}
    means.add({"loss": torch.tensor(4.0)})
    assert means.lately().means() == {}
    assert waited == []
    arrived[0] = True
    assert means.lately().means() == {"loss": 2.0}
    assert means.lately().means() == {"loss": 3.0}
