import math
from pathlib import Path
from typing import Any

from ablate.records.attempt import AttemptWriter
from ablate.records.curves import LiveCurve, live_curves
from ablate.records.files import Results
from ablate.records.store import open_store
from tests.records.by_hand import key_of, write_trial

KEY = key_of(1)


def curves(results: Results, most_points: int = 100, most_curves: int = 9) -> list[LiveCurve]:
    with open_store(results) as store:
        return live_curves(store, [KEY], most_points, most_curves).get(KEY, [])


def log(results: Results, rows: list[dict[str, Any]]) -> None:
    """One attempt more, still running, that logged these rows."""
    write_trial(results, KEY, state="running", losses=())
    writer = AttemptWriter(results.trial(KEY).attempt_folders()[-1])
    for row in rows:
        writer.metrics(row)
    writer.close()


def test_a_resumed_attempt_continues_the_curve_and_replaces_what_was_logged_beyond_its_start(tmp_path: Path) -> None:
    results = Results(tmp_path)
    log(results, [{"epoch": epoch, "loss": 10.0 - epoch} for epoch in range(1, 6)])
    log(results, [{"epoch": epoch, "loss": 20.0 - epoch} for epoch in range(4, 6)])
    (curve,) = curves(results)
    assert (curve.along, curve.at) == ("epoch", (1, 2, 3, 4, 5))
    assert curve.values == (9, 8, 7, 16, 15)


def test_an_attempt_that_starts_again_leaves_nothing_of_the_earlier_one(tmp_path: Path) -> None:
    results = Results(tmp_path)
    log(results, [{"epoch": epoch, "loss": 10.0 - epoch} for epoch in range(1, 6)])
    log(results, [{"epoch": 1, "loss": 19.0}])
    assert [(curve.at, curve.values) for curve in curves(results)] == [((1,), (19,))]


def test_a_long_curve_keeps_evenly_spaced_points_and_its_last_one(tmp_path: Path) -> None:
    results = Results(tmp_path)
    log(results, [{"step": step, "loss": float(step)} for step in range(1, 1001)])
    (curve,) = curves(results, most_points=60)
    assert curve.rows == 1000
    assert 50 <= len(curve.at) <= 60
    assert curve.at[-1] == curve.values[-1] == 1000
    assert {after - before for before, after in zip(curve.at, curve.at[1:], strict=False)} == {17}


def test_the_loss_comes_first_and_rows_count_where_neither_epoch_nor_step_is_unique(tmp_path: Path) -> None:
    results = Results(tmp_path)
    log(results, [{"epoch": 1, "accuracy": 0.5, "loss": 2.0}, {"epoch": 1, "accuracy": 0.6, "loss": math.nan}])
    found = curves(results)
    assert [curve.name for curve in found] == ["loss", "accuracy"]
    assert found[0].values == (2.0, None)
    assert (found[1].along, found[1].at) == ("row", (1, 2))
    assert [curve.name for curve in curves(results, most_curves=1)] == ["loss"]
