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
    command = [sys.executable, "-m", "ablate", "export", "augment_pairs", *folders]
    (row,) = csv.DictReader(io.StringIO(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert (row["profile"], row["first"], row["second"], row["state"]) == ("small", "crop", "color", "done")
    assert float(row["top1"]) > 25  # ten classes
    page = (tmp_path / "reports" / "augment_pairs-small.html").read_text()
    assert "Synthetic" not in page
    assert "Measured at the profile small, on 3000 images at 32 pixels" in page
