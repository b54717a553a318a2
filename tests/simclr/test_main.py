"""`python -m ablate.simclr`, which needs nothing else of ablate."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOML = """
batch_size = 16
epochs = 2
warmup_epochs = 1
data = { name = "textures", image_size = 16, train_images = 64, test_images = 40 }
encoder = { name = "resnet8", stem = "strided" }
optimizer = { name = "adamw", learning_rate = 0.01, scaling = "none" }
evaluate.parts = ["cached_linear"]
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "config.toml").write_text(text)
    command = [sys.executable, "-m", "ablate.simclr", "config.toml", "--output", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_it_trains_a_config_and_reads_its_end_the_second_time(tmp_path: Path) -> None:
    first = run(tmp_path, TOML)
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert 0 <= result["top1"] <= 100
    assert first.stdout.count("phase=pretrain") == 2
    second = run(tmp_path, TOML)
    assert "the pretraining was done before" in second.stdout
    assert json.loads((tmp_path / "out/result.json").read_text())["top1"] == result["top1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [(TOML.replace("epochs = 2", "epoch = 2", 1), "epoch"), ("epochs = [", "Invalid"), ("epochs = 2\n", "warmup")],
)
def test_a_mistake_in_the_config_is_told_with_exit_code_2(tmp_path: Path, text: str, told: str) -> None:
    made = run(tmp_path, text)
    assert made.returncode == 2
    assert made.stderr.startswith("error: config.toml: ")
    assert told in made.stderr
    assert "Traceback" not in made.stderr


def test_without_its_folder_it_says_what_is_missing() -> None:
    made = subprocess.run([sys.executable, "-m", "ablate.simclr", "x.toml"], capture_output=True, text=True)
    assert made.returncode == 2
    assert "--output" in made.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_of_the_scheduler_saves_the_state_and_ends_with_75(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "config.toml").write_text(TOML.replace("epochs = 2", "epochs = 5000\ncheckpoint_minutes = 0", 1))
    command = [sys.executable, "-m", "ablate.simclr", "config.toml", "--output", "out"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out/checkpoints/step-*.pt")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert errors == "stopped; the same command goes on from the last checkpoint\n"
    assert list(tmp_path.glob("out/checkpoints/step-*.pt"))
