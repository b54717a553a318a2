"""Trackers that receive copies of rows, each through its own library: TensorBoard, W&B, MLflow and trackio."""

import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_LONGEST = 100
"""Characters of a trial's label in the name of a folder."""
_MOST_PARAMS, _LONGEST_PARAM = 100, 6000
"""Settings per call, and characters of one, that MLflow accepts."""


@dataclass(frozen=True)
class MirroredTrial:
    """What a tracker receives about a trial, which is one run in the tracker."""

    study: str
    label: str
    """The name of its cell, and its seed."""
    key: str
    settings: Mapping[str, Any]
    """Its axes and settings, by dotted name."""
    folder: Path
    """Where the tracker may keep files."""
    known_as: str | None = None
    """The tracker's own name of the run, if it was begun before."""


class Mirror(Protocol):
    """The run of one trial in a tracker."""

    known_as: str
    """The tracker's own name of the run, to continue it later."""

    def log(self, row: Mapping[str, float], step: int, when: float) -> None:
        """Send one row of metrics. when: seconds since 1970."""

    def end(self, result: Mapping[str, float], state: str) -> None:
        """Send the results, by name, and how the trial ended: done, failed or interrupted."""


class _TensorBoard:
    """Event files in a folder of the trial, written without torch; TensorBoard keeps 32 bits of a number."""

    def __init__(self, trial: MirroredTrial) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.known_as = f"{re.sub(r'[^A-Za-z0-9_.,=+ -]', '_', trial.label)[:_LONGEST]} {trial.key[:8]}"
        self._writer = EventFileWriter(str(trial.folder / trial.study / self.known_as))
        self._step = 0
        if trial.known_as is None:
            self._write(_hyperparameters(trial.settings), 0, time.time())

    def _write(self, values: list[Any], step: int, when: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._writer.add_event(Event(wall_time=when, step=step, summary=Summary(value=values)))
        self._writer.flush()
        self._step = max(self._step, step)

    def log(self, row: Mapping[str, float], step: int, when: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write([Summary.Value(tag=name, simple_value=value) for name, value in row.items()], step, when)

    def end(self, result: Mapping[str, float], state: str) -> None:
        if result:
            self.log({f"result/{name}": value for name, value in result.items()}, self._step, time.time())
        self._writer.close()


def _hyperparameters(settings: Mapping[str, Any]) -> list[Any]:
    """The summary by which TensorBoard's tab of hyperparameters knows a run's settings."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in settings.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, (int, float)):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = str(value)
    content = HParamsPluginData(session_start_info=start, version=0).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    return [Summary.Value(tag="_hparams_/session_start_info", metadata=SummaryMetadata(plugin_data=plugin))]


class _Wandb:
    """A run of W&B in the project `ablate` or $WANDB_PROJECT; offline if nobody is logged in."""

    def __init__(self, trial: MirroredTrial) -> None:
        import wandb

        self.known_as = trial.key[:20]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "ablate"),
            group=trial.study,
            name=trial.label,
            id=self.known_as,
            resume=None if _offline(wandb) else "allow",
            config=dict(trial.settings),
            dir=os.environ.get("WANDB_DIR", str(trial.folder)),
            mode="offline" if _offline(wandb) else None,
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
        )

    def log(self, row: Mapping[str, float], step: int, when: float) -> None:
        self._run.log(dict(row))

    def end(self, result: Mapping[str, float], state: str) -> None:
        self._run.summary.update(dict(result))
        self._run.finish(exit_code=0 if state == "done" else 1)


def _offline(wandb: Any) -> bool:
    """Whether W&B would ask for a login: without one, `wandb sync` sends the files later."""
    return not os.environ.get("WANDB_MODE") and not os.environ.get("WANDB_API_KEY") and not wandb.api.api_key


class _MLflow:
    """A run in the experiment of the study, at $MLFLOW_TRACKING_URI or in a SQLite file."""

    def __init__(self, trial: MirroredTrial) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{trial.folder / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=uri)
        if trial.known_as is not None:
            self.known_as = trial.known_as
            self._client.update_run(self.known_as, status="RUNNING")
            return
        known = self._client.get_experiment_by_name(trial.study)
        experiment = known.experiment_id if known else self._client.create_experiment(trial.study)
        run = self._client.create_run(experiment, tags={"ablate.key": trial.key}, run_name=trial.label)
        self.known_as = str(run.info.run_id)
        params = [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in trial.settings.items()]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self.known_as, params=params[start : start + _MOST_PARAMS])

    def log(self, row: Mapping[str, float], step: int, when: float) -> None:
        from mlflow.entities import Metric

        values = [Metric(name, value, int(1000 * when), step) for name, value in row.items()]
        self._client.log_batch(self.known_as, metrics=values)

    def end(self, result: Mapping[str, float], state: str) -> None:
        self.log({f"result/{name}": value for name, value in result.items()}, 0, time.time())
        status = {"done": "FINISHED", "failed": "FAILED"}.get(state, "KILLED")
        self._client.set_terminated(self.known_as, status=status)


class _Trackio:
    """A run in the project of the study, in trackio's own folder or at $TRACKIO_SERVER_URL."""

    def __init__(self, trial: MirroredTrial) -> None:
        import trackio

        self.known_as = f"{trial.label} {trial.key[:8]}"
        group, settings = trial.label.rpartition(" ")[0] or trial.label, dict(trial.settings)
        quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        self._run = trackio.init(trial.study, name=self.known_as, group=group, config=settings, resume="allow", **quiet)
        self._step = 0

    def log(self, row: Mapping[str, float], step: int, when: float) -> None:
        self._run.log(dict(row), step=step)
        self._step = max(self._step, step)

    def end(self, result: Mapping[str, float], state: str) -> None:
        if result:
            self._run.log({f"result/{name}": value for name, value in result.items()}, step=self._step)
        self._run.finish()


TARGETS: Mapping[str, Callable[[MirroredTrial], Mirror]] = {
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "mlflow": _MLflow,
    "trackio": _Trackio,
}
"""Name of a tracker, which is that of its library -> what begins or continues the run of a trial."""


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers in a row; a tracker shows nothing else as a curve."""
    plain = {name: value for name, value in row.items() if isinstance(value, (int, float))}
    return {name: value for name, value in plain.items() if not isinstance(value, bool) and math.isfinite(value)}


def step_of(row: Mapping[str, Any], position: int) -> int:
    """The row's epoch or step if it is a whole number, otherwise its position among the trial's rows."""
    for name in ("epoch", "step"):
        value = row.get(name)
        if isinstance(value, (int, float)) and 0 <= value < 2**53 and value == int(value):
            return int(value)
    return position
