"""A suite in Python: loaded, planned and run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ablate.api.results import StudyResults
from ablate.api.study import HowToRun, PlanAndRun, WhatToPlan, plan_options, run_options
from ablate.errors import as_path
from ablate.records.files import Results
from ablate.workflow.run import plan_study

if TYPE_CHECKING:
    import polars

    from ablate.run.options import PlanOptions, RunOptions
    from ablate.study.suite import LoadedSuite
    from ablate.workflow.suite import PlannedSuite as Plans


@dataclass(frozen=True, repr=False)
class SuiteFile:
    """A suite, as it was read."""

    loaded: LoadedSuite

    def plan(self, profile: str = "embedded", **what: Unpack[WhatToPlan]) -> PlannedSuite:
        """Plan every study of the suite; the keywords are those of `StudyFile.plan`."""
        return self._planned(profile, what)

    def run(self, profile: str = "embedded", **keywords: Unpack[PlanAndRun]) -> dict[str, StudyResults]:
        """Train what is missing, one study after another; returns the results of each. Keywords: see PlanAndRun.

        Raises TrialsFailed if trials failed and UserError for studies that cannot run; the other studies are done.
        """
        return self._planned(profile, keywords)._run(run_options(keywords))

    def _planned(self, profile: str, what: WhatToPlan | PlanAndRun) -> PlannedSuite:
        from ablate.workflow.suite import plan_suite

        options, records = plan_options(profile, what)
        plans = plan_suite(self.loaded, partial(plan_study, options=options, results=records))
        return PlannedSuite(plans, options, records)

    def report(
        self,
        profile: str | None = None,
        *,
        folder: str | Path = "results",
        reports: str | Path = "reports",
        formats: Iterable[str] = ("html",),
    ) -> list[Path]:
        """Write the pages, tables or charts of all studies that were run; returns the files."""
        from ablate.workflow.pages import PageRequest, write_pages

        suite = str(self.loaded.source.path)
        request = PageRequest(Results(as_path(folder)), as_path(reports), [suite], profile, tuple(formats))
        return write_pages(request, request.targets())

    def __repr__(self) -> str:
        return f"<suite {self.loaded.suite.name}: {', '.join(self.loaded.studies)}>"


@dataclass(frozen=True, repr=False)
class PlannedSuite:
    """What a run of a suite would do."""

    plans: Plans
    options: PlanOptions
    records: Results

    def run(self, **how: Unpack[HowToRun]) -> dict[str, StudyResults]:
        """Run the suite with the options of this plan: see `SuiteFile.run`."""
        return self._run(run_options(how))

    def _run(self, how: RunOptions) -> dict[str, StudyResults]:
        from ablate.workflow.suite import run_suite

        run_suite(self.plans.loaded, self.options, how, self.records)
        return {name: StudyResults(name, plan.profile, self.records) for name, plan in self.plans.plans.items()}

    def as_dict(self) -> dict[str, Any]:
        """The plans and their total as plain values: what `ablate plan SUITE --json` prints."""
        return self.plans.as_dict()

    def pl(self) -> polars.DataFrame:
        """One row per study: profile, number of trials, done and to run, unit and hours of its cost."""
        import polars

        names = ("study", "profile", "trials", "done", "to_run", "unit", "hours", "unknown")
        rows = [{name: study[name] for name in names} for study in self.as_dict()["studies"]]
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)

    def __repr__(self) -> str:
        total = self.plans.total
        return f"<plan of {self.plans.loaded.suite.name}: {total.trials} trials, {total.done} done>"

    def _repr_html_(self) -> str:
        return str(self.pl()._repr_html_())
