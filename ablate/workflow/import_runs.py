"""Importing runs that were trained elsewhere: from their sources to a study with records."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.workflow.import_cells import by_cell, check_base, check_others, place_of

if TYPE_CHECKING:
    from ablate.records.files import Results
    from ablate.records.import_trials import ImportedTrial
    from ablate.records.runs import Columns, ImportedRun, Runs
    from ablate.run.plan import Plan
    from ablate.study.expansion.trial import Expansion
    from ablate.study.schema.study import LoadedStudy

_POLL_SECONDS = 10.0


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    study: Path
    """The study file."""
    written: bool
    """Whether the study file is new."""
    new: int
    changed: int
    runs: int
    """All runs of the sources."""
    failed: int
    """Runs without a finite result."""
    ignored: tuple[str, ...]
    """Columns that were left out."""
    ends: tuple[float, ...] = ()
    """The least and the greatest last step, if runs have steps."""
    shorter: str | None = None
    """The run that ends first among those whose cell has a longer one, and where both end."""

    @property
    def unchanged(self) -> int:
        """Runs that had this result already."""
        return self.runs - self.new - self.changed


def import_runs(
    paths: Sequence[Path],
    study: str,
    columns: Columns,
    results: Results,
    update: bool = False,
    command: Sequence[str] = (),
) -> Imported:
    """Import the runs of some sources into a study, whose file is written if it is missing.

    columns.axes: by name of the axis, of an existing study only those whose column has another name. update: whether
    a run that was imported before may have another result now. Raises UserError before anything is written.
    """
    from ablate.records.files import check_folders
    from ablate.records.import_trials import new_and_changed, replace_trials, write_trials
    from ablate.records.plans import save_plan
    from ablate.records.runs import assemble
    from ablate.records.sources import read_source
    from ablate.run.plan import plan_file
    from ablate.workflow.imported_study import completed, load, study_file, write_study

    loaded = load(file) if (file := study_file(study)).exists() else None
    sources = list(map(read_source, paths))
    columns = completed(columns, loaded, sources)
    runs = assemble(sources, columns)
    new_file = loaded is None
    loaded = loaded or write_study(file, runs, columns, command)
    metric = loaded.study.metric
    try:
        plan, trials = _matched(loaded, runs, results)
        new, changed = new_and_changed(results, trials, metric)
        _check_sources(changed, results, loaded.study.name)
        _check_update(changed if not update else (), results, metric)
        check_folders(results, loaded.study.name)
    except UserError:
        if new_file:
            file.unlink()
        raise
    path = save_plan(results, plan_file(plan, list(command))).relative_to(results.root).as_posix()
    trainer = plan.expansion.trainer
    about = {"trainer": trainer.name, "recipe_version": trainer.recipe_version, "plan": path}
    write_trials(results, new, metric, about, time.time())
    replace_trials(results, changed, metric, about, time.time())
    failed = sum(metric not in trial.run.metrics for trial in trials)
    return Imported(file, new_file, len(new), len(changed), len(trials), failed, runs.ignored, *_ends(runs))


def _ends(runs: Runs) -> tuple[tuple[float, ...], str | None]:
    """The least and the greatest last step of the runs that have a curve, and the shorter run of a cell."""
    cells: dict[Any, list[tuple[float, str]]] = {}
    for run in runs.runs:
        if run.curve:
            last = json.loads(run.curve.rstrip().rpartition("\n")[2])["epoch"]
            cells.setdefault((frozenset(run.axes.items()), run.case), []).append((last, place_of(run)))
    ends = sorted({last for cell in cells.values() for last, _ in cell})
    uneven = [(*min(cell), max(cell)[0]) for cell in cells.values() if min(cell)[0] < max(cell)[0]]
    least, place, most = min(uneven, default=(0.0, "", 0.0))
    shorter = f"{place}, ends at step {least:g}, and another seed of its cell at {most:g}" if uneven else None
    return (*ends[:1], *ends[-1:]), shorter


def _matched(loaded: LoadedStudy, runs: Runs, results: Results) -> tuple[Plan, list[ImportedTrial]]:
    """The plan of exactly the trials that were imported, and each with its run. Raises UserError."""
    from ablate.records.import_trials import ImportedTrial
    from ablate.study.expansion.expand import expand
    from ablate.study.load import load_profile
    from ablate.study.schema.study import DEFAULT_PROFILE

    profile = load_profile(DEFAULT_PROFILE, Path(loaded.source.path))
    every = expand(loaded, profile, seeds=sorted({run.seed for run in runs.runs}))
    found: dict[tuple[str, int], ImportedRun] = {}
    for cell_and_seed, run in by_cell(loaded, runs.runs, {trial.cell.key: trial.cell for trial in every.trials}):
        if (other := found.setdefault(cell_and_seed, run)) is not run:
            message = f"two runs have the same cell and seed: {place_of(other)} and {place_of(run)}"
            raise UserError(message, help="keep one of them; two runs of one seed are not two samples")
    kept = tuple(trial for trial in every.trials if (trial.cell.key, trial.seed) in found)
    trials = []
    for trial in kept:
        run = found[trial.cell.key, trial.seed]
        config = trial.config.model_dump(mode="json")
        check_others(loaded, run, trial.cell, config)
        trials.append(ImportedTrial(trial.key, trial.pretrain_key, trial.label, config, run))
    check_base(loaded, runs, trials)
    return _plan(loaded, results, replace(every, trials=kept)), trials


def _plan(loaded: LoadedStudy, results: Results, expansion: Expansion) -> Plan:
    """The plan of trials of which none is to be trained: it has no states and costs nothing."""
    from ablate.run.cost import cost_of
    from ablate.run.plan import Plan
    from ablate.study.schema.study import DEFAULT_PROFILE

    cost = cost_of(expansion, [], [], [], results, None)
    return Plan(loaded, DEFAULT_PROFILE, DEFAULT_PROFILE, {}, expansion, {}, {}, {}, cost, (), {})


def _check_sources(changed: Sequence[ImportedTrial], results: Results, study: str) -> None:
    """Raise UserError for a record that another study has from another source: that study would lose its result."""
    from ablate.records.attempt import environment_of
    from ablate.records.import_trials import FROM
    from ablate.records.reading import read_object
    from ablate.study.imported import OF_STUDY

    for trial in changed:
        folder = results.trial(trial.key)
        sources = {environment_of(attempt).get(FROM) for attempt in folder.attempt_folders()}
        other = Path(str(read_object(folder.trial).get("plan", ""))).parent.name
        if None not in sources and trial.run.source.address not in sources and other != study:
            message = (
                f"{trial.label} is a run of the study '{other}' with another result, from {min(map(str, sources))}"
            )
            help = f'if these are other runs, give them a setting of their own: {OF_STUDY} = "{study}" in [base]'
            raise UserError(message, help=help)


def _check_update(changed: Sequence[ImportedTrial], results: Results, metric: str) -> None:
    """Raise UserError for trials whose record has another result."""
    from ablate.records.reading import result_if_any

    if not changed:
        return
    trial = changed[0]
    before: Mapping[str, Any] = getattr(result_if_any(results.trial(trial.key).result), "metrics", {})
    names = [name for name in dict.fromkeys((metric, *before, *trial.run.metrics))
             if before.get(name) != trial.run.metrics.get(name)] or [metric]  # fmt: skip
    message = f"{trial.label} has a record with {names[0]} {before.get(names[0])}, and {trial.run.source.path} has "
    message += f"{trial.run.metrics.get(names[0])} ({trial.run.place})"
    more = f"; {len(changed) - 1:,} more runs differ" if len(changed) > 1 else ""
    raise UserError(message + more, help="to record the new results, add --update")


def watch_sources(
    paths: Sequence[Path],
    study: str,
    columns: Columns,
    results: Results,
    show: Callable[[Imported], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Import again whenever a source changes, until Ctrl-C. An error is shown, and the next change tried.

    Raises UserError for a source on a server, whose changes cannot be seen without reading it whole.
    """
    from ablate.records.source import is_remote

    if remote := [path for path in paths if is_remote(path)]:
        raise UserError(f"--watch cannot watch {remote[0]}", help="import it again with --update when runs have ended")
    seen: object = None
    try:
        while True:
            if (found := _stamps(paths)) != seen:
                seen = found
                try:
                    done = import_runs(paths, study, columns, results, update=True, command=sys.argv)
                    if done.new or done.changed:
                        show(done)
                except UserError as error:
                    print(error, file=sys.stderr)
            sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        pass


def _stamps(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Name, time and size of every file of the sources."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    found = []
    for file in files:
        with contextlib.suppress(OSError):
            about = file.stat()
            found.append((str(file), about.st_mtime_ns, about.st_size))
    return found
