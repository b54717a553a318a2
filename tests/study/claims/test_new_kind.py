"""A kind of claim is one file, and one test: shown by adding one to a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KIND = '''\
"""Claims about the spread of cells: spread."""

from typing import Literal

from ablate.study.claims import Claim, Positive
from ablate.study.claims.comparison import Requirement, of_cells
from ablate.study.claims.scene import Scene


class Spread(Claim):
    """The highest and the lowest of `cells` differ by more than `margin`."""

    kind: Literal["spread"]
    margin: Positive

    def compare(self, scene: Scene) -> Requirement:
        """The range of the values at each seed."""
        cells = scene.pick()
        return of_cells("range", scene.metric, cells, lambda at: max(at.values()) - min(at.values()), self.margin)
'''
TEST = """\
from ablate.judge.statistics.formula import holds
from tests.judge.claimed import ask, claim, grid, leaves


def test_the_range_of_the_cells_is_compared_with_the_margin() -> None:
    axes = {"size": [1, 2, 3]}
    formula = ask(claim("spread", margin=5), grid(axes, {(1,): [60], (2,): [64], (3,): [70]}), axes)
    assert leaves(formula) == {"range": ((10,), 5.0)}
    assert holds(formula)
"""
STUDY = """\
name = "sizes"
title = "Sizes"
question = "Which?"
axes.batch_size = [16, 32]

[[claims]]
id = "A1"
text = "The batch size matters."
source = "section 5"
kind = "spread"
margin = 5
"""
FILES = {"ablate/study/claims/spread.py": KIND, "tests/study/claims/test_spread.py": TEST}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with one more kind of claim and its test."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("ablate", "docs", "studies", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.txt"))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "sizes.toml").write_text(STUDY)
    return folder


def run(copy: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_files_add_a_kind_of_claim(copy: Path) -> None:
    added = {
        str(path.relative_to(copy))
        for path in copy.rglob("*.py")
        if not (ROOT / path.relative_to(copy)).exists()
        or path.read_bytes() != (ROOT / path.relative_to(copy)).read_bytes()
    }
    assert added == set(FILES)


def test_the_schema_and_the_documents_list_the_kind(copy: Path) -> None:
    assert '"Spread"' in run(copy, "-m", "ablate", "schema")
    written = run(copy, "-c", "import sys; sys.path.insert(0, 'docs'); import build; print(build.study_keys())")
    assert "| `spread` | The highest and the lowest of `cells` differ by more than `margin`. |" in written


def test_a_study_with_the_kind_is_checked(copy: Path) -> None:
    assert "sizes.toml: ok" in run(copy, "-m", "ablate", "check", "sizes.toml")


def test_the_kind_is_judged(copy: Path) -> None:
    assert "1 passed" in run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/study/claims/test_spread.py")
