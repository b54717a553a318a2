import importlib.metadata
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.commands import doctor, garbage
from ablate.commands.doctor import examine
from ablate.errors import AblateError, UserError
from ablate.records.files import Results
from ablate.run.machine import Check
from tests.commands.conftest import Call
from tests.records.by_hand import key_of, make_old, write_plan, write_trial

KEPT, ABANDONED = key_of(1), key_of(2)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path / "results")
    for key in (KEPT, ABANDONED):
        write_trial(results, key)
    write_plan(results, {KEPT: {"size": 1}})
    make_old(results.root)
    return results


def test_a_dry_run_lists_what_would_go_and_removes_nothing(call: Call, results: Results) -> None:
    lines = call("gc", "--dry-run", "--results", str(results.root)).splitlines()
    assert lines[0] == "kind\tsize\tpath\twhy"
    assert lines[1].split("\t")[2:] == [str(results.trial(ABANDONED).path), "in no study's plan"]
    assert results.trial(ABANDONED).result.exists()


def test_on_a_narrow_terminal_every_row_says_which_item_it_is(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    deep = tmp_path / "a long name of a project" / "and a longer one of its folder of results"
    deep.parent.mkdir()
    results.root.rename(deep)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    garbage.gc(dry_run=True, results=deep)
    (row,) = (line for line in terminal.getvalue().splitlines() if line.startswith("trial "))
    assert f"trials/{ABANDONED[:12]}" in row
    assert "in no study's plan" in row


def test_a_run_with_another_setting_abandons_no_result_until_that_is_asked_for(call: Call, results: Results) -> None:
    write_plan(results, {ABANDONED: {"size": 1}}, design="with --set")
    make_old(results.root)
    assert call("gc", "--yes", "--results", str(results.root)) == "nothing to remove\n"
    assert "removed 1 item, " in call("gc", "--yes", "--abandoned", "--results", str(results.root))
    assert (results.trial(KEPT).path.exists(), results.trial(ABANDONED).path.exists()) == (False, True)


def test_nothing_is_removed_where_nobody_can_be_asked(call: Call, results: Results) -> None:
    with pytest.raises(UserError, match="cannot ask for confirmation"):
        call("gc", "--results", str(results.root))
    with pytest.raises(UserError, match="cannot ask for confirmation"):
        call("gc", "--json", "--results", str(results.root))
    assert results.trial(ABANDONED).result.exists()


def test_what_is_removed_is_told_and_is_gone_from_the_store(call: Call, results: Results) -> None:
    assert "removed 1 item, " in call("gc", "--yes", "--results", str(results.root))
    assert not results.trial(ABANDONED).path.exists()
    assert call("gc", "--yes", "--results", str(results.root)) == "nothing to remove\n"
    with pytest.raises(UserError, match="no trial's key starts with 0002"):
        call("show", "0002", "--results", str(results.root))


def test_what_a_run_asked_for_while_the_question_stood_stays(
    call: Call, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreed_late(*_: object) -> bool:
        write_plan(results, {ABANDONED: {"size": 2}}, study="later")
        return True

    monkeypatch.setattr(garbage, "_confirmed", agreed_late)
    assert "removed 0 items, " in call("gc", "--results", str(results.root))
    assert results.trial(ABANDONED).result.exists()


def test_as_json_every_item_says_whether_it_is_gone(call: Call, results: Results) -> None:
    planned = json.loads(call("gc", "--dry-run", "--json", "--results", str(results.root)))
    assert planned["removed"] == 0
    removed = json.loads(call("gc", "--yes", "--json", "--results", str(results.root)))
    (item,) = removed["items"]
    assert (item["kind"], item["path"], item["removed"]) == ("trial", f"trials/{ABANDONED}", True)
    assert removed["bytes"] == item["bytes"] > 0


@pytest.mark.parametrize("json", [False, True])
def test_what_was_removed_is_printed_even_if_something_else_could_not_be(
    call: Call, results: Results, json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = key_of(3)
    write_trial(results, other)
    make_old(results.root)
    rename = Path.rename

    def denied(path: Path, target: Path) -> Path:
        if path.name == other:
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(AblateError, match=f"{other}: Permission denied"):
        garbage.gc(yes=True, json=json, results=results.root)
    assert ('"removed": 1' if json else "removed 1 item, ") in capsys.readouterr().out


def test_garbage_of_a_folder_that_is_not_there_is_a_mistake(call: Call, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no results folder"):
        call("gc", "--results", str(tmp_path / "none"))


def checks(results: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(results)}


def test_a_healthy_machine_has_no_problem_and_names_what_it_found(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert [check for check in found.values() if check.state == "problem"] == []
    assert importlib.metadata.version("torch") in found["torch"].message
    assert "available; computes in" in found["processor"].message
    assert "augment_pairs" in found["studies"].message
    assert f"{tmp_path}, " in found["results"].message


def test_another_package_called_ablate_is_a_problem_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "ablate").mkdir()
    (tmp_path / "ablate" / "__init__.py").write_text("")
    other = {**os.environ, "PYTHONPATH": f"{tmp_path}"}
    code = f"import sys; sys.path.insert(0, {str(Path(doctor.__file__).parents[2])!r})\n"
    code += "from ablate.commands.doctor import _name; print(*_name())"
    run = subprocess.run([sys.executable, "-c", code], env=other, capture_output=True, text=True, check=True)
    assert "state='problem'" in run.stdout
    assert f"`import ablate` loads {tmp_path}/ablate/__init__.py" in run.stdout
    assert "pip uninstall ablate" in run.stdout


def test_the_other_distribution_beside_this_one_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    (check,) = doctor._name()
    assert check.state == "problem"
    assert "the other project called ablate (9.9)" in check.message


def test_a_results_folder_that_cannot_be_made_is_a_problem_and_little_room_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1e9

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage)
    (little, *_) = doctor._results(tmp_path / "new")
    assert (little.state, little.message) == (
        "warning",
        f"{tmp_path / 'new'} (will be created by the first run), 1.0 GB free",
    )
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    (denied,) = doctor._results(tmp_path / "new")
    assert (denied.state, denied.message) == ("problem", f"{tmp_path} is not writable")


def test_half_of_slurm_is_a_warning_and_none_of_it_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: None)
    assert [check.state for check in doctor._slurm()] == ["ok"]
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: "/bin/true" if tool == "sbatch" else None)
    (check,) = doctor._slurm()
    assert (check.state, check.message) == ("warning", "not on the path: sinfo, squeue, sacct")


def test_doctor_ends_with_1_where_there_is_a_problem(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Check("torch", "ok", "2.12"), Check("results", "problem", "full", "make room")]
    monkeypatch.setattr(doctor, "examine", lambda results: found)
    assert call("doctor", code=1).splitlines()[1] == "results\tproblem: full. What to do: make room"
    assert json.loads(call("doctor", "--json", code=1))[0]["name"] == "torch"
    monkeypatch.setattr(doctor, "examine", lambda results: found[:1])
    call("doctor")
