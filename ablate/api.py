"""The same things from Python, for notebooks and scripts: load a study, plan it, run it, read its results."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError, nearest
from ablate.records.files import Results
from ablate.records.store import open_store
from ablate.run.command import How, check_budget, run_plan
from ablate.run.history import scale_run
from ablate.run.plan import Plan, headline, make_plan
from ablate.run.show import as_json
from ablate.run.slurm.clusters import find_cluster
from ablate.study.expand import MOST_TRIALS
from ablate.study.load import LoadedStudy, load_study
from ablate.study.scale import scale
from ablate.study.schema import DEFAULT_PROFILE
from ablate.study.values import Mistake
from ablate.study.values import seeds as check_seeds
from ablate.study.words import value_text

if TYPE_CHECKING:
    import pandas
    import polars

    from ablate.judge.study import Judged


def load(study: str | Path) -> "StudyFile":
    """A study by its file, or by its name under studies/. Raises UserError with every mistake in it."""
    loaded = load_study(str(study))
    if loaded.problems:
        raise UserError(*loaded.problems)
    return StudyFile(loaded, loaded.source.path.absolute())


def results(study: str, profile: str | None = None, folder: str | Path = "results") -> "StudyResults":
    """The results of a study by its name; at one profile (`paper`: its own scale), or at all that it was run at."""
    found = Results(Path(folder))
    return StudyResults(Path(study).stem, profile and scale_run(found, study, profile), found)


@dataclass(frozen=True, repr=False)
class StudyFile:
    """A study as it was read: that is what is planned, whatever becomes of the file."""

    loaded: LoadedStudy
    path: Path
    """Of the file, from wherever one looks."""

    @property
    def name(self) -> str:
        """That of the file."""
        return self.loaded.study.name

    def plan(
        self,
        profile: str = DEFAULT_PROFILE,
        *,
        set: Mapping[str, Any] | None = None,
        seeds: int | Iterable[int] | None = None,
        only: Mapping[str, Any] | None = None,
        folder: str | Path = "results",
    ) -> "PlannedStudy":
        """What a run would do now: as `ablate plan` does.

        set: settings by dotted path. seeds: how many, or which. only: axis -> a value, or several. folder: of all
        records. Raises UserError for any mistake in the study, in these, or in the data.
        """
        numbers = None if seeds is None else _seeds(seeds)
        chosen = {name: _texts(values) for name, values in (only or {}).items()}
        found = Results(Path(folder).absolute())  # where the plan looked is where it runs
        profile = scale(self.loaded.study, profile)
        return PlannedStudy(make_plan(self._from_here, profile, found, set, numbers, chosen), found)

    @property
    def _from_here(self) -> LoadedStudy:
        """The study with the path of its file as it leads there from the working folder of now."""
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

    def run(
        self,
        *,
        workers: int | None = None,
        device: str = "auto",
        inline: bool = False,
        budget: str | None = None,
        on: str | None = None,
        wait: bool = False,
    ) -> "StudyResults":
        """Train what is missing, as `ablate run` does; returns the study's results.

        budget: start nothing if it may cost more hours, as in "200h". on: a cluster of ablate.toml to train on; wait:
        stay until it has ended, or else return when everything is submitted. Raises TrialsFailed where trials failed:
        the others are done.
        """
        if budget is not None:
            check_budget(self.plan, budget)
        cluster = None if on is None else find_cluster(on, Path.cwd())
        run_plan(self.plan, self.records, How(workers, device, inline, on=cluster, wait=wait)).raise_failures()
        return StudyResults(self.plan.loaded.study.name, self.plan.profile, self.records)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values: what `ablate plan --json` prints."""
        return as_json(self.plan)

    def pl(self) -> "polars.DataFrame":
        """One row a trial: key, label, each axis, case, seed, state, why it is stale."""
        import polars

        rows = [
            {"key": trial["key"], "label": trial["label"], **{name: trial["axes"].get(name) for name in self._axes},
             "case": trial["case"], "seed": trial["seed"], "state": trial["state"], "why": trial["why"]}
            for trial in as_json(self.plan)["trials"]
        ]  # fmt: skip
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)

    @property
    def _axes(self) -> list[str]:
        return list(self.plan.expansion.axes)

    def __repr__(self) -> str:
        return f"<plan {headline(self.plan)}>"

    def _repr_html_(self) -> str:
        counts = {state: str(count) for state, count in self.plan.counts.items()}
        return f"<b>{html.escape(headline(self.plan))}</b>{_table(counts)}"


@dataclass(frozen=True, repr=False)
class StudyResults:
    """The results of a study: one row a trial, with a column for each axis."""

    study: str
    profile: str | None
    records: Results

    def pl(self) -> "polars.DataFrame":
        """As a polars frame: study, profile, case, each axis, seed, key, state, top1 and value, loss, seconds."""
        import polars

        kinds = {"BIGINT": polars.Int64, "DOUBLE": polars.Float64, "BOOLEAN": polars.Boolean}
        with open_store(self.records) as store:
            cursor = store.execute(self._query(store), [self.profile] if self.profile else [])
            columns = [(column[0], str(column[1])) for column in cursor.description or []]
            schema = {name: kinds.get(kind, polars.String) for name, kind in columns}
            return polars.DataFrame(cursor.fetchall(), schema=schema, orient="row")

    def df(self) -> "pandas.DataFrame":
        """As a pandas frame."""
        with open_store(self.records) as store:
            return store.execute(self._query(store), [self.profile] if self.profile else []).df()

    def judge(self, sequential: bool = False) -> "Judged":
        """The verdict on each claim, as `ablate judge` gives them. Raises UserError where nothing was run."""
        from ablate.judge.study import judge_study

        return judge_study(self.records, self.study, self.profile, sequential)

    def report(self, reports: str | Path = "reports") -> Path:
        """Write the study's page, and the index of all pages; returns the page's path."""
        from ablate.report.page import write_report
        from ablate.run.overview import suite_members

        return write_report(self.records, self.study, self.profile, Path(reports), suite_members())

    def chart(self, which: str = "measured") -> Any:
        """One of the charts of the study's page, as an Altair chart: a notebook shows it.

        which: measured, published, agreement (of the two) or curves. Raises UserError for one that it does not have.
        """
        from ablate.report.charts.figures import figures_of
        from ablate.report.reading import read_study

        figures = {
            figure.name: figure.chart for figure in figures_of(read_study(self.records, self.study, self.profile))
        }
        if which not in figures:
            help = f"its charts are: {', '.join(figures)}"
            raise UserError(f"'{self.study}' has no chart '{which}'{nearest(which, figures)}", help=help)
        return figures[which]

    def _query(self, store: Any) -> str:
        known = [name for (name,) in store.execute("SELECT DISTINCT study FROM cells ORDER BY study").fetchall()]
        if self.study not in known:
            help = f"studies with records are: {', '.join(known)}" if known else "run it first"
            raise UserError(f"no record of a study '{self.study}'{nearest(self.study, known)}", help=help)
        return f'SELECT * FROM "{self.study}"' + (" WHERE profile = ?" if self.profile else "")

    def __repr__(self) -> str:
        return f"<results of {self.study}>\n{self.pl()}"

    def _repr_html_(self) -> str:
        return str(self.pl()._repr_html_())


def _seeds(seeds: int | Iterable[int]) -> list[int]:
    """The numbers of the seeds. Raises UserError as for `seeds` of a study file."""
    given: Any = list(islice(seeds, MOST_TRIALS + 1)) if isinstance(seeds, Iterable) else seeds
    try:
        checked = check_seeds(given)
    except Mistake as error:
        raise UserError(f"seeds = {value_text(given)}: {error}", help=error.help) from error
    return list(range(checked)) if isinstance(checked, int) else checked


def _texts(values: Any) -> list[str]:
    from ablate.study.cells import text_of

    return [text_of(value) for value in (values if isinstance(values, (list, tuple, set, range)) else [values])]


def _table(rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(told)}</td></tr>" for name, told in rows.items())
    return f"<table>{cells}</table>"
