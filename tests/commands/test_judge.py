"""`ablate judge`: what it prints, and with which exit code it ends."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ablate.commands import judge
from ablate.records.files import Results
from ablate.report.page import write_report
from tests.judge.test_verdict import CLEAR, STUDY, write_results, write_study


def ablate_judge(folder: Path, *options: str) -> "tuple[int, str, str]":
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(judge.judge)
    result = CliRunner().invoke(app, [str(folder / "mine.toml"), "--results", str(folder / "results"), *options])
    return result.exit_code, result.stdout, result.stderr


def test_a_pipe_gets_a_row_a_claim_and_the_scale_goes_to_standard_error(tmp_path: Path) -> None:
    write_results(tmp_path, write_study(tmp_path), CLEAR)
    code, out, told = ablate_judge(tmp_path)
    names, row = (line.split("\t") for line in out.splitlines())
    found = dict(zip(names, row, strict=True))
    assert (code, found["claim"], found["state"], found["seeds"]) == (0, "A1", "supported", "3")
    assert float(found["effect"]) == pytest.approx(15.0)
    assert float(found["low"]) < 15 < float(found["high"])
    assert "not the paper's scale (imagenet)" in told


@pytest.mark.parametrize(("required", "code"), [("true", 3), ("false", 0)])
def test_a_required_claim_that_is_refuted_ends_it_with_three(tmp_path: Path, required: str, code: int) -> None:
    wrong = STUDY.replace("'nonlinear'\"", "'none'\"").replace("required = true", f"required = {required}")
    write_results(tmp_path, write_study(tmp_path, text=wrong), CLEAR)
    ended, out, _ = ablate_judge(tmp_path, "--json")
    (verdict,) = json.loads(out)["verdicts"]
    assert (ended, verdict["state"]) == (code, "refuted")
    assert verdict["decision"]["permutation_p"] >= 0.25  # what three seeds allow at the least


def test_the_page_shows_the_verdicts_their_scale_and_an_interval_of_each_mean(tmp_path: Path) -> None:
    write_results(tmp_path, write_study(tmp_path), CLEAR)
    page = write_report(Results(tmp_path / "results"), "mine", None, tmp_path / "reports").read_text()
    assert "The nonlinear head is the best." in page
    assert '<td class="text verdict supported">\u2713 supported' in page
    assert "no value here reproduces one of the paper" in page
    assert "59.3 to 61.6" in page  # 60.43 by 1.13: 4.303 standard errors of 0.26
