"""A form of chart is one file, and one test: shown by adding one to a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FORM = '''\
"""The form `ticks`: a tick a cell on a scale of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from ablate.report.charts.encoding import Traits
from ablate.report.charts.layers import Style, assembled, colored, tooltip, valued

if TYPE_CHECKING:
    from ablate.report.charts.marks import Marks

TRAITS = Traits(from_zero=True)


def draw(marks: Marks, style: Style) -> alt.LayerChart | alt.FacetChart:
    """A tick a cell, one row a value of x."""
    base = alt.Chart().encode(y=alt.Y("x:N"), x=valued(alt.X, style), tooltip=tooltip(style))
    ticks = base.mark_circle(size=80).encode(color=colored(marks, style))
    return assembled([ticks], marks.rows(style.digits), marks, style, width=300, height=200)
'''
TEST = """\
from tests.report.charts.studied import figures, layers, plan_of, rows


def test_there_is_a_tick_for_each_cell() -> None:
    chart = figures(plan_of("loss", {"form": "ticks", "x": "objective"}))[0].chart.to_dict()
    assert [layer["mark"]["type"] for layer in layers(chart)] == ["circle"]
    assert len(rows(chart)) > 3
"""
STUDY = """\
name = "sizes"
title = "Sizes"
question = "Which?"
axes.batch_size = [16, 32]
chart.form = "FORM"
"""
FILES = {"ablate/report/charts/ticks_form.py": FORM, "tests/report/charts/test_ticks_form.py": TEST}


def test_a_form_of_chart_is_two_files(tmp_path: Path) -> None:
    for name in ("ablate", "tests", "studies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.txt"))
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "sizes.toml").write_text(STUDY.replace("FORM", "ticks"))
    around = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, env=around, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    run("pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *[name for name in FILES if "/test_" in name])
    run("ablate", "check", "sizes.toml")
    assert '"ticks"' in run("ablate", "schema")
