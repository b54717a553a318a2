"""The recipes of CONTRIBUTING.md: an augmentation and a loss are added to a copy of the package, by two files each."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INVERT = '''
"""Inversion: each image as its negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.simclr.base import Probability, Settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ablate.simclr.augment import Draws, Shapes


class Invert(Settings):
    """Values become 1 minus themselves."""

    probability: Probability = 0.25
    """How many images are inverted."""


def draw(settings: Invert, shapes: Shapes, random: np.random.Generator, views: int) -> Draws:
    """Draw which images are inverted."""
    return {"applied": random.random(len(shapes)) < settings.probability}


def apply(images: Tensor, draws: Draws, settings: Invert) -> Tensor:
    """Invert each image."""
    return 1 - images
'''

TEST_INVERT = """
import torch

from ablate.simclr.augment.invert import Invert, apply


def test_inversion_is_one_minus_the_image() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(apply(images, {}, Invert()), 1 - images)
"""

SQUARED = '''
def squared(pairs: Pairs, settings: Loss) -> Tensor:
    """The mean squared distance of each anchor from its positive, times `power`."""
    return settings.power * (pairs.anchors - pairs.candidates[pairs.positive]).square().sum(1).mean()


LOSSES'''

TEST_SQUARED = """
import torch

from ablate.simclr.loss import Loss, squared
from ablate.simclr.loss.pairs import Pairs


def test_the_squared_loss_of_one_pair_is_its_squared_distance_times_the_power() -> None:
    pairs = Pairs(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0]))
    assert squared(pairs, Loss(name="squared", power=3.0)) == 6
"""

CONFIG = """
batch_size = 16
epochs = 1
warmup_epochs = 0
data = { name = "textures", image_size = 16, train_images = 32, test_images = 20 }
encoder = { name = "resnet8", stem = "strided" }
optimizer = { name = "adamw", learning_rate = 0.01, scaling = "none" }
evaluate.parts = ["knn"]
"""

STUDY = """
name = "tried"
title = "Tried"
question = "Does it matter?"
[base]
{base}
[axes]
varied = {{ setting = "{setting}", values = [0.1, 0.9] }}
[profile.embedded]
base.epochs = 10
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package, its documents' generator and a place for tests."""
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("ablate", "docs", "studies", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    return tmp_path


def run(copy: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def touched(copy: Path) -> set[str]:
    """The source files that differ from those of the package, and the new ones."""
    files = [path.relative_to(copy) for folder in ("ablate", "docs", "tests") for path in (copy / folder).rglob("*")]
    return {
        path.as_posix()
        for path in files
        if (copy / path).is_file()
        and "__pycache__" not in path.parts
        and not ((ROOT / path).is_file() and filecmp.cmp(ROOT / path, copy / path, shallow=False))
    }


def train(copy: Path, settings: str) -> dict[str, float]:
    (copy / "config.toml").write_text(CONFIG + settings, encoding="utf-8")
    run(copy, "-m", "ablate.simclr", "config.toml", "--output", "trained")
    result: dict[str, float] = json.loads((copy / "trained" / "result.json").read_text(encoding="utf-8"))
    return result


def check(copy: Path, base: str, setting: str) -> str:
    (copy / "tried.toml").write_text(STUDY.format(base=base, setting=setting), encoding="utf-8")
    return run(copy, "-m", "ablate", "check", "tried.toml")


def test_an_augmentation_is_one_file_and_its_test(copy: Path) -> None:
    (copy / "ablate/simclr/augment/invert.py").write_text(INVERT.lstrip(), encoding="utf-8")
    (copy / "tests/simclr/augment/test_invert.py").write_text(TEST_INVERT.lstrip(), encoding="utf-8")
    assert touched(copy) == {"ablate/simclr/augment/invert.py", "tests/simclr/augment/test_invert.py"}
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/simclr/augment/test_invert.py")
    program = "from ablate.study.json_schema import *; from ablate.trainer.find import find_trainer as find"
    schema = run(copy, "-c", f"{program}; print(json_schema(find()))")
    assert "'motion_blur', 'invert'" in schema
    assert "How many images are inverted." in schema
    assert "invert" in run(copy, "-m", "ablate", "schema")
    documents = run(copy, "-c", "import sys; sys.path.insert(0, 'docs'); import build; print(build.settings())")
    assert "| `augment.invert.probability` | number ≥ 0 and ≤ 1 | `0.25` | How many images are inverted. |" in documents
    assert "`motion_blur`, `invert`" in documents
    warnings = check(copy, 'augment.transforms = ["crop"]', "augment.invert.probability")
    assert "augment.invert.probability changes nothing in any cell" in warnings
    assert train(copy, 'augment.transforms = ["crop", "invert"]')["loss"] > 0


def test_a_loss_is_one_function_in_one_file_and_its_test(copy: Path) -> None:
    losses = copy / "ablate/simclr/loss/__init__.py"
    text = losses.read_text(encoding="utf-8")
    text = text.replace('"margin"] =', '"margin", "squared"] =')
    text = text.replace('"margin": margin', '"margin": margin, "squared": squared')
    text = text.replace(
        "    @model_validator", '    power: float = 1.0\n    """Factor of `squared`."""\n\n    @model_validator', 1
    )
    losses.write_text(text.replace("\nLOSSES", SQUARED, 1), encoding="utf-8")
    (copy / "tests/simclr/test_squared.py").write_text(TEST_SQUARED.lstrip(), encoding="utf-8")
    assert touched(copy) == {"ablate/simclr/loss/__init__.py", "tests/simclr/test_squared.py"}
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/simclr/test_squared.py")
    documents = run(copy, "-c", "import sys; sys.path.insert(0, 'docs'); import build; print(build.settings())")
    assert "`nt_xent`, `nt_logistic`, `margin`, `squared`" in documents
    assert "| `loss.power` | number | `1.0` | Factor of `squared`. |" in documents
    assert "squared" in run(copy, "-m", "ablate", "schema")
    assert 0 <= train(copy, 'loss = { name = "squared", power = 2.0 }')["loss"] <= 8
