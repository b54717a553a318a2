"""Runs of experiment trackers: each is written by the tracker's own library, and read back equal to the digit."""

import json
import math
import random
import sqlite3
import struct
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.records.import_trace import untraced
from ablate.records.runs import Columns, assemble
from ablate.records.source_exports import read_trackio
from ablate.records.source_wandb import _logged
from ablate.records.sources import read_source
from ablate.records.store import open_store
from ablate.workflow.import_runs import import_runs, watch_sources

CELLS = [(lr, seed) for lr in (0.1, 0.3) for seed in range(2)]
Write = Callable[[Path, "list[Run]"], Path]


class Run:
    """A run as a training program has it: settings, and a loss and an accuracy at each of three steps."""

    def __init__(self, lr: float, seed: int) -> None:
        draw = random.Random(f"{lr} {seed}")
        self.lr, self.seed = lr, seed
        self.losses = [draw.random() for _ in range(3)]
        self.accuracies = [draw.random() for _ in range(3)]


RUNS = [Run(lr, seed) for lr, seed in CELLS]


def tensorboard(folder: Path, runs: list[Run]) -> Path:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for run in runs:
        with SummaryWriter(folder / f"lr={run.lr},seed={run.seed}") as writer:
            for step in range(3):
                writer.add_scalar("loss", run.losses[step], step)
                writer.add_scalar("accuracy", run.accuracies[step], step)
    return folder


def tensorboard_hyperparameters(folder: Path, runs: list[Run]) -> Path:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for number, run in enumerate(runs):
        with SummaryWriter(folder / f"run{number}") as writer:
            writer.add_hparams({"lr": run.lr, "seed": run.seed}, {"accuracy": run.accuracies[-1]})
            for step in range(3):
                writer.add_scalar("loss", run.losses[step], step)
    return folder


def _mlflow(uri: str, runs: list[Run]) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("sweep")
    for run in runs:
        with mlflow.start_run():
            mlflow.log_params({"lr": run.lr, "seed": run.seed})
            for step in range(3):
                mlflow.log_metrics({"loss": run.losses[step], "accuracy": run.accuracies[step]}, step=step)


def mlflow_folder(folder: Path, runs: list[Run]) -> Path:
    _mlflow((folder / "mlruns").as_uri(), runs)
    return folder / "mlruns"


def mlflow_sqlite(folder: Path, runs: list[Run]) -> Path:
    pytest.importorskip("sqlalchemy")
    _mlflow(f"sqlite:///{folder / 'mlflow.db'}", runs)
    return folder / "mlflow.db"


def optuna(folder: Path, runs: list[Run]) -> Path:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=f"sqlite:///{folder / 'optuna.db'}", study_name="sweep", direction="maximize")
    study.set_metric_names(["accuracy"])
    distributions = {"lr": optuna.distributions.FloatDistribution(0, 1)}
    for run in runs:
        study.add_trial(optuna.create_trial(
            params={"lr": run.lr}, distributions=distributions, value=run.accuracies[-1],
            user_attrs={"seed": run.seed, "loss": run.losses[-1]}, intermediate_values=dict(enumerate(run.accuracies)),
        ))  # fmt: skip
    return folder / "optuna.db"


def hydra(folder: Path, runs: list[Run]) -> Path:
    pytest.importorskip("omegaconf")
    main = pytest.importorskip("hydra").main
    for number, run in enumerate(runs):
        program = folder / "program"
        program.mkdir(exist_ok=True)
        (program / "config.yaml").write_text("lr: 1.0\nseed: 0\nmodel:\n  depth: 18\n")
        arguments = ["--multirun", f"lr={run.lr}", f"seed={run.seed}", f"hydra.sweep.dir={folder / 'multirun'}",
                     f"hydra.sweep.subdir={number}", "hydra.job.chdir=false"]  # fmt: skip
        argv, sys.argv = sys.argv, ["program", *arguments]
        try:

            def job(config: object, run: Run = run, number: int = number) -> None:
                rows = [
                    {"epoch": step, "loss": run.losses[step], "accuracy": run.accuracies[step]} for step in range(3)
                ]
                out = folder / "multirun" / str(number) / "metrics.jsonl"
                out.write_text("".join(json.dumps(row) + "\n" for row in rows))

            main(config_path=str(program), config_name="config", version_base=None)(job)()
        finally:
            sys.argv = argv
    return folder / "multirun"


def wandb_offline(folder: Path, runs: list[Run]) -> Path:
    wandb = pytest.importorskip("wandb")
    for run in runs:
        config = {"lr": run.lr, "seed": run.seed}
        with wandb.init(project="sweep", mode="offline", dir=folder, config=config) as logged:
            for step in range(3):
                logged.log({"loss": run.losses[step], "accuracy": run.accuracies[step]}, step=step)
    return folder / "wandb"


def wandb_csv(folder: Path, runs: list[Run]) -> Path:
    head = '"Name","State","Created","Runtime","lr","seed","accuracy","loss"\n'
    rows = [f'"glad-sun-{n}","finished","2026-11-28T10:0{n}:00.000Z","{n + 7}","{run.lr}","{run.seed}",'
            f'"{run.accuracies[-1]!r}","{run.losses[-1]!r}"\n' for n, run in enumerate(runs)]  # fmt: skip
    (folder / "export.csv").write_text(head + "".join(rows))
    return folder / "export.csv"


def trackio(folder: Path, runs: list[Run]) -> Path:
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    storage = SQLiteStorage
    for number, run in enumerate(runs):
        rows = [{"loss": run.losses[step], "accuracy": run.accuracies[step]} for step in range(3)]
        storage.bulk_log("sweep", f"run{number}", rows, steps=[0, 1, 2], config={"lr": run.lr, "seed": run.seed})
    return Path(storage.get_project_db_path("sweep"))


def neptune(folder: Path, runs: list[Run]) -> Path:
    rows = []
    for number, run in enumerate(runs):
        about = {"project_id": "w/sweep", "run_id": f"SWEEP-{number}"}
        rows += [{**about, "attribute_path": "lr", "attribute_type": "float", "float_value": run.lr},
                 {**about, "attribute_path": "seed", "attribute_type": "int", "int_value": run.seed}]  # fmt: skip
        for name, values in (("loss", run.losses), ("accuracy", run.accuracies)):
            rows += [{**about, "attribute_path": name, "attribute_type": "float_series", "step": float(step),
                      "float_value": value} for step, value in enumerate(values)]  # fmt: skip
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / "part_0.parquet")
    return folder / "part_0.parquet"


WRITERS = (tensorboard, tensorboard_hyperparameters, mlflow_folder, mlflow_sqlite, optuna, hydra, wandb_offline,
           wandb_csv, trackio, neptune)  # fmt: skip
THIRTY_TWO_BITS = (tensorboard, tensorboard_hyperparameters)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_runs_are_read_as_the_tracker_wrote_them(write: Write, alone: Path) -> None:
    path = write(alone, RUNS)
    step = "epoch" if write is hydra else None
    columns = Columns({"lr": "lr"}, ["accuracy", "loss", "hparam/*"], "seed", step=step)
    results = Results(Path("results"))
    assert import_runs([path], "sweep", columns, results).new == 4
    digits = (lambda value: pl.Series([value]).cast(pl.Float32)[0]) if write in THIRTY_TWO_BITS else float
    with open_store(results) as store:
        found = store.execute("SELECT lr, seed, value, loss FROM sweep ORDER BY lr, seed").fetchall()
        keys = [key for (key,) in store.execute("SELECT key FROM sweep").fetchall()]
        curves = store.execute("""SELECT lr, seed, list(metrics.value ORDER BY epoch)
            FROM metrics JOIN sweep USING (key)
            WHERE name = 'accuracy' GROUP BY ALL ORDER BY lr, seed""").fetchall()  # fmt: skip
    assert found == [(run.lr, run.seed, digits(run.accuracies[-1]), digits(run.losses[-1])) for run in RUNS]
    if write not in (wandb_csv, tensorboard_hyperparameters):
        assert curves == [(run.lr, run.seed, list(map(digits, run.accuracies))) for run in RUNS]
    assert untraced(results, keys) == []
    assert import_runs([path], "sweep", columns, results).unchanged == 4


def test_a_crashed_run_of_an_exported_csv_is_named(alone: Path) -> None:
    path = wandb_csv(alone, RUNS)
    path.write_text(path.read_text().replace('"glad-sun-2","finished"', '"glad-sun-2","crashed"'))
    with pytest.raises(UserError, match=r"'State' \(2 values, such as finished, crashed\)"):
        assemble([read_source(path)], Columns({"lr": "lr"}, ["accuracy", "loss"], "seed"))


class Project:
    """`wandb.Api()` with one project, as W&B 0.31 answers: `tests` cannot reach its server."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs_of, self.asked = runs, list[tuple[str, dict[str, str]]]()

    def Api(self) -> "Project":  # noqa: N802 - W&B's name
        return self

    def runs(self, path: str, filters: dict[str, str]) -> list[SimpleNamespace]:
        self.asked.append((path, filters))
        if path != "lab/sweep":
            raise ValueError(f"Could not find project {path}")
        return [self._run(number, run) for number, run in enumerate(self.runs_of)]

    @staticmethod
    def _run(number: int, run: Run) -> SimpleNamespace:
        steps = [{"_step": step, "_timestamp": 1.7e9, "loss": run.losses[step], "accuracy": run.accuracies[step]}
                 for step in range(3)]  # fmt: skip
        return SimpleNamespace(
            id=f"a{number}",
            config={"lr": run.lr, "seed": run.seed, "_wandb": {"t": 1}},
            summary_metrics={"accuracy": run.accuracies[-1], "loss": run.losses[-1], "_runtime": 3, "_wandb": {}},
            scan_history=lambda: iter(steps),
        )


@pytest.fixture
def server(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(RUNS)
    monkeypatch.setitem(sys.modules, "wandb", project)  # type: ignore[arg-type]
    return project


COLUMNS = Columns({"lr": "lr"}, ["accuracy", "loss"], "seed")


def test_the_finished_runs_of_a_project_on_a_server_are_imported_and_traced(
    server: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, results = Path("wandb:lab/sweep"), Results(tmp_path / "results")
    assert import_runs([path], "sweep", COLUMNS, results).new == 4
    assert server.asked == [("lab/sweep", {"state": "finished"})]
    with open_store(results) as store:
        found = store.execute("SELECT lr, seed, value, loss, key FROM sweep ORDER BY lr, seed").fetchall()
        curve = store.execute("""SELECT list(metrics.value ORDER BY epoch) FROM metrics JOIN sweep USING (key)
            WHERE name = 'loss' GROUP BY key, lr, seed ORDER BY lr, seed""").fetchall()  # fmt: skip
    assert [row[:4] for row in found] == [(run.lr, run.seed, run.accuracies[-1], run.losses[-1]) for run in RUNS]
    assert [losses for (losses,) in curve] == [run.losses for run in RUNS]
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    keys = [row[-1] for row in found]
    assert untraced(results, keys) == []
    changed = [Run(0.1, 0), *RUNS[1:]]
    changed[0].accuracies[-1] = 0.5
    server.runs_of = changed
    (sentence,) = untraced(results, keys)
    assert sentence.startswith("wandb:lab/sweep has accuracy 0.5 at run a0, and the record")


def test_the_numbers_of_a_server_that_json_has_no_word_for_are_numbers(server: Project) -> None:
    server.runs_of = [Run(0.1, 0)]
    server.runs_of[0].accuracies[1] = "NaN"  # type: ignore[call-overload]
    server.runs_of[0].losses[-1] = "-Infinity"  # type: ignore[call-overload]
    rows = read_source(Path("wandb:lab/sweep")).rows
    assert rows["accuracy"].is_nan().to_list() == [False, False, True, False]
    assert rows["loss"].to_list()[0] == -math.inf


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("wandb:lab/other", "wandb:lab/other cannot be read: Could not find project lab/other"),
        ("wandb:sweep", "wandb:sweep names no project of W&B"),
        ("wandb:/sweep", "wandb:/sweep names no project of W&B"),
        ("wandb:lab/sweep/a0", "wandb:lab/sweep/a0 names no project of W&B"),
    ],
)
def test_a_project_that_cannot_be_read_is_named(server: Project, path: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        import_runs([Path(path)], "sweep", COLUMNS, Results(Path("results")))
    assert raised.value.problems[0].message == message
    assert not Path("studies").exists()


def test_a_server_is_not_watched(server: Project) -> None:
    with pytest.raises(UserError, match=r"--watch cannot watch wandb:lab/sweep"):
        watch_sources([Path("wandb:lab/sweep")], "sweep", COLUMNS, Results(Path("results")), print)
    assert not server.asked


def message(data: bytes) -> SimpleNamespace:
    """A record of W&B: here JSON with items of the summary, where W&B has a message of protobuf."""
    if data == b"damaged":
        raise RuntimeError("Error parsing message")
    none = SimpleNamespace(update=[])
    items = [SimpleNamespace(key=key, nested_key=[], value_json=value) for key, value in json.loads(data)]
    parts = {"run": SimpleNamespace(config=none), "config": none, "summary": SimpleNamespace(update=items)}
    return SimpleNamespace(**parts, HasField=lambda name: False)


MESSAGES = SimpleNamespace(FromString=message)


def wandb_log(file: Path, *records: bytes) -> Path:
    parts = (struct.pack("<IHB", 0, len(record), 1) + record for record in records)
    file.write_bytes(b":W&B\x00\x00\x00" + b"".join(parts))
    return file


def test_the_values_of_a_log_of_wandb_are_read_as_it_writes_them(tmp_path: Path) -> None:
    file = wandb_log(tmp_path / "run-1.wandb", b'[["loss", "0.5"], ["top1", "NaN"]]', b'[["loss", "0.25"]]')
    _, summary, _ = _logged(file, MESSAGES)
    assert summary["loss"] == 0.25
    assert math.isnan(summary["top1"])


@pytest.mark.parametrize(
    "record", [b"damaged", b'[["loss", "{"]]', b'[["loss", ""]]', b'[["loss", "%s"]]' % (b"[" * 900)]
)
def test_a_damaged_log_of_wandb_is_named(record: bytes, tmp_path: Path) -> None:
    file = wandb_log(tmp_path / "run-1.wandb", b'[["loss", "0.5"]]', record)
    with pytest.raises(UserError, match=r"run-1\.wandb cannot be read: a record in it is damaged"):
        _logged(file, MESSAGES)


def test_a_file_or_folder_of_no_kind_is_refused(alone: Path) -> None:
    (alone / "notes.txt").write_text("lr 0.1")
    (alone / "empty").mkdir()
    for name in ("notes.txt", "empty"):
        with pytest.raises(UserError, match=f"{name} is not a source of runs"):
            read_source(Path(name))
    with pytest.raises(UserError, match=r"there is no missing\.csv"):
        read_source(Path("missing.csv"))


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, "[1]", "\udc00".encode("utf-8", "surrogatepass").decode("latin-1")]
)
def test_a_trackio_file_with_a_damaged_row_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "project.db"
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE metrics (run_name, step, metrics)")
        store.execute("CREATE TABLE configs (run_name, config)")
        store.execute("INSERT INTO metrics VALUES ('one', 0, ?)", [text])
    with pytest.raises(UserError, match=r"project\.db cannot be read"):
        read_trackio(path)
