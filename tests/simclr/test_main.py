"""`python -m ablate.simclr`, which needs nothing else of ablate."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.simclr.__main__ import SIGNALS, main

TOML = """
batch_size = 16
epochs = 2
warmup_epochs = 1
data = { name = "textures", image_size = 16, train_images = 64, test_images = 40 }
encoder = { name = "resnet8", stem = "strided" }
optimizer = { name = "adamw", learning_rate = 0.01, scaling = "none" }
evaluate.parts = ["cached_linear"]
"""


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
    assert "the pretraining is done already" in second.stdout
    assert json.loads((tmp_path / "out/result.json").read_text())["top1"] == result["top1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            TOML.replace("epochs = 2", "epoch = 2", 1),
            ("unknown key 'epoch'; did you mean 'epochs'?", "config.toml:3:1", "epoch = 2", "^^^^^", "keys are: seed"),
        ),
        (
            TOML + "[loss]\ntemprature = 0.5\n",
            ("unknown key 'temprature' in loss; did you mean 'temperature'?", "config.toml:10:1"),
        ),
        (TOML.replace("resnet8", "resnet9"), ("encoder.name = 'resnet9' is not one of: ", "did you mean 'resnet8'?")),
        ("epochs = [", ("Invalid value", "config.toml:1:11")),
        ("epochs = 2\n", ("warmup_epochs = 10 is more than epochs = 2",)),
        (
            TOML.replace("epochs = 2", "epochs = 'two'", 1),
            ("epochs = 'two': it must be a valid integer", "config.toml:3:1"),
        ),
        (TOML.replace("batch_size = 16", "batch_size = 65"), ("batch_size = 65 is more than data.train_images = 64",)),
        (TOML.replace('"textures",', '"folder", root = "gone",'), ("data.root: gone is neither a folder nor a CSV",)),
        (
            TOML.replace('"resnet8", stem = "strided"', '"torchvision", torchvision = "vit_b_16"'),
            ("encoder.torchvision: 'vit_b_16' cannot take images of 16 pixels: Wrong image height!",),
        ),
    ],
)
def test_a_mistake_in_the_config_is_told_with_its_place_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, told: tuple[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(text)
    assert main(["config.toml", "--output", "out"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert "  --> config.toml" in errors
    for each in told:
        assert each in errors


def test_mistakes_that_show_in_training_are_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    short = TOML.replace("epochs = 2\nwarmup_epochs = 1", "epochs = 1\nwarmup_epochs = 0")
    Path("config.toml").write_text(short.replace('"adamw", learning_rate = 0.01', '"sgd", learning_rate = 1e38'))
    assert main(["config.toml", "--output", "diverged"]) == 1
    assert "no longer" in capsys.readouterr().err
    Path("config.toml").write_text(short)
    assert main(["config.toml", "--output", "out"]) == 0
    Path("config.toml").write_text(short + "seed = 1\n".replace("seed", "loss.temperature"))
    assert main(["config.toml", "--output", "out"]) == 2
    assert "belongs to other settings; use another folder" in capsys.readouterr().err
    assert main(["missing.toml", "--output", "out"]) == 2
    assert capsys.readouterr().err == "error: missing.toml cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("loss.temperature = 1e-46", "knn"),
        ("evaluate.linear.learning_rate = 1e300", "linear"),
        ("evaluate.transformation.learning_rate = 1e38", "transformation"),  # Adam divides it by 0.1
    ],
)
def test_a_factor_that_float32_cannot_hold_is_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = TOML.replace("epochs = 2", "epochs = 1", 1).replace("cached_linear", part)
    Path("config.toml").write_text(f'{text}precision = "float32"\n{setting}\n')
    assert main(["config.toml", "--output", "out"]) == 1
    assert "exceeds the range of the number format (" in capsys.readouterr().err


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
    assert errors == "stopped; run the same command to resume from the last checkpoint\n"
    assert list(tmp_path.glob("out/checkpoints/step-*.pt"))
