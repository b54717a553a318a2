import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ablate.run.mps import PIPE
from tests.bench import gpu_parts
from tests.bench.gpu import BUDGET, Part, one_by_one
from tests.bench.gpu_parts import TOY, Bench

ROOT = Path(__file__).resolve().parents[1]


def test_each_part_of_the_benchmark_is_printed_and_written_when_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(until: float) -> dict[str, Any]:
        raise KeyboardInterrupt

    def failing(until: float) -> dict[str, Any]:
        raise ValueError("too few images")

    parts: dict[str, Part] = {"first": lambda until: {"speed": 2.0}, "second": failing, "third": killed}

    with pytest.raises(KeyboardInterrupt):
        one_by_one(parts, {"device": "cpu"}, tmp_path, minutes=8)
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["device"] == "cpu"
    assert written["first"]["speed"] == 2.0
    assert written["second"]["failed"] == "ValueError: too few images"
    assert "third" not in written
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["first", "second"]


def test_a_part_that_would_begin_after_the_deadline_is_left_out(tmp_path: Path) -> None:
    figures = one_by_one({"first": lambda until: {"speed": 2.0}}, {}, tmp_path, minutes=-1)
    assert figures["first"]["left_out"] == "no time was left: raise ABLATE_MINUTES"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no alarms")
def test_a_part_that_takes_twice_its_share_is_cut_off_and_the_next_one_begins(tmp_path: Path) -> None:
    """0.04 of the 8 minutes, of which the part has 0.15 s."""
    begun = time.perf_counter()
    parts: dict[str, Part] = {"loss": lambda until: time.sleep(60) or {}, "study": lambda until: {"until": until}}
    figures = one_by_one(parts, {}, tmp_path, minutes=0.04)
    assert figures["loss"]["failed"] == "TimeoutError: took longer than 0.3 s: raise ABLATE_MINUTES"
    assert figures["study"]["until"] - begun < 60 * 0.04
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_trials_side_by_side_are_measured_under_mps_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    service = SimpleNamespace(environment={PIPE: "/tmp/ablate-mps-imitated/pipe"}, end=lambda: ended.append(True))
    monkeypatch.setattr(gpu_parts, "MultiProcessService", lambda device, workers: service)
    inside: list[tuple[int, str | None]] = []
    bench = Bench(torch.device("cpu"), TOY, {}, deadline=0)
    monkeypatch.setattr(
        Bench, "_side_by_side", lambda _, count, **how: inside.append((count, os.environ.get(PIPE))) or 6
    )
    monkeypatch.delenv(PIPE, raising=False)
    assert bench.packing()["mps"] == {"side_by_side": 6, "ratio": 1.0}
    assert inside == [(1, None), (2, None), (2, "/tmp/ablate-mps-imitated/pipe")]
    assert ended == [True]


def test_the_shares_of_all_parts_are_eight_minutes() -> None:
    assert 420 <= sum(BUDGET.values()) <= 480


def test_the_parts_of_the_trainer_need_only_the_packages_that_travel() -> None:
    """torch, torchvision and what comes with them; pydantic and its own; and those that a part asks for before use."""
    found = "{name.partition('.')[0] for name, module in sys.modules.items() if 'site-packages' in str(module)}"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys, tests.bench.gpu; print(*{found})"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"duckdb", "polars", "altair", "typer", "rich", "jinja2", "scipy", "filelock"} & set(run.stdout.split())


def test_the_benchmark_of_a_gpu_runs_to_its_end_at_toy_size_on_a_cpu(tmp_path: Path) -> None:
    changes = {"ABLATE_DEVICE": "cpu", "OUT": str(tmp_path), "ABLATE_MINUTES": "60"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ABLATE_")}
    command = [sys.executable, "-m", "tests.bench", "gpu"]
    run = subprocess.run(command, cwd=ROOT, env=kept | changes, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    parts = ("resnet18", "lightly", "augmentation", "graphs", "packing", "resnet50", "loss", "study", "compiled")
    assert [name for name in parts if name not in found or "failed" in found[name]] == []
    assert found["resnet18"]["loop"]["median"] > 0
    assert found["graphs"]["ratio"]["median"] > 0
    assert found["packing"]["side_by_side"].keys() == {"1", "2"}
    fused = found["packing"]["fused"]
    assert fused.keys() == {"plain", "graph", "ratio", "a_member_without_numbers_harms_others"}
    assert fused["a_member_without_numbers_harms_others"] is False
    assert found["packing"]["mps"] == {"left_out": "needs an NVIDIA GPU and nvidia-cuda-mps-control"}
    assert found["study"]["page"] > 100_000
    assert found["size"].startswith("toy")
