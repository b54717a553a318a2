"""The results of a study in Python: frames, verdicts, charts and pages."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError, as_path, nearest
from ablate.records.files import Results

if TYPE_CHECKING:
    import pandas
    import polars

    from ablate.judge.study import Judged


@dataclass(frozen=True, repr=False)
class StudyResults:
    """The results of a study: one row per trial, with a column for each axis."""

    study: str
    profile: str | None
    records: Results

    def pl(self) -> "polars.DataFrame":
        """A polars frame: study, profile, case, each axis, seed, key, state, value, each returned value, seconds.

        The column of an axis or a returned value that has the name of one of the others is `axis.NAME` or
        `metric.NAME`.
        """
        import polars

        from ablate.records.store import open_store

        kinds = {"BIGINT": polars.Int64, "DOUBLE": polars.Float64, "BOOLEAN": polars.Boolean}
        with open_store(self.records) as store:
            cursor = store.execute(self._query(store), [self.profile] if self.profile else [])
            columns = [(column[0], str(column[1])) for column in cursor.description or []]
            schema = {name: kinds.get(kind, polars.String) for name, kind in columns}
            return polars.DataFrame(cursor.fetchall(), schema=schema, orient="row")

    def df(self) -> "pandas.DataFrame":
        """The same as a pandas frame."""
        from ablate.records.store import open_store

        with open_store(self.records) as store:
            return store.execute(self._query(store), [self.profile] if self.profile else []).df()

    def judge(self, sequential: bool = False) -> "Judged":
        """The verdict on each claim, as `ablate judge` gives them. Raises UserError if nothing was run."""
        from ablate.judge.study import judge_study

        return judge_study(self.records, self.study, self.profile, sequential)

    def report(self, reports: str | Path = "reports", *, watch: bool = False) -> Path:
        """Write the study's page and the index of all pages; returns the page's path.

        watch: write them again while the study runs, until nothing is left to run or Ctrl-C.
        """
        return self.write(["html"], reports, watch=watch)[0]

    def write(
        self, formats: Iterable[str], reports: str | Path = "reports", *, pictures: bool = True, watch: bool = False
    ) -> list[Path]:
        """Write the study in some formats (html, md, latex, csv, svg, png, pdf); returns the files."""
        from ablate.report.formats import read_formats
        from ablate.workflow.pages import PageRequest, write_pages
        from ablate.workflow.watch import Watch

        names = read_formats(list(formats))
        request = PageRequest(self.records, as_path(reports), [self.study], self.profile, names, pictures)
        targets = request.targets()
        return Watch(request, targets).run() if watch else write_pages(request, targets)

    def chart(self, which: str = "measured") -> Any:
        """A chart of the study's page, as an Altair chart that notebooks show.

        which: measured, difference (to the baseline), published, agreement (of measured and published), curves, or
        claim-A1 (the comparisons of claim A1). Raises UserError for a chart that the page lacks.
        """
        from ablate.report.charts.forest import forests_of
        from ablate.report.page import draw_figures
        from ablate.report.reading import read_study

        reading = read_study(self.records, self.study, self.profile)
        figures = [*draw_figures(reading), *forests_of(reading.judged, reading.describer)]
        charts = {figure.name: figure.chart for figure in figures}
        if which not in charts:
            help = f"its charts are: {', '.join(charts)}"
            raise UserError(f"'{self.study}' has no chart '{which}'{nearest(which, charts)}", help=help)
        return charts[which]

    def _query(self, store: Any) -> str:
        known = [name for (name,) in store.execute("SELECT DISTINCT study FROM cells ORDER BY study").fetchall()]
        if self.study not in known:
            help = f"studies with records are: {', '.join(known)}" if known else "run it first"
            raise UserError(f"no records of a study '{self.study}'{nearest(self.study, known)}", help=help)
        return f'SELECT * FROM "{self.study}"' + (" WHERE profile = ?" if self.profile else "")

    def __repr__(self) -> str:
        return f"<results of {self.study}>\n{self.pl()}"

    def _repr_html_(self) -> str:
        return str(self.pl()._repr_html_())
