"""Runs to import: the rows of all sources joined by run, with axes, seed, results and curve of each.

Everything is joined by name or number, never by order. What would make a comparison wrong is refused, by name: see
`ablate.records.run_checks`.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from ablate.records import run_checks as checks
from ablate.records.metric import MOST
from ablate.records.source import PLACE, Source, as_numbers
from ablate.study.cells.cell import Scalar

RUN, SOURCE, STEP, SUMMARY = "\x00run", "\x00source", "\x00step", "\x00summary"
"""Columns beside those of the sources: the run, the number of the source, its epoch or step, whether it has none."""


@dataclass(frozen=True)
class Columns:
    """What the columns of the sources are."""

    axes: Mapping[str, str]
    """Axis -> column."""
    metrics: Sequence[str]
    """The study's metric, then patterns of others."""
    seed: str | None = None
    """None: each cell was run once, and its seed is 0."""
    run: str | None = None
    """Names the run, if it has several rows."""
    step: str | None = None
    """Counts epochs or steps within a run."""
    ignored: Sequence[str] = ()
    """Patterns of columns that are left out."""
    seeds_are_runs: bool = False
    """Whether the seeds are known to be of different runs, whatever their column is called."""
    nan_failed: bool = False
    """Whether a run without a finite result counts as failed."""
    case: str | None = None
    """Names the case of a run that is one; such a run needs no values of axes."""
    conditional: frozenset[str] = frozenset()
    """Axes that not all cells have."""
    of_cells: frozenset[str] = frozenset()
    """Settings that cells set: they may vary, since the value of each run is compared with that of its cell."""


@dataclass(frozen=True)
class ImportedRun:
    """One run with everything that its sources say of it."""

    axes: Mapping[str, Scalar]
    """Without the axes of which it has no value."""
    seed: int
    metrics: Mapping[str, float | int | str]
    """Its results, without those that are missing or NaN."""
    curve: str
    """The lines of its metrics.jsonl; empty without epochs."""
    source: Source
    place: str
    """The row or run of its source that has the study's metric."""
    case: str | None = None
    settings: Mapping[str, Scalar | None] = field(default_factory=dict)
    """Column -> its value, for settings that differ between runs; None where it has none."""


@dataclass(frozen=True)
class Runs:
    """All runs of the sources, and the settings that they share."""

    runs: tuple[ImportedRun, ...]
    base: Mapping[str, Scalar]
    """Column -> its value, for settings that are the same in all runs."""
    ignored: tuple[str, ...]
    """Columns that were left out: those named, and those that only describe the run."""


def assemble(sources: Sequence[Source], columns: Columns) -> Runs:
    """The runs in some sources. Raises UserError if they cannot be compared, or if a column is not explained."""
    _check_options(columns)
    _check_columns(sources, columns)
    rows = _joined(sources, columns)
    own = [columns.run, columns.step, *_cell_columns(columns)]
    others = [name for name in rows.columns if not name.startswith("\x00") and name not in own]
    metrics, left_out = _matching(others, columns.metrics), _matching(others, columns.ignored)
    about = frozenset[str]().union(*(source.about for source in sources))
    metrics |= frozenset[str]().union(*(source.metrics for source in sources)) & frozenset(others)
    left_out |= about & frozenset(others) - metrics
    others = [name for name in others if name not in left_out]
    checks.one_row_a_run(rows, columns.run, columns.step, others)
    metrics |= _changing(rows, sorted(frozenset(others) - metrics))
    rows = rows.with_columns(as_numbers(rows[name]) for name in metrics)
    checks.metrics_are_numbers(rows, [columns.metrics[0]])
    metrics = frozenset(name for name in metrics if rows.schema[name].is_numeric())
    table = _table(rows, others, metrics, columns)
    if not columns.nan_failed:
        checks.every_run_has_a_result(table, columns.metrics[0])
    base = _base(table, [name for name in others if name not in metrics], columns, about)
    runs = tuple(_runs(table, _curves(rows, sorted(metrics)), sorted(metrics), sources, columns))
    return Runs(runs, base, tuple(sorted(left_out)))


def _check_options(columns: Columns) -> None:
    """Raise UserError for a column that is given two parts."""
    parts = [(column, f"--axis {name}") for name, column in columns.axes.items()]
    parts += [(column, "--metric") for column in columns.metrics[:1]]
    parts += [(columns.case, "--axis case")] if columns.case else []
    named = (("--seed", columns.seed), ("--run", columns.run), ("--step", columns.step))
    parts += [(column, option) for option, column in named if column]
    checks.one_meaning(parts)


def _check_columns(sources: Sequence[Source], columns: Columns) -> None:
    """Raise UserError for a column that a source lacks: without a column of runs, each must have axes and seed."""
    for source in sources:
        of_run = columns.run if columns.run in source.columns else source.run or columns.run
        for name in [of_run] if of_run else _cell_columns(columns):
            if name not in source.columns:
                raise checks.no_column(name, [source])


def _joined(sources: Sequence[Source], columns: Columns) -> pl.DataFrame:
    """The rows of all sources in one table, with RUN, SOURCE, STEP and SUMMARY."""
    frames = []
    for number, source in enumerate(sources):
        step = columns.step if columns.step in source.columns else source.step
        run = columns.run if columns.run in source.columns else source.run
        at = pl.lit(None, pl.Int64) if step is None else checks.steps(source, step)
        of_run = pl.lit(None, pl.String) if run is None else pl.col(run).cast(pl.String)
        frame = source.rows.with_columns(
            pl.lit(number).alias(SOURCE), at.cast(pl.Float64, strict=False).alias(STEP), of_run.alias(RUN)
        )
        frames.append(frame.drop(each for each in (run, step) if each and each not in columns.axes.values()))
    if len(frames) > 1:  # messages say which file a row is of
        names = [pl.lit(f"{source.path.name}, ") for source in sources]
        frames = [
            frame.with_columns((name + pl.col(PLACE)).alias(PLACE)) for frame, name in zip(frames, names, strict=True)
        ]
    rows = pl.concat(_alike(frames), how="diagonal")
    for name in (*_cell_columns(columns), *columns.metrics[:1]):
        if name not in rows.columns:
            raise checks.no_column(name, sources)
    rows = rows.with_columns(pl.col(STEP).is_null().alias(SUMMARY))
    if rows[RUN].null_count():
        key = [pl.col(name).cast(pl.String).fill_null("") for name in _cell_columns(columns)]
        rows = rows.with_columns(pl.coalesce(RUN, pl.concat_str(key, separator="\x00")).alias(RUN))
    return rows


def _cell_columns(columns: Columns) -> list[str]:
    return [*columns.axes.values(), *(name for name in (columns.case, columns.seed) if name)]


def _alike(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """The tables with one type for each column: numbers of both kinds become numbers, anything else becomes text."""
    kinds: dict[str, list[pl.DataType]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            if frame[name].null_count() < frame.height:
                kinds.setdefault(name, []).append(kind)
    common = {name: reduce(_common, found) for name, found in kinds.items()}
    return [
        frame.select(pl.col(name).cast(common.get(name, kind)) for name, kind in frame.schema.items())
        for frame in frames
    ]


def _common(one: pl.DataType, two: pl.DataType) -> pl.DataType:
    if one == two:
        return one
    return pl.Float64() if one.is_numeric() and two.is_numeric() else pl.String()


def _matching(names: Iterable[str], patterns: Sequence[str]) -> frozenset[str]:
    """The names that a pattern such as `val/*` matches."""
    return frozenset(name for name in names for each in patterns if name == each or fnmatch.fnmatch(name, each))


def _changing(rows: pl.DataFrame, names: Sequence[str]) -> frozenset[str]:
    """The columns whose value changes within a run, from epoch to epoch: results, and not settings."""
    if rows[SUMMARY].all() or not names:
        return frozenset()
    counts = rows.group_by(RUN).agg(pl.col(name).drop_nulls().n_unique() for name in names)
    return frozenset(name for name in names if (counts[name] > 1).any())


def _table(rows: pl.DataFrame, others: Sequence[str], metrics: frozenset[str], columns: Columns) -> pl.DataFrame:
    """A row for each run: its axes, seed and settings, and of each metric the last value; a summary's goes first.

    PLACE and SOURCE are those of the row that has the study's metric. Raises UserError for a run with two values of
    an axis or of its seed.
    """
    cell = _cell_columns(columns)
    settings = [name for name in others if name not in metrics]
    checks.one_cell_a_run(rows, cell)
    main = columns.metrics[0]
    ordered = rows.sort(SUMMARY, STEP, maintain_order=True)
    has = pl.col(main).is_not_null()
    last = [pl.col(name).drop_nulls().last() for name in (*cell, *settings, *sorted(metrics))]
    where = [pl.coalesce(pl.col(name).filter(has).last(), pl.col(name).last()).alias(name) for name in (PLACE, SOURCE)]
    return ordered.group_by(RUN, maintain_order=True).agg(*last, *where)


def _base(table: pl.DataFrame, settings: Sequence[str], columns: Columns, about: frozenset[str]) -> dict[str, Scalar]:
    """The settings that all runs share. Raises UserError for those that vary and are not axes."""
    checks.every_run_is_placed(table, columns.axes, columns.seed, columns.case, columns.conditional)
    checks.no_value_twice(table, columns.axes)
    checks.seeds_are_runs(table, columns.seed, settings, columns.seeds_are_runs, about)
    cases = {"case": columns.case} if columns.case else {}
    checks.no_run_twice(table, {**cases, **columns.axes}, columns.seed)
    unexplained = [name for name in settings if name not in columns.of_cells]
    checks.nothing_else_varies(table, columns.axes, columns.seed, unexplained)
    found = {name: table[name].drop_nulls().first() for name in settings if table[name].n_unique() == 1}
    return {name: value for name, value in found.items() if isinstance(value, (str, bool, int, float))}


def _curves(rows: pl.DataFrame, metrics: Sequence[str]) -> dict[str, str]:
    """Run -> the lines of its metrics.jsonl; a number that a row lacks is left out of its line."""
    epochs = rows.filter(~pl.col(SUMMARY)).sort(STEP, maintain_order=True)
    logged = [name for name in metrics if epochs[name].null_count() < epochs.height]
    if epochs.is_empty() or not logged:
        return {}
    at = pl.col(STEP).cast(pl.Int64) if (epochs[STEP] == epochs[STEP].floor()).all() else pl.col(STEP)
    sparse = [name for name in logged if epochs[name].null_count()]
    line = pl.struct(at.alias("epoch"), *(pl.col(name) for name in logged)).struct.json_encode()
    if sparse:  # a missing value and NaN are both null in JSON, and only NaN was measured
        groups = epochs.with_columns(_pattern=pl.concat_str(pl.col(name).is_null() for name in sparse))
        parts = [_lines(part, at, [name for name in logged if part[name].null_count() == 0])
                 for part in groups.partition_by("_pattern")]  # fmt: skip
        lines = pl.concat(parts).sort(STEP, maintain_order=True)
    else:
        lines = epochs.select(RUN, STEP, line.alias("line"))
    joined = lines.group_by(RUN).agg(pl.col("line").str.join("\n"))
    return {name: f"{text}\n" for name, text in joined.iter_rows()}


def _lines(part: pl.DataFrame, at: pl.Expr, names: Sequence[str]) -> pl.DataFrame:
    line = pl.struct(at.alias("epoch"), *(pl.col(name) for name in names)).struct.json_encode()
    return part.select(RUN, STEP, line.alias("line")).filter(bool(names))


def _runs(
    table: pl.DataFrame, curves: Mapping[str, str], metrics: Sequence[str], sources: Sequence[Source], columns: Columns
) -> Iterable[ImportedRun]:
    varying = [name for name in table.columns if name in columns.of_cells and table[name].n_unique() > 1]
    for row in table.iter_rows(named=True):
        numbers = {name: row[name] for name in metrics}
        yield ImportedRun(
            {axis: row[column] for axis, column in columns.axes.items() if row[column] is not None},
            0 if columns.seed is None else int(row[columns.seed]),
            {name: value for name, value in numbers.items() if value is not None and abs(value) < MOST},
            curves.get(row[RUN], ""),
            source := sources[row[SOURCE]],
            row[PLACE].removeprefix(f"{source.path.name}, "),
            str(row[columns.case]) if columns.case and row[columns.case] is not None else None,
            {name: row[name] for name in varying},
        )
