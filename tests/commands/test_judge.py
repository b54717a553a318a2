"""`ablate judge`: what it prints, and with which exit code it ends."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ablate.commands import judge, query
from ablate.records.files import Results
from ablate.report.formats import write_report
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
    every = {each["label"]: each for each in verdict["comparisons"]}
    assert len(every) == 2
    assert every["none - linear"]["effect"] == pytest.approx(-4.933, abs=0.001)
    assert (every["none - linear"]["n"], every["none - linear"]["seeds"]) == (3, [0, 1, 2])
    assert every["none - linear"]["improvement"]["value"] == 0.0
    assert verdict["open_cells"] == []
    assert verdict["decision"].keys().isdisjoint(("comparisons", "open_cells"))  # they stand beside it


def test_the_page_shows_the_verdicts_their_scale_and_an_interval_of_each_mean(tmp_path: Path) -> None:
    write_results(tmp_path, write_study(tmp_path), CLEAR)
    page = write_report(Results(tmp_path / "results"), "mine", None, tmp_path / "reports").read_text()
    assert "The nonlinear head is the best." in page
    assert '<span class="pill supported"><span aria-hidden="true">\u2713</span> supported</span>' in page
    assert "values are not comparable with the paper" in page
    assert "59.3 to 61.6" in page  # 60.43 by 1.13: 4.303 standard errors of 0.26


def test_export_writes_the_comparisons_of_all_claims(tmp_path: Path) -> None:
    write_results(tmp_path, write_study(tmp_path), CLEAR)
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(query.export)
    place = [str(tmp_path / "mine.toml"), "--results", str(tmp_path / "results"), "--comparisons"]
    header, *rows = CliRunner().invoke(app, place).stdout.splitlines()
    assert header.startswith("study,profile,claim,state,label,decides,within,effect,bound,n,sd,p_supports,p_refutes,")
    assert [row.split(",")[:5] for row in rows] == [
        ["mine", "embedded", "A1", "supported", f"nonlinear - {other}"] for other in ("none", "linear")
    ]
    refused = CliRunner().invoke(app, [*place, "--format", "xml"])
    assert "unknown format 'xml'" in str(refused.exception)
    study = tmp_path / "mine.toml"
    study.write_text(study.read_text().partition("[[claims]]")[0])
    write_results(tmp_path, study, CLEAR)
    assert "has no comparisons: it has no claims" in str(CliRunner().invoke(app, place).exception)
