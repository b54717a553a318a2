"""A study in Python: loaded, planned, run and retried."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ablate.api.results import StudyResults
from ablate.errors import InvalidValue, UserError, as_path, nearest, value_text
from ablate.records.files import Results
from ablate.run.options import PlanOptions, RunOptions
from ablate.workflow.pages import check_can_write, finish
from ablate.workflow.run import plan_study, retry_study, run_plan, run_study

if TYPE_CHECKING:
    import polars

    from ablate.run.plan import Plan
    from ablate.study.schema.study import LoadedStudy


class WhatToPlan(TypedDict, total=False):
    """The keywords of a plan."""

    set: Mapping[str, Any]
    """Settings to change, by dotted path."""
    seeds: int | Iterable[int] | None
    """How many, or which."""
    only: Mapping[str, Any]
    """Axis -> a value to keep, or several."""
    folder: str | Path
    """The folder of all records: `results` by default."""


class HowToRun(TypedDict, total=False):
    """The keywords of a run. None of them is part of a trial's identity."""

    workers: int | None
    """Trials at once; by default one per core or GPU."""
    device: str
    """auto, cpu or cuda."""
    inline: bool
    """Whether to train in this process."""
    stop_at_first_failure: bool
    budget: str | None
    """Start nothing if it may take more hours than this: `200h`."""
    on: str | None
    """A cluster of ablate.toml to train on."""
    wait: bool
    """With `on`: stay until every trial has ended; by default return once everything is submitted."""
    log: Iterable[str]
    """Trackers that receive copies of the rows: tensorboard, wandb, mlflow, trackio. Default: those of ablate.toml."""
    reports: str | Path | None
    """Write the page into this folder when the run ends, and print warnings, as `ablate run` does."""


class PlanAndRun(WhatToPlan, HowToRun, total=False):
    """The keywords of a plan and of its run."""


@dataclass(frozen=True, repr=False)
class StudyFile:
    """A study as it was read: changing its file later changes nothing here."""

    loaded: LoadedStudy
    path: Path
    """The absolute path of its file."""

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.loaded.study.name

    def plan(self, profile: str = "embedded", **what: Unpack[WhatToPlan]) -> PlannedStudy:
        """What a run would do now, as `ablate plan` shows it. Keywords: set, seeds, only, folder; see WhatToPlan.

        Raises UserError for any error in the study, in these arguments, or in the data.
        """
        options, records = plan_options(profile, what)
        return PlannedStudy(plan_study(self._from_here, options, records), records)

    def run(
        self, profile: str = "embedded", *, until_decided: bool = False, **keywords: Unpack[PlanAndRun]
    ) -> StudyResults:
        """Train what is missing, as `ablate run` does; returns the study's results. Keywords: see PlanAndRun.

        until_decided: add seeds until every claim is decided, up to `seeds` (30 by default). Raises UserError if the
        run may exceed the budget, and TrialsFailed if trials failed; the others are done.
        """
        from ablate.workflow.until_decided import run_until_decided

        options, records = plan_options(profile, keywords)
        how = run_options(keywords)
        finished = (run_until_decided if until_decided else run_study)(self._from_here, options, how, records)
        finish(finished, how.reports)
        return StudyResults(self.name, finished.plan.profile, records)

    def retry(self, profile: str = "embedded", **keywords: Unpack[PlanAndRun]) -> StudyResults:
        """Train again what failed or was interrupted, and nothing that is new. Keywords: see PlanAndRun."""
        options, records = plan_options(profile, keywords)
        how = run_options(keywords)
        finished = retry_study(self._from_here, options, how, records)
        if finished is not None:
            finish(finished, how.reports)
        return StudyResults(self.name, self.loaded.study.profile_named(profile), records)

    @property
    def _from_here(self) -> LoadedStudy:
        """The study with the path of its file as seen from the current working folder."""
        source = self.loaded.source
        path = source.path if source.path.absolute() == self.path else self.path
        return replace(self.loaded, source=replace(source, path=path))

    def __repr__(self) -> str:
        study = self.loaded.study
        axes = ", ".join(f"{name} ({len(axis.values)})" for name, axis in study.all_axes.items())
        return f"<study {study.name}: {study.question} axes: {axes or 'none'}; {len(study.cases)} cases>"

    def _repr_html_(self) -> str:
        study = self.loaded.study
        rows = {name: ", ".join(map(str, axis.names)) for name, axis in study.all_axes.items()}
        rows |= {f"case {case.name}": case.label for case in study.cases}
        return f"<b>{html.escape(study.title)}</b><br>{html.escape(study.question)}{_table(rows)}"


@dataclass(frozen=True, repr=False)
class PlannedStudy:
    """What a run would do."""

    plan: Plan
    records: Results

    def run(self, **how: Unpack[HowToRun]) -> StudyResults:
        """Train what is missing, as `ablate run` does; returns the study's results.

        Raises UserError if the run may exceed the budget, and TrialsFailed if trials failed; the others are done.
        """
        from ablate.workflow.budget import check_budget

        chosen = run_options(how)
        check_budget(self.plan, chosen.budget)
        finish(run_plan(self.plan, self.records, chosen), chosen.reports)
        return StudyResults(self.plan.loaded.study.name, self.plan.profile, self.records)

    def scripts(self, **how: Unpack[HowToRun]) -> dict[Path, str]:
        """The scripts of the jobs that `run` would submit to a cluster, by path: what `ablate plan --on` prints."""
        from ablate.run.slurm.submit import preview

        return preview(self.plan, self.records, run_options(how))

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values: what `ablate plan --json` prints."""
        from ablate.run.plan_text import as_json

        return as_json(self.plan)

    def pl(self) -> polars.DataFrame:
        """One row per trial: key, label, each axis, case, seed, state, why it is stale.

        The column of an axis that has the name of one of the others is `axis.NAME`.
        """
        import polars

        from ablate.records.sql import column_names

        names = ("case", "seed", "state", "why")
        axes, _ = column_names(("key", "label", *names), self.plan.expansion.axes)
        rows = [
            {"key": trial["key"], "label": trial["label"]}
            | {column: trial["axes"].get(axis) for axis, column in axes.items()}
            | {name: trial[name] for name in names}
            for trial in self.as_dict()["trials"]
        ]
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)

    def __repr__(self) -> str:
        from ablate.run.plan import headline

        return f"<plan {headline(self.plan)}>"

    def _repr_html_(self) -> str:
        from ablate.run.plan import headline

        counts = {state: str(count) for state, count in self.plan.counts.items()}
        return f"<b>{html.escape(headline(self.plan))}</b>{_table(counts)}"


def plan_options(profile: str, what: WhatToPlan | PlanAndRun) -> tuple[PlanOptions, Results]:
    """The options of a plan and the records from its keywords. Raises UserError for invalid seeds."""
    _check_known(what, PlanAndRun)
    seeds, records = what.get("seeds"), Results(as_path(what.get("folder", "results")).absolute())
    only = {name: _texts(values) for name, values in (what.get("only") or {}).items()}
    return PlanOptions(profile, what.get("set") or {}, None if seeds is None else _seeds(seeds), only), records


def _check_known(keywords: Mapping[str, object], known: type) -> None:
    """Raise TypeError for a keyword that no function takes."""
    if unknown := keywords.keys() - known.__annotations__:
        raise TypeError(f"unexpected keyword '{min(unknown)}'{nearest(min(unknown), known.__annotations__)}")


def run_options(how: HowToRun | PlanAndRun) -> RunOptions:
    """The options of a run from its keywords. Raises UserError for an unknown cluster or a folder it cannot write."""
    from ablate.run.cluster_file import find_cluster

    _check_known(how, PlanAndRun)
    on, reports = how.get("on"), how.get("reports")
    cluster = None if on is None else find_cluster(on, Path.cwd())
    folder = None if reports is None else as_path(reports)
    if folder is not None:
        check_can_write(folder)
    return RunOptions(
        how.get("workers"),
        how.get("device", "auto"),
        how.get("inline", False),
        how.get("stop_at_first_failure", False),
        how.get("budget"),
        cluster,
        how.get("wait", False),
        folder,
        None if (log := how.get("log")) is None else tuple(log),
    )


def _seeds(seeds: int | Iterable[int]) -> list[int]:
    """The numbers of the seeds. Raises UserError as for `seeds` of a study file."""
    from ablate.study.expansion.expand import MOST_TRIALS
    from ablate.study.schema.values import seeds as check_seeds

    given: Any = list(islice(seeds, MOST_TRIALS + 1)) if isinstance(seeds, Iterable) else seeds
    try:
        checked = check_seeds(given)
    except InvalidValue as error:
        raise UserError(f"seeds = {value_text(given)}: {error}", help=error.help) from error
    return list(range(checked)) if isinstance(checked, int) else checked


def _texts(values: Any) -> list[str]:
    from ablate.study.cells.cell import axis_text

    return [axis_text(value) for value in (values if isinstance(values, (list, tuple, set, range)) else [values])]


def _table(rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in rows.items())
    return f"<table>{cells}</table>"
