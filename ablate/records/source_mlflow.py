"""MLflow's stores as sources, a folder or an SQLite file, read by MLflow."""

import os
from pathlib import Path
from typing import Any

from ablate.records.source import RUN_COLUMN, STEP_COLUMN, Source, digest_of, needs, of_runs

_MOST_RUNS = 50_000


def is_mlflow_folder(folder: Path) -> bool:
    """Whether a folder is the file store of MLflow: it has experiments, each with a meta.yaml."""
    return any(folder.glob("*/meta.yaml"))


def read_mlflow(path: Path) -> Source:
    """The finished runs of all experiments: parameters, latest metrics, and the history of each metric.

    Raises UserError without MLflow.
    """
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise needs("mlflow-skinny", f"{path} is a store of MLflow: reading it") from error
    place = path.absolute()
    os.environ.setdefault(
        "MLFLOW_ALLOW_FILE_STORE", "true"
    )  # otherwise MLflow 3 refuses the stores of earlier versions
    client = MlflowClient(tracking_uri=f"sqlite:///{place}" if path.is_file() else place.as_uri())
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=_MOST_RUNS)
    rows: list[dict[str, Any]] = []
    settings: set[str] = set()
    about = {"mlflow.experiment"}
    several = len({run.info.experiment_id for run in runs}) > 1
    for run in runs:
        if run.info.status != "FINISHED":
            continue
        name = run.info.run_id
        tags = {tag: value for tag, value in run.data.tags.items() if not tag.startswith("mlflow.")}
        settings |= run.data.params.keys()
        summary = {RUN_COLUMN: name, **tags, **run.data.params, **run.data.metrics}
        rows.append(summary | ({"mlflow.experiment": run.info.experiment_id} if several else {}))
        by_step: dict[int, dict[str, Any]] = {}
        for metric in run.data.metrics:
            history = client.get_metric_history(name, metric)
            for each in history if len(history) > 1 else ():
                by_step.setdefault(each.step, {RUN_COLUMN: name, STEP_COLUMN: each.step})[metric] = each.value
        rows += by_step.values()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    metrics = {metric for run in runs for metric in run.data.metrics}
    digest = digest_of(files, None if path.is_file() else path)
    return of_runs(path, digest, rows, settings=settings, metrics=metrics, about=about)
