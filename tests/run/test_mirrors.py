"""Copies of rows in trackers are read back with the trackers' own libraries; a broken tracker costs no trial."""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter
from ablate.records.files import Results, write_json
from ablate.run import mirrors
from ablate.run.cluster_file import trackers
from ablate.run.mirror_process import copy
from ablate.run.mirror_targets import TARGETS, MirroredTrial
from ablate.run.options import PlanOptions, RunOptions
from ablate.workflow.mirror import mirror_study
from ablate.workflow.run import run_study

ROWS = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "note": "text", "bad": float("nan")}]
KEYS = {"a" * 64: 0.1, "b" * 64: 0.3}
TRIALS = {key: [f"lr={lr} seed=0", {"lr": lr, "seed": 0}] for key, lr in KEYS.items()}


def record(results: Results, key: str, state: str = "done", rows: list[dict[str, Any]] = ROWS) -> None:
    """An attempt as a worker leaves it, with a result if it is done."""
    folder = results.trial(key)
    if not folder.trial.exists():
        write_json(folder.trial, {"key": key, "pretrain_key": key, "config": {"net": {"width": 2}, "seed": 0}})
    with closing(AttemptWriter(folder.new_attempt("test"))) as writer:
        writer.event("started", place="test", pid=os.getpid())
        for row in rows:
            writer.metrics(row)
        if state == "done":
            write_json(folder.result, {"key": key, "attempt": writer.path.name, "metrics": {"accuracy": KEYS[key]}})
        writer.end(state=state)


def copied(target: str, results: Results) -> Path:
    """Copies what is recorded, as `ablate mirror` does; returns the tracker's folder."""
    task = {"target": target, "results": str(results.root), "study": "rates", "trials": TRIALS}
    copy(task, lambda seconds: True)
    return results.root / "mirrors" / target


Read = Callable[[Path], "dict[str, tuple[dict[str, Any], list[float], float]]"]
"""A tracker's folder -> name of a run -> its settings, losses by step, and the result."""


def tensorboard(folder: Path) -> dict[str, tuple[dict[str, Any], list[float], float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = {}
    for path in (folder / "rates").iterdir():
        events = EventAccumulator(str(path)).Reload()
        (data,) = events.PluginTagToContent("hparams").values()
        settings = HParamsPluginData.FromString(data).session_start_info.hparams
        read = {"lr": settings["lr"].number_value, "net.width": settings["net.width"].number_value}
        losses = [each.value for each in events.Scalars("loss")]
        assert [each.step for each in events.Scalars("loss")] == [1, 2]
        found[path.name.rpartition(" ")[0]] = read, losses, events.Scalars("result/accuracy")[0].value
    return found


def wandb(folder: Path) -> dict[str, tuple[dict[str, Any], list[float], float]]:
    from wandb.proto.wandb_internal_pb2 import Record

    from ablate.records.source_wandb import _items, _records

    found = {}
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        records = [Record.FromString(data) for data in _records(file)]
        (run,) = [each.run for each in records if each.HasField("run")]
        assert run.run_group == "rates"
        summary: dict[str, Any] = {}
        for each in records:
            summary |= _items(each.summary.update)
        losses = [_items(each.history.item)["loss"] for each in records if each.HasField("history")]
        found[run.display_name] = _items(run.config.update), losses, summary.get("accuracy")
    return found


def mlflow(folder: Path) -> dict[str, tuple[dict[str, Any], list[float], float]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rates")
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        assert run.info.status == "FINISHED"
        losses = [each.value for each in client.get_metric_history(run.info.run_id, "loss")]
        settings = {name: float(run.data.params[name]) for name in ("lr", "net.width")}
        found[run.info.run_name] = settings, losses, run.data.metrics["result/accuracy"]
    return found


def trackio(folder: Path) -> dict[str, tuple[dict[str, Any], list[float], float]]:
    from trackio.sqlite_storage import SQLiteStorage

    found = {}
    with closing(sqlite3.connect(SQLiteStorage.get_project_db_path("rates"))) as store:
        configs = dict(store.execute("SELECT run_name, config FROM configs"))
    for name, config in configs.items():
        rows = SQLiteStorage.get_logs("rates", name)
        losses = [row["loss"] for row in rows if "loss" in row]
        result = next(row["result/accuracy"] for row in rows if "result/accuracy" in row)
        found[name.rpartition(" ")[0]] = json.loads(config), losses, result
    return found


@pytest.mark.parametrize("read", [tensorboard, wandb, mlflow, trackio], ids=lambda each: each.__name__)
@pytest.mark.filterwarnings("ignore")  # of the libraries
def test_what_a_tracker_has_is_what_was_recorded(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = read.__name__
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # before trackio is imported
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    pytest.importorskip(name, reason=f"{name} is not installed")
    if name == "mlflow":
        pytest.importorskip("sqlalchemy", reason="MLflow needs sqlalchemy for its file")
    results = Results(tmp_path / "results")
    record(results, "a" * 64)
    record(results, "b" * 64, "interrupted", ROWS[:1])
    folder = copied(name, results)
    record(results, "b" * 64, rows=ROWS[1:])  # a second attempt continues the run
    if name != "wandb":  # which merges the parts of an offline run when `wandb sync` sends them
        copied(name, results)
        copied(name, results)  # has nothing left to send
    for run, lr in ((f"lr={lr} seed=0", lr) for lr in list(KEYS.values())[: 1 if name == "wandb" else 2]):
        settings, losses, accuracy = read(folder)[run]
        assert losses == [0.5, 0.25]
        assert accuracy == pytest.approx(lr, rel=1e-7)
        assert (settings["lr"], settings["net.width"]) == (lr, 2)


class Listener:
    """A tracker that keeps the losses that it was sent, and fails at some calls."""

    sent: ClassVar[list[float]] = []
    fails: ClassVar[list[int]] = []
    """At which calls, counted over all runs."""
    calls: ClassVar[int] = 0
    known_as = "it"

    def __init__(self, trial: MirroredTrial) -> None:
        self.key = trial.key

    def log(self, row: Mapping[str, float], step: int, when: float) -> None:
        Listener.calls += 1
        if Listener.calls - 1 in self.fails:
            raise ConnectionError("a hiccup")
        self.sent.append(row["loss"])

    def end(self, result: Mapping[str, float], state: str) -> None:
        """Nothing to do."""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a copier makes instead of sleeping; the tracker `listener` is a `Listener`."""
    found: list[float] = []
    monkeypatch.setitem(TARGETS, "listener", Listener)
    monkeypatch.setattr(time, "sleep", found.append)
    for name, value in (("sent", []), ("fails", []), ("calls", 0)):
        monkeypatch.setattr(Listener, name, value)
    return found


def test_a_row_of_any_length_is_sent_with_those_after_it(tmp_path: Path, pauses: list[float]) -> None:
    results = Results(tmp_path)
    long = {"loss": 2.0, "text": "x" * (1 << 20)}
    record(results, "a" * 64, rows=[{"loss": 1.0}, long, {"loss": 3.0}, long, long, {"loss": 4.0}])
    record(results, "b" * 64, "interrupted", rows=[])
    (attempt,) = results.trial("b" * 64).attempt_folders()
    (attempt / "metrics.jsonl").write_text('{"loss": 5.0}\n{"loss": 6.0')  # a worker died within a row
    copied("listener", results)
    assert Listener.sent == [1.0, 2.0, 3.0, 2.0, 2.0, 4.0, 5.0]
    assert pauses == []


def test_an_error_of_a_tracker_sends_no_row_twice_and_the_next_try_waits(tmp_path: Path, pauses: list[float]) -> None:
    results = Results(tmp_path)
    for key in KEYS:
        record(results, key, rows=[{"loss": float(row)} for row in range(5)])
    Listener.fails[:] = [3, 4, 7]  # the fourth row of the first trial twice, and the first of the other one
    copied("listener", results)
    assert Listener.sent == [0.0, 1.0, 2.0, 3.0, 4.0] * 2
    assert len(pauses) == 3
    assert min(pauses) >= 1
    Listener.fails[:] = range(Listener.calls, Listener.calls + 9)
    record(results, "a" * 64, rows=[{"loss": 9.0}])
    with pytest.raises(ConnectionError, match="a hiccup"):
        copied("listener", results)
    assert sum(pauses[2:]) < mirrors.GRACE_SECONDS / 2
    Listener.fails.clear()
    copied("listener", results)  # the next process begins after the last row that was sent
    assert Listener.sent == [*[0.0, 1.0, 2.0, 3.0, 4.0] * 2, 9.0]


STUDY = """
name = "rates"
title = "Rates"
question = "Which?"
trainer = "tests.run.toy:train"
metric = "accuracy"
[axes]
does = ["return", "nan beside"]
"""
FAKES = {
    "trackio": "def init(*arguments, **keywords):\n    raise RuntimeError('no server\\nat all')\n",
    "mlflow": "import time\ntime.sleep(600)\n",
    "wandb": "raise ImportError('a broken installation')\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a study of a toy trainer, and with libraries that raise or block."""
    (tmp_path / "studies" / "profiles").mkdir(parents=True)
    (tmp_path / "studies" / "rates.toml").write_text(STUDY)
    for name, text in FAKES.items():
        (tmp_path / "fakes" / name).mkdir(parents=True)
        (tmp_path / "fakes" / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "fakes"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mirrors, "GRACE_SECONDS", 15.0)
    return tmp_path


def trained(records: str, log: tuple[str, ...] | None) -> Mapping[str, Any]:
    """Runs the study in this process; returns the records of its trials without what no two runs share."""
    results = Results(Path(records))
    run_study("studies/rates.toml", PlanOptions(), RunOptions(inline=True, log=log), results)
    found = {}
    for path in sorted(results.trials.iterdir()):
        result = json.loads((path / "result.json").read_text())
        result.pop("seconds")
        (attempt,) = results.trial(path.name).attempt_folders()
        events = [json.loads(line)["event"] for line in (attempt / "events.jsonl").read_text().splitlines()]
        found[path.name] = (path / "trial.json").read_text(), result, (attempt / "metrics.jsonl").read_text(), events
    return found


def test_trackers_that_raise_or_block_are_told_once_and_change_no_trial(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ablate.toml").write_text('[log]\nto = ["trackio", "mlflow", "wandb", "tensorboard"]\n')
    alone = trained("alone", ())
    capsys.readouterr()
    assert trained("results", ("trackio", "mlflow", "wandb", "trackio", "none")) == alone
    said = capsys.readouterr().out
    again = "(no trial is affected; `ablate mirror rates --to trackio` sends the rest)"
    assert said.count(f"mirror trackio: RuntimeError: no server at all {again}") == 1
    assert said.count("mirror mlflow: it did not take all rows within 15 s ") == 1
    assert said.count("mirror wandb: ImportError: a broken installation ") == 1
    assert trackers(folder) == ("trackio", "mlflow", "wandb", "tensorboard")
    with pytest.raises(UserError, match="ImportError: a broken installation"):
        mirror_study("studies/rates.toml", PlanOptions(), ["wandb"], Results(Path("results")))


def test_an_unknown_tracker_is_refused_before_anything_runs(folder: Path) -> None:
    with pytest.raises(UserError, match=r"--log wanbd: there is no such tracker; did you mean 'wandb'\?"):
        trained("results", ("wanbd",))
    (folder / "ablate.toml").write_text('[log]\nto = ["tensorbord"]\n')
    with pytest.raises(UserError, match=r"tensorbord.*did you mean 'tensorboard'(.|\n)*ablate.toml:2:"):
        trained("results", None)
    assert not Path("results/trials").exists()
    (folder / "ablate.toml").unlink()
    with pytest.raises(UserError, match="no tracker is named"):
        mirror_study("studies/rates.toml", PlanOptions(), [], Results(Path("results")))


def test_a_tracker_that_is_not_installed_is_told_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors.importlib.util, "find_spec", lambda name: None)
    assert len(trained("results", ("tensorboard",))) == 2
    said = capsys.readouterr().out
    assert said.count("mirror tensorboard: not installed, so nothing is sent there (pip install tensorboard)") == 1
    assert "tests.run.toy" in sys.modules
