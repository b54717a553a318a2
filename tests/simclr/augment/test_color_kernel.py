"""Color distortion in one kernel, without a GPU: Triton's interpreter computes it, its compiler compiles it."""

import importlib.util
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablate.simclr.augment.color import Color, apply, draw

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="needs Triton")
ROOT = Path(__file__).parents[3]
WAYS = list(product(("additive", "multiplicative"), ("tensorflow", "torchvision"), (7, 40)))


def run(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "tests.simclr.augment.kernel", *arguments]
    ran = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, tuple[np.ndarray[Any, Any], torch.Tensor]]:
    """For each way, what the kernel makes of images, and what the plain code does in float64."""
    folder, wanted, random = tmp_path_factory.mktemp("kernel"), {}, np.random.default_rng(0)
    for number, way in enumerate(WAYS):
        brightness, operations, size = way
        settings = Color(strength=1.5, brightness=brightness, operations=operations)
        draws = draw(settings, np.full((30, 2), size), random, 2)
        assert set(map(tuple, draws["order"])) > {(-1, -1, -1, -1)}
        images = random.random((30, 3, size, size), dtype=np.float32)
        images[0], images[1], images[2], images[3] = 0, 1, 0.5, images[3, :1]  # gray ones have no hue
        images[4, 0] = images[4, 1] = 1  # two channels are the greatest
        np.savez(
            folder / f"{number}.npz",
            images=images,
            ways=[brightness == "additive", operations == "tensorflow"],
            **draws,
        )
        wanted[way] = apply(torch.from_numpy(images).double(), draws, settings)
    run("computes", str(folder), TRITON_INTERPRET="1")
    return {way: (np.load(folder / f"{number}.npy"), wanted[way]) for number, way in enumerate(WAYS)}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_kernel_computes_what_the_plain_code_does_to_a_hundred_thousandth(results: Any, way: Any) -> None:
    """Also of images of one gray or of one color, and of images of more pixels than are held at once."""
    found, wanted = results[way]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5)


def test_the_kernel_compiles_for_gpus(tmp_path: Path) -> None:
    sizes = json.loads(run("compiles", TRITON_CACHE_DIR=str(tmp_path)))
    assert len(sizes) == 4
    assert min(sizes.values()) > 1000
