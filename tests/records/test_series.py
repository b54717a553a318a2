import json
from pathlib import Path
from typing import Any

import pytest

from ablate.records import series
from ablate.records.files import Results
from ablate.records.store import open_store
from tests.records.by_hand import write_trial


def stored(tmp_path: Path, text: str) -> list[tuple[Any, ...]]:
    """(row, phase, epoch, step, name, value) of each number in a metrics.jsonl with this text."""
    attempt = write_trial(Results(tmp_path), "a", losses=())
    (attempt / "metrics.jsonl").write_bytes(text.encode())
    with open_store(Results(tmp_path)) as store:
        columns = "row, phase, epoch, step, name, value"
        return store.execute(f"SELECT {columns} FROM metrics ORDER BY row, name").fetchall()


def expected(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same, by a loop over the lines: numbers and nulls only, and no number beyond floating point."""
    found = []
    for number, line in enumerate(lines, 1):
        at = [line[place] if type(line.get(place)) in (int, float) else None for place in ("epoch", "step")]
        phase = line.get("phase") if isinstance(line.get("phase"), str) else None
        for name in sorted(line.keys() - {"phase", "epoch", "step"}):
            value = line[name]
            if value is None or type(value) in (int, float):
                beyond = isinstance(value, int) and abs(value) > 10**308
                found.append((number, phase, *at, name, None if beyond else value))
    return found


@pytest.mark.parametrize(
    "lines",
    [
        [{"phase": "pretrain", "epoch": epoch, "loss": 1 / epoch, "rate": epoch} for epoch in (1, 2, 3)],
        [{"phase": "a", "epoch": 0.5, "x": 1}, {"phase": "b", "step": 7, "y": 2}, {"x": None, "phase": "a"}],
        [{"x": 1.5}, {"x": "text"}, {"x": True, "y": 1}, {"x": [1]}, {"x": {"deep": 1}}, {"x": 2}],
        [{"epoch": "one", "x": 1}, {"epoch": None, "step": True, "x": 2}, {"epoch": 3, "x": 10**400}],
        [{"phase": 3, "": 1, "it's": 2, 'a "name"': 3}, {}],
    ],
)
def test_every_number_of_every_line_is_kept_where_it_was_logged(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    assert stored(tmp_path, "".join(json.dumps(line) + "\n" for line in lines)) == expected(lines)


def test_damaged_and_truncated_lines_cost_only_themselves(tmp_path: Path) -> None:
    text = '{"x": 1}\n{"x": \n[1]\n{"x": NaN}\n{"x": 1e999}\n{"x": 6}\n{"x": 7, "y'
    assert [(row, value) for row, *_, value in stored(tmp_path, text)] == [(1, 1.0), (4, None), (5, None), (6, 6.0)]


def test_a_curve_of_any_length_is_kept_in_rows_that_duckdb_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "_MOST_VALUES", 20)
    lines: list[dict[str, Any]] = [
        {"epoch": n / 2, "a": n, "b": None if n % 7 else 1.5, "phase": "p"} for n in range(101)
    ]
    lines += [{"step": n, "a": n} for n in range(45)]
    assert stored(tmp_path, "".join(json.dumps(line) + "\n" for line in lines)) == expected(lines)
    with open_store(Results(tmp_path)) as store:
        assert store.execute("SELECT count(*) FROM internal.series").fetchall() == [(11 + 3,)]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{}, {}],
        [{"loss": 1.0}, {"loss": 2}, {"loss": None}],
        [{"phase": "a", "epoch": 1, "loss": 1.0}, {"phase": "a", "epoch": 2, "loss": 2.0}],
        [{"phase": "a", "loss": 1.0}, {"phase": "b", "loss": 2.0}],
        [{"phase": 1, "loss": 1.0}, {"phase": 1, "loss": 2.0}],
        [{"phase": "a", "loss": 1.0}, {"loss": 2.0, "phase": "a"}],
        [{"loss": 1.0}, {"other": 2.0}, {"loss": 3.0}],
        [{"loss": 1.0}, None, {"loss": 3.0}],
        [{"loss": 1.0}, ["loss"], {"loss": 3.0}],
    ],
)
def test_lines_are_grouped_as_a_loop_groups_them(rows: list[Any]) -> None:
    expected: dict[Any, Any] = {}
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            phase = row.get("phase") if isinstance(row.get("phase"), str) else None
            numbers, values = expected.setdefault((phase, *row), ([], []))
            numbers.append(number)
            values.append(tuple(row.values()))
    found = {
        key: (numbers, list(zip(*columns, strict=True))) for key, (numbers, columns) in series._alike(rows).items()
    }
    assert found == {key: (numbers, values if values[0] else []) for key, (numbers, values) in expected.items()}
