import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.records.attempt import read_state, trial_status
from ablate.records.coordination import claim, make_trainable
from ablate.records.files import Results, write_json
from ablate.records.plans import load_plans, read_plans
from ablate.records.reading import Damaged, content, json_object, parse, read_json_lines, read_object
from ablate.records.series import series_of
from ablate.records.store import open_store
from tests.records.by_hand import key_of, write_plan, write_trial
from tests.records.fuzz import call, make_project, try_one

KEY, OTHER = key_of(1), key_of(2)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two done trials of one study, and one of another."""
    results = Results(tmp_path)
    for number, key in enumerate((KEY, OTHER, key_of(3))):
        write_trial(results, key, numbers={"top1": 50.0 + number})
    write_plan(results, {KEY: {"size": 1}, OTHER: {"size": 2}})
    write_plan(results, {key_of(3): {"size": 3}}, study="second")
    return results


def states(results: Results) -> dict[str, tuple[str, Any]]:
    with open_store(results) as store:
        rows = store.execute("SELECT key, state, numbers ->> 'top1' FROM trials").fetchall()
    return {key: (state, value) for key, state, value in rows}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}', '{"a": 1' + "0" * 400 + "}", "[" * 10**5,
     '{"a": ' + "[" * 150 + "]" * 150 + "}", "\x00", '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_text_that_is_no_record_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(Damaged):
        json_object(tmp_path / "x.json")
    assert read_object(tmp_path / "x.json") == {}


def test_values_that_are_only_long_or_only_look_huge_are_read() -> None:
    text = json.dumps({"list": [[0]] * 1000, "name": "1e999 " + "7" * 400, "n": 2**70, "small": 1e-300}).encode()
    assert parse(text)["n"] == 2**70


def test_a_number_is_believed_exactly_if_floating_point_has_it() -> None:
    """Each is compared with Python's own float, wherever it stands and beside whatever looks like it."""
    digits, exponents = (
        ("1", "-9", "0.001", "1" * 150, "9" * 250, "-" + "7" * 309, "1.0"),
        ("", "e99", "E+308", "e0400"),
    )
    for number in (f"{first}{exponent}" for first in digits for exponent in exponents):
        for text in (f'{{"key": "ab1e234", "n": {number}}}', f"[[{number}]]", f'{{"n":{number},"x":1}}', number):
            if math.isinf(float(number)):
                with pytest.raises(Damaged, match="floating point"):
                    parse(text.encode())
            else:
                assert parse(text.encode()) == json.loads(text)


def test_two_halves_of_an_object_on_two_lines_are_two_damaged_lines(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"event": "ended"\n"state": "done"}\n{"a": 2}\n')
    assert read_json_lines(tmp_path / "x.jsonl") == [{"a": 1}, {"a": 2}]
    assert [each["columns"] for each in series_of(tmp_path / "x.jsonl")] == [[[1.0, 2.0]]]


@pytest.mark.parametrize("kind", ["fifo", "folder", "/dev/zero", "nowhere", "x.json", "large"])
def test_what_is_not_a_regular_file_of_a_plausible_size_is_damaged_and_nothing_waits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(60 << 20)
    else:
        path.symlink_to(kind)
    with pytest.raises(Damaged, match=r"x\.json"):
        content(path)
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "none.json")


def remove(path: Path, results: Results) -> None:
    path.unlink()


def empty(path: Path, results: Results) -> None:
    path.write_text("")


def bare(path: Path, results: Results) -> None:
    path.write_text("{}")


def of_another(path: Path, results: Results) -> None:
    path.write_bytes((results.trial(OTHER).path / path.name).read_bytes())


def folder(path: Path, results: Results) -> None:
    path.unlink()
    path.mkdir()


def odd(path: Path, results: Results) -> None:
    write_json(path, {**json.loads(path.read_text()), "metrics": {}, "config": 7, "seconds": "long"})


@pytest.mark.parametrize("damage", [remove, empty, bare, of_another, folder, odd])
@pytest.mark.parametrize("name", ["trial.json", "result.json"])
def test_a_trial_with_a_damaged_record_is_named_costs_no_other_and_can_be_trained_again(
    results: Results, name: str, damage: Callable[[Path, Results], None]
) -> None:
    whole = states(results)
    damage(results.trial(KEY).path / name, results)
    status = trial_status(results.trial(KEY), 0.0)
    assert (status.state, name in (status.message or "")) == ("damaged", True)
    assert states(results) == {**whole, KEY: ("damaged", None)}
    spec = {"key": KEY, "pretrain_key": "p", "config": {}}
    aside = make_trainable(results, KEY)
    assert all(path.is_relative_to(results.root / "damaged") for path in aside)
    assert damage is remove or name in [path.name for path in aside]
    write_json(results.trial(KEY).trial, spec)
    again = read_state(results.trial(KEY), 0.0)
    repaired = name == "trial.json" and damage is not of_another  # its result was never in doubt
    assert again.status.state == (
        "done" if repaired else "new" if damage is of_another and name == "trial.json" else "damaged"
    )
    write_trial(results, KEY, numbers={"top1": 50.0})
    assert states(results) == whole


def test_a_copy_of_a_trial_under_another_name_is_damaged_and_belongs_to_no_study(results: Results) -> None:
    import shutil

    copy = key_of(9)
    shutil.copytree(results.trial(KEY).path, results.trial(copy).path)
    assert states(results)[copy] == ("damaged", None)
    with open_store(results) as store:
        assert store.execute("SELECT count(*) FROM mine").fetchall() == [(2,)]
    moved = make_trainable(results, copy)
    assert sorted(path.name for path in moved) == ["attempts", "result.json", "trial.json"]


def test_records_are_not_set_aside_while_another_process_runs_the_trial(results: Results) -> None:
    results.trial(KEY).result.write_text("{}")
    with claim(results.trial(KEY)):
        assert make_trainable(results, KEY) == []
    assert len(make_trainable(results, KEY)) == 1


def test_an_attempt_that_never_said_who_it_is_keeps_no_trial_from_being_trained(results: Results) -> None:
    results.trial(KEY).result.unlink()
    results.trial(KEY).new_attempt("local")
    assert trial_status(results.trial(KEY), 0.0).state == "interrupted"


@pytest.mark.parametrize(
    "lines",
    [
        '{"event": "started", "time": "noon", "host": "h", "pid": 1}\n',
        '{"event": "started", "time": 1.0, "host": 7, "pid": 1}\n',
        '{"event": "started", "time": 1.0, "pid": 1' + "0" * 30 + "}\n",
        '{"event": "started", "time": 1.0, "pid": "me"}\n{"event": "ended", "time": 1.0, "state": "splendid"}\n',
        '{"event": [1]}\n\n7\n{"event": "ended"}\n',
    ],
)
def test_events_of_the_wrong_form_are_not_believed(results: Results, lines: str) -> None:
    results.trial(KEY).result.unlink()
    (results.trial(KEY).new_attempt("local") / "events.jsonl").write_text(lines)
    assert trial_status(results.trial(KEY), 0.0).state == "interrupted"
    assert states(results)[KEY][0] == "interrupted"


@pytest.mark.parametrize("where", ["", "\n", "7", '{"study": "mine"}', "[" * 10**5, "NaN"])
def test_a_damaged_plan_is_named_and_the_others_are_read(results: Results, where: str) -> None:
    (results.plans("mine") / "plan-2.json").write_text(where)
    plans, damage = read_plans(results, "mine")
    assert len(plans) == 1
    assert len(damage) == (where != "")
    assert all("plan-2.json is damaged" in each for each in damage)
    assert len(states(results)) == 3


def test_a_plan_with_a_key_too_long_for_a_file_is_damaged(results: Results) -> None:
    path = results.plans("mine") / "plan-1.json"
    path.write_text(path.read_text().replace(KEY, "k" * 300))
    plans, damage = read_plans(results, "mine")
    assert (plans, len(damage)) == ([], 1)
    assert "is longer than 200 bytes" in damage[0]


@pytest.mark.parametrize("name", ["trials", "cells", "Metrics", "third", "b\udcff"])
def test_a_study_folder_of_another_name_is_no_study(results: Results, name: str) -> None:
    import shutil

    shutil.copytree(results.plans("mine"), results.plans(name), dirs_exist_ok=True)
    assert [plan.study for plan in load_plans(results, name)] == []
    assert len(states(results)) == 3


@pytest.mark.parametrize("statement", ["DROP TABLE attempts", "DELETE FROM trials", "UPDATE trials SET state = 'new'"])
def test_a_store_that_someone_changed_is_built_again(results: Results, statement: str) -> None:
    import duckdb

    whole = states(results)
    with duckdb.connect(str(results.database)) as store:
        store.execute(statement)
    assert states(results) == whole


def test_a_store_with_any_byte_flipped_is_built_again(results: Results) -> None:
    whole = states(results)
    text = bytearray(results.database.read_bytes())
    for place in range(0, len(text), len(text) // 12):
        other = text[:]
        other[place] ^= 0xFF
        results.database.write_bytes(bytes(other))
        assert states(results) == whole


def test_no_module_but_one_parses_json_of_the_records() -> None:
    package = Path(__file__).parents[2] / "ablate"
    found = [
        f"{path.name}: {line.strip()}"
        for part in ("records", "run", "workflow", "api", "commands", "report")
        for path in (package / part).rglob("*.py")
        for line in path.read_text().splitlines()
        if "json.load" in line and ("read_text" in line or "read_bytes" in line or "json.load(" in line)
    ]
    assert found == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_project(tmp_path_factory.mktemp("fuzz") / "base")


@pytest.mark.parametrize("first", [0, 50])
def test_no_damage_to_a_record_stops_a_command_or_changes_a_number(project: Any, first: int) -> None:
    found = [each for seed in range(first, first + 50) for each in try_one(project, seed, most=1)[1]]
    assert found == []


@pytest.mark.parametrize("name", ["", "trials", "studies/first", "damaged"])
def test_a_run_names_what_stands_in_the_place_of_a_folder_and_writes_nothing(
    project: Any, name: str, tmp_path: Path
) -> None:
    shutil.copytree(project.root, tmp_path / "here", symlinks=True)
    place = tmp_path / "here/results" / name
    if place.exists():
        shutil.rmtree(place)
    place.symlink_to("unmounted")
    with contextlib.chdir(tmp_path / "here"):
        code, text = call("run", "studies/first.toml", "--inline")
    assert code == 2
    assert text.startswith(f"error: {Path('results', name)} is not a folder\n  help: if it links to a disk")
    assert list((tmp_path / "here/results").rglob("plan-2.json")) == []
    assert place.is_symlink()
