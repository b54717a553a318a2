"""What would make a comparison of imported runs wrong: named, and refused."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ablate.errors import UserError, nearest, value_text
from ablate.records.metric import MOST
from ablate.records.source import PLACE, Source
from ablate.study.cells.cell import as_seen

_RUN, _STEP, _SUMMARY = "\x00run", "\x00step", "\x00summary"
_MOST_NAMED = 5
_PARTS = re.compile(
    r"(^|[./_ ])(episodes?|epochs?|steps?|global_step|iterations?|checkpoints?|ckpts?|trials? step)$", re.I
)
"""Names of columns that count parts of one run."""
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*|(?=\.))(\.[0-9]*)?([eE][-+]?[0-9]+)?")
"""A number, and not an identifier such as `001` or `1_000`."""
_RUN_NAMES = re.compile(r"(^|[./_ ])(run|run_?id|run_?name|run_?uuid|experiment_?id|job_?id|uuid|id)$", re.I)
"""Names of columns that name a run."""
_MOST_SEED = 2**31
_LONGEST_WHOLE = 300


def one_meaning(parts: Sequence[tuple[str, str]]) -> None:
    """Raise UserError for a column with two options. parts: each column with its option."""
    seen: dict[str, str] = {}
    for column, option in parts:
        if column in seen:
            message = f"the column '{column}' is both {seen[column]} and {option}"
            raise UserError(message, help="each column has one meaning; name another one")
        seen[column] = option


def no_column(name: str, sources: Sequence[Source]) -> UserError:
    """The error for a column that no source has."""
    known = list(dict.fromkeys(name for source in sources for name in source.columns))
    shown = ", ".join(known[:30]) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    where = " and ".join(str(source.path) for source in sources[:3])
    return UserError(f"{where}: there is no column '{name}'{nearest(name, known)}", help=f"columns are: {shown}")


def one_row_a_run(rows: pl.DataFrame, run: str | None, step: str | None, others: Sequence[str]) -> None:
    """Raise UserError if a run has two rows, or two rows at one step."""
    counts = rows.group_by(_RUN, _STEP, maintain_order=True).agg(pl.len().alias("rows"), pl.col(PLACE))
    twice = counts.filter(pl.col("rows") > 1)
    if twice.is_empty():
        return
    first = twice.row(0, named=True)
    places = _listed(first[PLACE])
    if first[_STEP] is not None:
        message = f"run {_name(first[_RUN])} has {first['rows']} rows at the same step {first[_STEP]:g}: {places}"
        raise UserError(message, help="name the column that tells these runs apart with --run COLUMN")
    same = rows.filter(pl.col(_RUN) == first[_RUN])
    differing = [name for name in others if same[name].n_unique() > 1]
    counting = [name for name in differing if _PARTS.search(name)]
    message = f"{first['rows']} rows are of the same run ({_name(first[_RUN])}): {places}"
    if counting:
        help = f"'{counting[0]}' tells them apart; if it counts parts of one run, add --step '{counting[0]}'"
    elif run:
        help = "if they are its epochs, name the column that counts these with --step COLUMN; otherwise remove one"
    else:
        apart = f"; they differ in {_listed(differing)}" if differing else ", and they are the same in every column"
        help = f"remove one, or name what tells them apart with --axis, --seed or --run{apart}"
    raise UserError(f"{message}{_more(twice)}", help=help)


def one_cell_a_run(rows: pl.DataFrame, cell: Sequence[str]) -> None:
    """Raise UserError if a run has two values of an axis, or two seeds."""
    counts = rows.group_by(_RUN, maintain_order=True).agg(pl.col(name).drop_nulls().unique() for name in cell)
    for name in cell:
        several = counts.filter(pl.col(name).list.len() > 1)
        if not several.is_empty():
            first = several.row(0, named=True)
            message = f"run {_name(first[_RUN])} has several values of '{name}': {_listed(first[name])}"
            help = "an axis or a seed is fixed for a run: name another column, or another --run"
            raise UserError(message, help=help)


def metrics_are_numbers(rows: pl.DataFrame, metrics: Sequence[str]) -> None:
    """Raise UserError for a metric that has text."""
    for name in metrics:
        kind = rows.schema[name]
        if not kind.is_numeric():
            message = f"--metric {name}: {_not_a_number(rows, name)}"
            raise UserError(message, help="results are numbers; write them without units and with a decimal point")


def _not_a_number(rows: pl.DataFrame, name: str) -> str:
    """What is wrong with a column that is not of numbers, by the first row of which that can be said."""
    rows = rows.filter(pl.col(name).is_not_null()) if rows[name].count() else rows
    odd = rows.filter(pl.col(name).cast(pl.String).cast(pl.Float64, strict=False).is_null())
    first = (odd if odd.height else rows).row(0, named=True)
    return f"{value_text(first[name])} is {'not' if odd.height else 'text, not'} a number ({first[PLACE]})"


def every_run_is_placed(
    table: pl.DataFrame, axes: Mapping[str, str], seed: str | None, case: str | None, conditional: frozenset[str]
) -> None:
    """Raise UserError for runs without a value of an axis, or without a whole number from 0 as seed.

    A case, and an axis that not all cells have, may lack the value.
    """
    of_grid = pl.lit(True) if case is None else pl.col(case).is_null()
    for axis, column in axes.items():
        wrong = pl.col(column).is_null() & of_grid & pl.lit(axis not in conditional)
        if table.schema[column].is_float():
            wrong = wrong | ~pl.col(column).is_finite()
        if not (missing := table.filter(wrong)).is_empty():
            message = f"{_runs(missing)} no finite value of the axis '{axis}': {_listed(missing[PLACE])}"
            raise UserError(message, help=f"fill in the column '{column}', or remove these rows")
    if seed is None:
        return
    if not (kind := table.schema[seed]).is_numeric():
        message = f"--seed {seed}: {_not_a_number(table, seed)}"
        raise UserError(message, help="seeds are joined by their number; name a column with whole numbers from 0")
    wrong = pl.col(seed).is_null() | (pl.col(seed) < 0) | (pl.col(seed) >= _MOST_SEED)
    if kind.is_float():
        wrong = wrong | ~pl.col(seed).is_finite() | (pl.col(seed) != pl.col(seed).floor())
    if not (odd := table.filter(wrong)).is_empty():
        message = f"{_runs(odd)} no seed from 0 to {_MOST_SEED - 1:,} in the column '{seed}': {_listed(odd[PLACE])}"
        raise UserError(message, help="fill in the seed that the run used, or remove these rows")


def every_run_has_a_result(table: pl.DataFrame, metric: str) -> None:
    """Raise UserError for runs whose metric is missing, NaN, infinite, or as large as `MOST`."""
    wrong = pl.col(metric).is_null()
    if table.schema[metric].is_float():
        wrong = wrong | pl.col(metric).is_nan() | (pl.col(metric).abs() >= MOST)
    if not (odd := table.filter(wrong)).is_empty():
        message = f"{_runs(odd)} no finite '{metric}': {_listed(odd[PLACE])}"
        help = (
            "if training diverged there, record these runs as failed with --nan-failed; leaving them out biases means"
        )
        raise UserError(message, help=help)


def no_value_twice(table: pl.DataFrame, axes: Mapping[str, str]) -> None:
    """Raise UserError for an axis of text in which one value is spelled in two ways: it would be two cells."""
    for axis, column in axes.items():
        if table.schema[column] != pl.String:
            continue
        same: dict[float | str, str] = {}
        for text in table[column].drop_nulls().unique(maintain_order=True):
            if (other := same.setdefault(_spelled(text), text)) != text:
                message = f"the axis '{axis}' is text, and has one value twice: {other!a} and {text!a}"
                raise UserError(message, help=f"spell it alike in '{column}'; versions need a letter, as in v1.10")


def _spelled(text: str) -> float | str:
    """What a text means that can be spelled in several ways: a number, `true` or `false`, or what can be seen of it."""
    seen = as_seen(text)
    if seen.lower() in ("true", "false"):
        return seen.lower()
    if not _DECIMAL.fullmatch(seen):
        return seen
    return int(seen) if seen.lstrip("+-").isdecimal() and len(seen) < _LONGEST_WHOLE else float(seen)


def steps(source: Source, step: str) -> pl.Expr:
    """The column of steps. Raises UserError for one that is not a number: its row would count as the end of its run."""
    finite = pl.col(step).cast(pl.Float64, strict=False).is_finite()
    odd = source.rows.filter(pl.col(step).is_not_null() & finite.ne_missing(pl.lit(value=True)))
    if odd.height:
        first = odd.row(0, named=True)
        message = f"{source.path}, {first[PLACE]}: the step {step} = {value_text(first[step])} is not a finite number"
        raise UserError(message, help="leave it empty in a row that summarizes its run, or name another --step")
    return pl.col(step)


def seeds_are_runs(
    table: pl.DataFrame, seed: str | None, settings: Sequence[str], known: bool, about: frozenset[str]
) -> None:
    """Raise UserError if the seeds look like parts of one run, such as its episodes or checkpoints."""
    if seed is None or known:
        return
    if _PARTS.search(seed):
        message = f"--seed {seed}: episodes, steps and checkpoints are parts of one run, and not runs of their own"
        help = "average over them first, or give --step; if each was trained separately, add --seeds-are-runs"
        raise UserError(message, help=help)
    for name in settings:
        if not _RUN_NAMES.search(name) or name in about:
            continue
        shared = table.group_by(name, maintain_order=True).agg(pl.col(seed).n_unique().alias("seeds"), pl.col(PLACE))
        shared = shared.filter((pl.col("seeds") > 1) & pl.col(name).is_not_null())
        if shared.height > 0 and table[name].n_unique() > 1:
            first = shared.row(0, named=True)
            message = f"{first['seeds']} seeds share one '{name}', {value_text(first[name])}: {_listed(first[PLACE])}"
            help = "parts of one run are not seeds: average over them; if each was trained alone, add --seeds-are-runs"
            raise UserError(message, help=help)


def no_run_twice(table: pl.DataFrame, axes: Mapping[str, str], seed: str | None) -> None:
    """Raise UserError if two runs have the same cell and seed."""
    key = [*axes.values(), *([seed] if seed else [])]
    twice = table.group_by(key, maintain_order=True).agg(pl.len().alias("\x00runs"), pl.col(PLACE))
    twice = twice.filter(pl.col("\x00runs") > 1)
    if twice.is_empty():
        return
    first = twice.row(0, named=True)
    cell = " ".join(f"{name}={first[column]}" for name, column in axes.items())
    if seed is None:
        message = f"{first[chr(0) + 'runs']} runs without a seed have the same cell, {cell}: {_listed(first[PLACE])}"
        raise UserError(message, help="name the column with the seed: --seed COLUMN")
    message = f"{first[chr(0) + 'runs']} runs have the same cell and seed, {cell} seed={first[seed]}: "
    help = "keep one of them; seeds are joined by their number, so two runs of one seed are not two samples"
    raise UserError(f"{message}{_listed(first[PLACE])}{_more(twice)}", help=help)


def nothing_else_varies(
    table: pl.DataFrame, axes: Mapping[str, str], seed: str | None, settings: Sequence[str]
) -> None:
    """Raise UserError for columns that vary between runs and are neither axes nor results: confounders."""
    varying = [name for name in settings if table[name].n_unique() > 1 and not names_runs(table, name)]
    if not varying:
        return
    lines = []
    for name in varying[:_MOST_NAMED]:
        together = next((axis for axis, column in axes.items() if _follows(table, name, column)), None)
        values = table[name].unique(maintain_order=True)
        why = f", always together with the axis '{together}'" if together else ""
        lines.append(f"'{name}' ({values.len()} values, such as {_listed(values.head(2))}{why})")
    more = f" and {len(varying) - _MOST_NAMED} more" if len(varying) > _MOST_NAMED else ""
    count = "a column varies and is" if len(varying) == 1 else f"{len(varying)} columns vary and are"
    kind = "not an axis" if len(varying) == 1 else "not axes"
    options = " ".join(f"--ignore '{name}'" for name in varying[:_MOST_NAMED])
    help = f"say what it is: a setting (--axis), a result (--metric), or neither: {options}"
    raise UserError(f"{count} {kind}: {', '.join(lines)}{more}", help=help)


def names_runs(table: pl.DataFrame, name: str) -> bool:
    """Whether a column names the run, as `run_id` does: by its own name, and with another value for each run."""
    return bool(_RUN_NAMES.search(name)) and table[name].n_unique() == table.height


def _follows(table: pl.DataFrame, name: str, axis: str) -> bool:
    """Whether a column is constant for each value of an axis, so that their effects cannot be separated."""
    counts = table.group_by(axis).agg(pl.col(name).n_unique())
    return bool((counts[name] == 1).all())


def _runs(table: pl.DataFrame) -> str:
    return "a run has" if table.height == 1 else f"{table.height:,} runs have"


def _name(run: str) -> str:
    return run.replace("\x00", ", ")


def _more(found: pl.DataFrame) -> str:
    return f"; and {found.height - 1:,} more like this" if found.height > 1 else ""


def _listed(values: Any) -> str:
    texts = ["none" if value is None else str(value) for value in list(values)]
    more = f" and {len(texts) - _MOST_NAMED:,} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more
