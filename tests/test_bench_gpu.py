import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.gpu import one_by_one

ROOT = Path(__file__).resolve().parents[1]


def test_each_part_of_the_benchmark_is_printed_and_written_when_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed() -> dict[str, Any]:
        raise KeyboardInterrupt

    def failing() -> dict[str, Any]:
        raise ValueError("too few images")

    with pytest.raises(KeyboardInterrupt):
        one_by_one({"first": lambda: {"speed": 2.0}, "second": failing, "third": killed}, {"device": "cpu"}, tmp_path)
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["device"] == "cpu"
    assert written["first"]["speed"] == 2.0
    assert written["second"]["failed"] == "ValueError: too few images"
    assert "third" not in written
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["first", "second"]


def test_a_part_that_would_begin_after_the_deadline_is_left_out(tmp_path: Path) -> None:
    figures = one_by_one({"first": lambda: {"speed": 2.0}}, {}, tmp_path, time.perf_counter() - 1)
    assert figures["first"]["left_out"] == "no time was left: raise ABLATE_MINUTES"


def test_the_benchmark_of_a_gpu_runs_to_its_end_at_toy_size_on_a_cpu(tmp_path: Path) -> None:
    changes = {"ABLATE_DEVICE": "cpu", "OUT": str(tmp_path), "ABLATE_MINUTES": "60"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ABLATE_")}
    command = [sys.executable, "-m", "tests.bench", "gpu"]
    run = subprocess.run(command, cwd=ROOT, env=kept | changes, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    parts = ("resnet18", "lightly", "augmentation", "packing", "resnet50", "loss", "study")
    assert [name for name in parts if name not in found or "failed" in found[name]] == []
    assert found["resnet18"]["loop"]["median"] > 0
    assert found["packing"]["side_by_side"].keys() == {"1", "2"}
    assert found["study"]["page"] > 100_000
    assert found["size"].startswith("toy")
