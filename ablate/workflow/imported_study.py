"""The study of imported runs: its file, and which columns of the sources its axes and its metric are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError, nearest, value_text
from ablate.records.compare import flat
from ablate.study.cells.cell import Scalar
from ablate.study.imported import setting_paths

if TYPE_CHECKING:
    from ablate.records.runs import Columns, Runs
    from ablate.records.source import Source
    from ablate.study.schema.study import LoadedStudy, Study


CASE = "case"
"""The column that names the case of a run, unless `--axis case=COLUMN` names another one."""


def study_file(name: str) -> Path:
    """The file of a study, by its path or its name; one in `studies/` that may not exist yet."""
    from ablate.study.load import known_studies

    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        return path if path.suffix == ".toml" or path.exists() else path.with_name(f"{path.name}.toml")
    return known_studies().get(name, Path("studies") / f"{name}.toml")


def load(file: Path) -> LoadedStudy:
    """The study in a file. Raises UserError for every problem."""
    from ablate.study.load import load_study

    loaded = load_study(str(file))
    if loaded.problems:
        raise UserError(*loaded.problems)
    return loaded


def completed(columns: Columns, loaded: LoadedStudy | None, sources: Sequence[Source]) -> Columns:
    """The columns with what the study file says: its metric, its cases, and its axes by name, setting or label."""
    known = {name for source in sources for name in source.columns}
    if loaded is None:
        if not columns.axes:
            raise UserError("--axis is missing", help="name the columns that are varied: --axis COLUMN")
        if not columns.metrics:
            raise UserError("--metric is missing", help="name the column that is compared: --metric COLUMN")
        return columns
    study = loaded.study
    _check_tables(loaded)
    named = dict(columns.axes)
    case = named.pop(CASE, CASE if CASE in known else None) if study.every_case else None
    for name in named:
        if name not in study.all_axes:
            message = f"--axis {name}: '{name}' is not an axis of {loaded.source.path}{nearest(name, study.all_axes)}"
            raise UserError(message, help=f"axes are: {', '.join(study.all_axes)}")
    axes = {}
    for name, axis in study.all_axes.items():
        of_axis = [name, axis.setting, axis.setting.removeprefix("settings."), axis.label]
        found = named.get(name) or next((each for each in of_axis if each in known), None)
        if found is None:
            message = f"no column for the axis '{name}' of {loaded.source.path}"
            raise UserError(
                message, help=f"name it: --axis {name}=COLUMN; columns are: {', '.join(sorted(known)[:30])}"
            )
        axes[name] = found
    if columns.metrics and columns.metrics[0] != study.metric:
        message = f"--metric {columns.metrics[0]} is not the metric of {loaded.source.path}, {study.metric}"
        raise UserError(message, help="name the study's metric first, or leave --metric out")
    conditional = frozenset(name for name, axis in study.all_axes.items() if axis.when)
    metrics = columns.metrics or [study.metric]
    set_paths = {path for layer in _settings_of_cells(study) for path in flat(layer)}
    of_cells = frozenset(
        name for name in known - {*axes.values()} if {name, *setting_paths([name]).values()} & set_paths
    )
    return replace(columns, axes=axes, metrics=metrics, case=case, conditional=conditional, of_cells=of_cells)


def _settings_of_cells(study: Study) -> Iterator[dict[str, Any]]:
    """The settings that cases and the values of axes set, besides those that are axes themselves."""
    yield from (case.set for case in study.cases)
    yield from (axis.settings(name) for axis in study.all_axes.values() for name in axis.names)


def _check_tables(loaded: LoadedStudy) -> None:
    """Raise UserError for a study that needs more of a run than one result."""
    for table, why in (("evaluate", "several results of one run"), ("tune", "settings that are chosen by other runs")):
        if getattr(loaded.study, table):
            message = f"{loaded.source.path} has [{table}], {why}, which `ablate import` does not read"
            raise UserError(message, help=f"import into a study without [{table}]")


def write_study(file: Path, runs: Runs, columns: Columns, command: Sequence[str]) -> LoadedStudy:
    """Write the study file and load it. Raises UserError, and writes nothing, for a name that no study can have."""
    from ablate.errors import InvalidValue
    from ablate.study.imported import FoundAxis, study_text
    from ablate.study.schema.study import RESERVED_NAMES
    from ablate.study.schema.values import identifier

    try:
        identifier(file.stem)
    except InvalidValue as error:
        raise UserError(f"--study {value_text(file.stem)}: {error}", help=error.help) from error
    if file.stem in RESERVED_NAMES:
        raise UserError(f"--study '{file.stem}' is reserved for a table of the store", help="choose another name")
    axes = [FoundAxis(name, column, _values(runs, name)) for name, column in columns.axes.items()]
    seeds = sorted({run.seed for run in runs.runs})
    typed = shlex.join(["ablate", *command[1:]]) if command else "ablate import"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(study_text(file.stem, columns.metrics[0], axes, runs.base, seeds, typed), encoding="utf-8")
    try:
        return load(file)
    except UserError:
        file.unlink()
        raise


def _values(runs: Runs, axis: str) -> list[Scalar]:
    """The values of an axis: numbers and truth values sorted, texts as they first appear."""
    values = dict.fromkeys(run.axes[axis] for run in runs.runs)
    return list(values) if any(isinstance(value, str) for value in values) else sorted(values)
