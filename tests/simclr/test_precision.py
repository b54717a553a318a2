import ctypes
import math
from typing import Any

import pytest
import torch

from ablate.simclr.data.images import Dataset, Split
from ablate.simclr.precision import computes_bfloat16, keep_freed_memory
from ablate.simclr.pretrain import as_input, make_model, pretrain, project
from tests.simclr.conftest import Listener, small_config


def test_auto_precision_is_what_the_processor_has_instructions_for() -> None:
    has = torch.cpu._is_avx512_bf16_supported()
    assert computes_bfloat16("auto", torch.device("cpu")) == has
    assert computes_bfloat16("bfloat16", torch.device("cpu"))
    assert not computes_bfloat16("float32", torch.device("cpu"))


def test_bfloat16_gives_the_projections_of_float32_to_its_precision(data: Dataset) -> None:
    z = {}
    for precision in ("float32", "bfloat16"):
        config = small_config(precision=precision)
        encoder, head = make_model(config, torch.device("cpu"))
        first, _ = project(config, encoder, head, as_input(data.train.images))
        assert first.dtype == torch.float32
        z[precision] = torch.nn.functional.normalize(first, dim=1)
    assert (z["float32"] * z["bfloat16"]).sum(1).mean() > 0.99  # cosine similarity
    assert not torch.equal(z["float32"], z["bfloat16"])


@pytest.mark.parametrize("has", [True, False])
def test_auto_follows_the_instructions_and_an_explicit_precision_does_not(has: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    cpu = torch.device("cpu")
    assert computes_bfloat16("auto", cpu) == has
    assert computes_bfloat16("bfloat16", cpu)
    assert not computes_bfloat16("float32", cpu)


@pytest.mark.parametrize("has", [True, False])
def test_auto_on_a_gpu_asks_for_bfloat16_that_is_not_emulated(has: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has)
    assert computes_bfloat16("auto", torch.device("cuda")) == has


@pytest.mark.parametrize("seed", range(3))
def test_a_training_step_in_bfloat16_has_the_loss_of_float32_within_two_percent(data: Dataset, seed: int) -> None:
    few = Split(data.train.images[:16], data.train.labels[:16])  # one step an epoch
    losses, kept = {}, {}
    for precision in ("float32", "bfloat16"):
        listener = Listener()
        encoder, _ = pretrain(small_config(precision=precision, epochs=3, seed=seed), few, listener)
        losses[precision] = [row["loss"] for row in listener.rows]
        kept[precision] = encoder.conv1.weight.detach()
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
