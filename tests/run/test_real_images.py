import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

pytestmark = pytest.mark.real_images


def test_a_pair_trains_on_photographs_to_well_above_chance(cifar10: Path, tmp_path: Path) -> None:
    folders = ("--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports"))
    smaller = ("--set", "data.train_images=3000", "--set", "data.test_images=1000", "--set", "epochs=3")
    cell = ("--only", "first=crop", "--only", "second=color", "--set", "batch_size=64", "--set", f"data.root={cifar10}")
    command = [sys.executable, "-m", "ablate", "run", "augment_pairs", "--profile", "small", *cell, *smaller, *folders]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=300)
    command = [sys.executable, "-m", "ablate", "export", "augment_pairs", *folders[:2]]
    (row,) = csv.DictReader(io.StringIO(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    scale = "small+batch_size=64+data.test_images=1000+data.train_images=3000+epochs=3"
    assert (row["profile"], row["first"], row["second"], row["state"]) == (scale, "crop", "color", "done")
    assert float(row["top1"]) > 25  # ten classes
    page = (tmp_path / "reports" / f"augment_pairs-{scale}.html").read_text()
    assert "Synthetic" not in page
    assert f"Measured at the profile {scale}, on 3,000 images at 32 pixels" in page
