import ctypes
import math
from typing import Any

import pytest
import torch

from ablate.simclr.base.device import keep_freed_memory, number_format
from ablate.simclr.data.batches import as_floats
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.model import make_model
from ablate.simclr.pretrain import pretrain
from tests.simclr.conftest import Listener, only, small_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("has", [True, False])
def test_auto_follows_the_instructions_and_an_explicit_precision_does_not(has: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    assert number_format("auto", CPU) == ("bfloat16" if has else "float32")
    for precision in ("float32", "bfloat16", "float64"):
        assert number_format(precision, CPU) == precision


@pytest.mark.parametrize("has", [True, False])
def test_auto_on_a_gpu_asks_for_bfloat16_that_is_not_emulated(has: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has)
    assert number_format("auto", torch.device("cuda")) == ("bfloat16" if has else "float32")


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_another_format_gives_the_projections_of_float32_to_its_precision(data: Dataset, precision: str) -> None:
    z = {}
    for name in ("float32", precision):
        model = make_model(small_config(precision=name), 10, CPU).train()
        images = as_floats(data.train.images.pixels)  # type: ignore[attr-defined]
        z[name] = torch.nn.functional.normalize(model(images.to(next(model.parameters()).dtype)).z, dim=1)
        assert z[name].dtype == (torch.float64 if name == "float64" else torch.float32)
    similarity = (z["float32"] * z[precision]).sum(1).mean().item()
    assert similarity == pytest.approx(1, abs=0.01 if precision == "bfloat16" else 1e-5)
    assert not torch.equal(z["float32"].double(), z[precision].double())


@pytest.mark.parametrize("seed", range(3))
def test_a_training_step_in_bfloat16_has_the_loss_of_float32_within_two_percent(data: Dataset, seed: int) -> None:
    few = Dataset(only(data.train, 16), data.test, data.classes)  # one step an epoch
    losses, kept = {}, {}
    for precision in ("float32", "bfloat16"):
        listener = Listener()
        model, _ = pretrain(small_config(precision=precision, epochs=3, seed=seed), few, listener)
        losses[precision] = [row["loss"] for row in listener.rows]
        kept[precision] = model.encoder.conv1.weight.detach()
    assert losses["bfloat16"][0] == pytest.approx(losses["float32"][0], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]
    assert all(math.isfinite(loss) for loss in losses["bfloat16"])
    assert kept["bfloat16"].dtype == torch.float32  # autocast computes in bfloat16, weights are kept in float32


def test_keeping_freed_memory_does_nothing_where_there_is_no_glibc(monkeypatch: Any) -> None:
    asked = []

    def missing(name: str) -> None:
        asked.append(name)
        raise OSError(f"{name}: no such file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    keep_freed_memory()
    assert asked == ["libc.so.6"]
