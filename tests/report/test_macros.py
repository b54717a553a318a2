"""Numbers for papers: LaTeX macros, and what of a paper no longer agrees with the records."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from ablate.commands.report import cite, verify
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.report.formats import write_formats
from ablate.report.macros import as_macros, check_paper
from ablate.report.reading import read_study
from ablate.report.tables import as_latex, tables
from tests.records.by_hand import key_of, save_record, write_plan, write_trial

CLAIMS = [{"id": "H1", "kind": "best", "is": "head == 'nonlinear'", "text": "Nonlinear is best.", "source": "me"}]
PAPER = r"""
\documentclass{article}
\input{reports/mine/numbers}
\begin{document}
Nonlinear is better by \ablate{H1.effect} (\ablate{mine:head=linear.mean}). 100 \% % \ablate{comment.is.ignored}
\end{document}
"""


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A paper with the numbers of two cells and a claim, three seeds each."""
    results = Results(tmp_path / "results")
    cells = {key_of(n): {"head": ("linear", "nonlinear")[n // 3], "seed": n % 3} for n in range(6)}
    for number, key in enumerate(cells):
        write_trial(results, key, numbers={"top1": 60.25 + 7 * number + number**2 / 10})
    trials = [
        {"key": key, "seed": cell["seed"], "axes": {"head": cell["head"]}, "case": None} for key, cell in cells.items()
    ]
    axes = [{"name": "head", "values": ["linear", "nonlinear"]}]
    record = {"title": "mine", "question": "which?", "axes": axes, "trials": trials, "claims": CLAIMS}
    save_record(results, "mine", record)
    write_formats(results, read_study(results, "mine", None), tmp_path / "reports", ["latex"])
    (tmp_path / "paper.tex").write_text(PAPER)
    return tmp_path / "paper.tex"


def numbers(folder: Path) -> dict[str, str]:
    text = (folder / "reports" / "mine" / "numbers.tex").read_text()
    return dict(re.findall(r"^.ablatenumber\{mine\}\{(.*?)\}\{(.*)\}(?: %.*)?$", text, re.MULTILINE))


def test_every_number_and_verdict_has_a_name_and_cells_have_the_keys_of_their_trials(paper: Path) -> None:
    found = numbers(paper.parent)
    assert found["head=linear.mean"] == f"{(60.25 + 67.35 + 74.65) / 3:.1f}"
    assert found["head=nonlinear.seeds"] == "3"
    assert found["H1.effect"] == "+22.5"
    assert found["H1.verdict"] == "supported"
    assert {"H1.low", "H1.interval", "H1.p", "head=linear.half", "study.profile"} <= found.keys()
    text = (paper.parent / "reports" / "mine" / "numbers.tex").read_text()
    assert f"% trials {' '.join(key_of(n)[:12] for n in range(3))}\n" in text


def test_a_paper_agrees_until_a_result_changes(paper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify(paper)
    assert "paper.tex: agrees with the records" in capsys.readouterr().out
    record = Results(paper.parent / "results").trial(key_of(0)).result
    record.write_text(record.read_text().replace("60.25", "63.25"))
    with pytest.raises(typer.Exit) as ended:
        verify(paper)
    assert ended.value.exit_code == 1
    assert "head=linear.mean: the file has 67.4, the records give 68.4" in capsys.readouterr().out


def test_tables_of_a_paper_are_compared_too(paper: Path) -> None:
    paper.write_text("\\include{reports/mine/tables}")
    assert check_paper(paper, None) == []
    tables = paper.parent / "reports" / "mine" / "tables.tex"
    tables.write_text(tables.read_text().replace("89.9", "89.8"))
    assert ["89.8" in each and "89.9" in each for each in check_paper(paper, None)] == [True]


def test_names_that_nothing_defines_or_several_studies_have_are_found_with_their_line(paper: Path) -> None:
    other = paper.parent / "reports" / "other"
    other.mkdir()
    text = (paper.parent / "reports" / "mine" / "numbers.tex").read_text()
    (other / "numbers.tex").write_text(text.replace("ablatenumber{mine}", "ablatenumber{other}"))
    both = "\\input{reports/mine/numbers} \\input{reports/other/numbers}"
    paper.write_text(f"{both}\n\\ablate{{H1.p}} \\ablate{{mine:H1.p}} \\ablate{{H2.p}}")
    assert check_paper(paper, None) == [
        f"{paper}:2: \\ablate{{H1.p}} is in several studies (mine, other)",
        f"{paper}:2: \\ablate{{H2.p}} is not defined",
    ]


def test_a_paper_without_numbers_of_ablate_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.tex").write_text("nothing")
    with pytest.raises(UserError, match="includes no numbers and no tables of ablate"):
        check_paper(tmp_path / "x.tex", None)


def test_hostile_names_and_labels_stay_inside_their_braces(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    cells = {key_of(n): {"head": name, "seed": 0} for n, name in enumerate(("a}b", "a{b", "50 % \\x", "\u6f22\u5b57"))}
    for key in cells:
        write_trial(results, key, numbers={"top1": 60.0})
    write_plan(results, cells)
    text = as_macros(read_study(results, "mine", None), "results")
    names = re.findall(r"^.ablatenumber\{mine\}\{(head=[^{}%\\\\]*)\.mean\}\{60.0\} % trials \w+$", text, re.MULTILINE)
    assert len(names) == len(set(names)) == 4
    assert text.isascii()


def test_no_text_of_a_plan_becomes_a_command_of_tex(paper: Path) -> None:
    """Whatever the profile, the study, a claim and a key are called: each line is one of ours."""
    attack = "x\n\\immediate\\write18{id}%^^M\r}\x0c{"
    reading = read_study(Results(paper.parent / "results"), "mine", None)
    plan = replace(reading.measured.plan, study=attack, profile=attack)
    trials = [replace(trial, key=attack) for trial in reading.measured.trials]
    evidence = replace(reading.measured, plan=plan, trials=tuple(trials))
    reading = replace(reading, judged=replace(reading.judged, evidence=evidence))
    (verdict,) = reading.judged.verdicts
    object.__setattr__(verdict.claim, "id", attack)
    text = as_macros(reading, attack)
    ours = r"% ablate: .*|\\providecommand.*|  .*|\\ablatenumber\{[\w.=,+/:'-]+\}\{[\w.=,+/:'-]+\}\{.*\}( % trials .*)?"
    assert not [line for line in text.split("\n")[:-1] if not re.fullmatch(ours, line)]
    live = [line.partition(" % ")[0] for line in text.split("\n")[1:] if line.startswith(r"\ablate")]
    assert not re.search(r"write18\{|\\immediate|\^\^|[\r\x0c]", "\n".join(live))
    labels = re.findall(r"\\label(.*)", as_latex(tables(reading)))
    assert labels
    assert all(re.fullmatch(r"\{[\w.=,+/:'-]+\}", each) for each in labels)


def test_bibtex_of_ablate_and_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    cite()
    printed = capsys.readouterr().out
    assert re.findall(r"^@(\w+)\{", printed, re.MULTILINE) == ["software", "inproceedings"]
    assert printed.count("{") == printed.count("}")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
def test_latex_sets_the_numbers(paper: Path) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", paper.name]
    assert subprocess.run(command, cwd=paper.parent, capture_output=True).returncode == 0
