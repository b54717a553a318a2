"""Which cell of a study each imported run belongs to, or why to none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError, nearest, value_text
from ablate.records.compare import flat
from ablate.study.cells.cell import Cell, Scalar, axis_text, is_number

if TYPE_CHECKING:
    from ablate.records.import_trials import ImportedTrial
    from ablate.records.runs import ImportedRun, Runs
    from ablate.study.schema.study import LoadedStudy


def by_cell(
    loaded: LoadedStudy, runs: Sequence[ImportedRun], cells: Mapping[str, Cell]
) -> Iterator[tuple[tuple[str, int], ImportedRun]]:
    """Each run by the key of its cell, and its seed. cells: those of the study. Raises UserError.

    A run may have values of axes that its cell lacks: those of a case, and those whose `when` does not hold.
    """
    study = loaded.study
    known = {name: {_canonical(value): value for value in axis.names} for name, axis in study.all_axes.items()}
    cases = {text: case.name for case in study.every_case for text in (case.label, case.name)}
    axes_of = {case: sorted({tuple(cell.axes) for cell in cells.values() if cell.case == case}, key=len, reverse=True)
               for case in (None, *cases.values())}  # fmt: skip
    keys: dict[tuple[object, ...], str] = {}
    for run in runs:
        values = (run.case, *run.axes.items())
        if (key := keys.get(values)) is None:
            case = cases.get(run.case, run.case) if run.case else None
            same = {name: known[name].get(_canonical(value)) for name, value in run.axes.items()}
            tried = (_key(axes, same, case) for axes in axes_of.get(case, []))
            if (key := next((each for each in tried if each in cells), None)) is None:
                raise _no_cell(loaded, run, cases, same)
            keys[values] = key
        yield (key, run.seed), run


def _key(axes: Sequence[str], values: Mapping[str, Scalar | None], case: str | None) -> str | None:
    """The key of the cell with the values of these axes; None if one is missing."""
    own = {name: value for name in axes if (value := values.get(name)) is not None}
    return Cell(own, case).key if len(own) == len(axes) else None


def _no_cell(
    loaded: LoadedStudy, run: ImportedRun, cases: Mapping[str, str], same: Mapping[str, Scalar | None]
) -> UserError:
    """The error for a run that belongs to no cell. cases: by label and name; same: its values in the study."""
    file, axes = loaded.source.path, loaded.study.all_axes
    if run.case and run.case not in cases:
        message = f"{place_of(run)}: '{run.case}' is not a case of {file}{nearest(run.case, cases)}"
        return UserError(message, help=f"cases are: {', '.join(dict.fromkeys(cases.values()))}")
    for name, value in run.axes.items():
        if same[name] is None:
            message = f"{place_of(run)}: {name} = {value_text(value)} is not a value of the axis"
            return UserError(
                message, help=f"add it to {file}, which has: {', '.join(map(axis_text, axes[name].names))}"
            )
    cell = " ".join(f"{name}={axis_text(value)}" for name, value in run.axes.items())
    help = "`exclude` or `[design]` leaves it out; leave the run out, too, or change the study"
    if missing := [f"'{name}', which the study has if {axis.when}" for name, axis in axes.items()
                   if axis.when and name not in run.axes]:  # fmt: skip
        help = f"the run has no value of {' and of '.join(missing)}"
    return UserError(f"{place_of(run)}: {cell} is not a cell of {file}", help=help)


def check_others(loaded: LoadedStudy, run: ImportedRun, cell: Cell, config: Mapping[str, Any]) -> None:
    """Raise UserError if a run has another value than its cell: of an axis that it lacks, or of a setting."""
    if len(run.axes) == len(cell.axes) and not run.settings:
        return
    settings = flat(config)
    for name in run.axes.keys() - cell.axes.keys():
        help = f"not an axis of this cell in {loaded.source.path}: leave the value empty, or leave the run out"
        _check_value(run, cell, settings, (name, loaded.study.all_axes[name].setting), run.axes[name], help)
    for column, value in run.settings.items():
        setting = _path(column, settings)
        help = "runs with other settings belong in another study, or `--ignore` the column"
        if setting is None:
            help = f"if all cells share it, add it to [base] of {loaded.source.path}, or `--ignore` the column"
        _check_value(run, cell, settings, (column, setting or column), value, help)


def _check_value(
    run: ImportedRun, cell: Cell, settings: Mapping[str, Any], names: tuple[str, str], value: Scalar | None, help: str
) -> None:
    """names: of the value in the source, and of the setting."""
    name, setting = names
    found = settings.get(setting)
    if (found is None) != (value is None) or (value is not None and _canonical(value) != _canonical(settings[setting])):
        has = "has no such setting" if found is None else f"has {setting} = {value_text(found)}"
        given = "is missing" if value is None else f"is {value_text(value)}"
        raise UserError(f"{place_of(run)}: {name} {given}, but {cell.label} {has}", help=help)


def _path(column: str, settings: Mapping[str, Any]) -> str | None:
    """The setting that a column has; None if there is none."""
    from ablate.study.imported import setting_paths

    return next((each for each in (setting_paths([column])[column], column) if each in settings), None)


def place_of(run: ImportedRun) -> str:
    """Where a run stands, as messages say it: `runs.csv, row 3`."""
    return f"{run.source.path}, {run.place}"


def _canonical(value: Scalar) -> str:
    """The text by which a value of a source and one of a study are the same: 1 is 1.0."""
    return repr(float(value)) if is_number(value) else axis_text(value)


def check_base(loaded: LoadedStudy, runs: Runs, trials: Sequence[ImportedTrial]) -> None:
    """Raise UserError if all runs share another value of a setting than a cell of the study has: a confounder."""
    of_kind = {(trial.run.case, *trial.run.axes): trial for trial in trials}  # axes alone change no other setting
    for trial in of_kind.values():
        _check_base(loaded, runs, flat(dict(trial.config)))


def _check_base(loaded: LoadedStudy, runs: Runs, settings: Mapping[str, Any]) -> None:
    from ablate.study.imported import SETTINGS

    for column, value in runs.base.items():
        path = _path(column, settings)
        if path is not None and _canonical(value) != _canonical(settings[path]) and path != "seed":
            name = path.removeprefix(f"{SETTINGS}.")
            message = (
                f"{name} is {value_text(value)} in these runs, but {value_text(settings[path])} in {loaded.source.path}"
            )
            raise UserError(message, help="runs with other settings belong in another study, or `--ignore` the column")
