"""TensorBoard's event folders as sources, read by TensorBoard."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.errors import UserError
from ablate.records.source import RUN_COLUMN, STEP_COLUMN, Source, digest_of, needs, of_runs, settings_in_path

EVENTS = "*tfevents*"
_SESSION = re.compile(r"\d+(\.\d+)?")
"""The folder inside a run in which torch's `add_hparams` writes: a time."""


def read_events(folder: Path) -> Source:
    """Every folder with event files is a run: its scalars by step, and its hyperparameters.

    A run without hyperparameters has those in its path, as in `lr=0.1,seed=0`. Values are those of TensorBoard, which
    keeps 32 bits of a number. Raises UserError without TensorBoard, and if a run has two values at one step.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        raise needs("tensorboard", f"{folder} has event files of TensorBoard: reading them") from error
    files = sorted(folder.rglob(EVENTS))
    runs: dict[str, list[Any]] = {}
    for path in sorted({file.parent for file in files}):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        of_run = path.parent if _SESSION.fullmatch(path.name) and path != folder else path
        runs.setdefault(of_run.relative_to(folder).as_posix(), []).append(events)
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    for run, parts in runs.items():
        settings = settings_in_path(run if run != "." else folder.name)
        for events in parts:
            settings |= dict(_hyperparameters(events))
        names |= settings.keys()
        rows.append({RUN_COLUMN: run, **settings})
        by_step: dict[int, dict[str, Any]] = {}
        for step, tag, value in (each for events in parts for each in _scalars(events)):
            row = by_step.setdefault(step, {RUN_COLUMN: run, STEP_COLUMN: step})
            if tag in row:
                message = f"{folder}: run {run} has two values of {tag} at step {step}"
                raise UserError(message, help="two runs may have written into one folder; separate their event files")
            row[tag] = value
        rows += by_step.values()
    return of_runs(folder, digest_of(files, folder), rows, settings=names)


def _scalars(events: Any) -> Iterator[tuple[int, str, float]]:
    """Step, tag and value of every scalar, also of those that TensorFlow 2 writes as tensors."""
    from tensorboard.util.tensor_util import make_ndarray

    tags = events.Tags()
    for tag in tags["scalars"]:
        yield from ((each.step, tag, float(each.value)) for each in events.Scalars(tag))
    for tag in tags["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            yield from ((each.step, tag, float(make_ndarray(each.tensor_proto))) for each in events.Tensors(tag))


def _hyperparameters(events: Any) -> Iterator[tuple[str, Any]]:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    try:
        content = events.PluginTagToContent("hparams")
    except KeyError:
        return
    for data in content.values():
        for name, value in HParamsPluginData.FromString(data).session_start_info.hparams.items():
            if kind := value.WhichOneof("kind"):
                yield name, getattr(value, kind)
