"""All charts of a study's page in order; the main one, measured and published, in one form and on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from altair.utils.schemapi import debug_mode

from ablate.judge.evidence import Evidence
from ablate.records.plain import plural
from ablate.report.charts.agreement import agreement_figure
from ablate.report.charts.curves import curves_figure
from ablate.report.charts.effects import effects_figure
from ablate.report.charts.encoding import Encoding, color_text, encode, form_module, traits_of
from ablate.report.charts.layers import Style, digits, spanned, titled
from ablate.report.charts.logged import Curve
from ablate.report.charts.marks import Mark, Marks, arrange, measured_marks, published_marks
from ablate.report.render.figure import Figure
from ablate.study.schema.chart import Chart

_FEWEST_POINTS = 3
_ALONE, _BESIDE = 38, 30
"""Characters of a line of a title: of the published chart's, and of the measured one's beside it, fewer than are as
wide as the chart, so that both are drawn at one size."""
_Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Columns and rows of a table."""


def figures_of(
    evidence: Evidence, curves: Sequence[Curve] = (), parameters: Mapping[str, int] | None = None
) -> list[Figure]:
    """`measured`, and `published`, `agreement`, `curves` and `effects` if they have something to show.

    parameters: key of a cell -> parameters of its encoder.
    """
    encoding = encoding_of(evidence)
    with debug_mode(False):  # charts are validated once, as a whole, when they are written
        further = (
            agreement_figure(evidence, encoding),
            curves_figure(evidence, _long_enough(curves)),
            effects_figure(evidence),
        )
        main = _main_figures(evidence, encoding, parameters or {})
    return [*main, *(figure for figure in further if figure is not None)]


def _long_enough(curves: Sequence[Curve]) -> Sequence[Curve]:
    """The curves, unless they have too few points to have a shape."""
    return curves if max((len(curve.at) for curve in curves), default=0) >= _FEWEST_POINTS else ()


def encoding_of(evidence: Evidence) -> Encoding:
    """The encoding of a study's main chart."""
    paper = evidence.plan.paper.cells if evidence.plan.paper else ()
    grid = [each.cell for each in evidence.grid]
    also = [cell for cell in paper if cell.case is None]
    return encode(Chart.model_validate(evidence.plan.chart), grid, also, by_name=evidence.plan.naming is not None)


def compares_parts(evidence: Evidence) -> bool:
    """Whether the differences to a baseline are the main chart: no figure of a paper, `[chart]` or grid is shown."""
    traits = traits_of(encoding_of(evidence).form)
    grid = traits.numeric or traits.two_axes
    published = any(cell.paper for cell in evidence.paper_cells)
    return not (evidence.plan.baseline is None or evidence.plan.chart or published or grid)


def _main_figures(evidence: Evidence, encoding: Encoding, parameters: Mapping[str, int]) -> list[Figure]:
    cells, paper = measured_marks(evidence, parameters), published_marks(evidence, parameters)
    here = arrange(encoding, cells, evidence.plan.axes)
    domain = _domain(encoding, [*cells, *paper])
    textures = " on synthetic textures" if evidence.synthetic else ""
    where = ", on synthetic textures" if evidence.synthetic else ""
    best = f" The best over {', '.join(encoding.best_of)}." if encoding.best_of else ""
    planned = max((mark.planned for mark in cells), default=0)
    seeds = f", {plural(planned, 'seed')}" if planned else ""
    drawn = evidence.repeated and not traits_of(encoding.form).two_axes  # a heatmap has no room for them
    spread = ", with 95 % intervals and one dot per seed" if drawn else ""
    wide = _BESIDE if paper else _ALONE
    title = titled(_finding(here), f"measured{textures}{seeds}", evidence.metric, width=wide)
    style = Style(title, evidence.metric, domain, digits(evidence))
    figures = [
        Figure(
            "measured",
            form_module(encoding.form).draw(here, style),
            f"Measured{where}: {evidence.metric}, mean over seeds{spread}.{best}",
            _summary(evidence, here, measured_here=True),
            *_measured_table(evidence, cells),
        )
    ]
    return [*figures, _published(evidence, encoding, here, domain, paper)] if paper else figures


def _published(
    evidence: Evidence, encoding: Encoding, here: Marks, domain: tuple[float, float], paper: Sequence[Mark]
) -> Figure:
    plan = evidence.plan
    labels = {axis.name: axis.label for axis in plan.axes}
    axes = [replace(axis, label=axis.label or labels.get(axis.name)) for axis in (plan.paper or plan).axes]
    marks = arrange(encoding, paper, axes)
    cited = ", ".join(dict.fromkeys(reference.label for reference in plan.references))
    own_legend = marks.legend != here.legend or not any(mark.value is not None for mark in here.cells)
    title = titled(_finding(marks), f"published in {cited}", evidence.metric, width=_BESIDE)
    style = Style(title, evidence.metric, domain, digits(evidence), legend=own_legend)
    about = " Hollow marks: approximate, read off a figure." if any(mark.approximate for mark in paper) else ""
    return Figure(
        "published",
        form_module(encoding.form).draw(marks, style),
        f"Published in {cited} of the SimCLR paper, at its own training scale, on the measured chart's axes.{about}",
        _summary(evidence, marks, measured_here=False),
        *_published_table(evidence, paper),
    )


def _domain(encoding: Encoding, marks: Sequence[Mark]) -> tuple[float, float]:
    """The range of values on the scale that both charts share."""
    traits = traits_of(encoding.form)
    known = [
        value
        for mark in marks
        for value in (mark.value, *mark.drawn, *mark.seeds)
        if value is not None and (not traits.two_axes or (value == mark.value and mark.cell.case is None))
    ]
    if not known:
        return 0.0, 1.0
    if traits.two_axes:
        return (min(known), max(known)) if max(known) > min(known) else (known[0] - 1, known[0] + 1)
    if traits.from_zero:
        low, high = spanned([0.0, *known])
        return (low if min(known) < 0 else 0.0), high
    return spanned(known)


def _finding(marks: Marks) -> str:
    """What a chart shows in a few words: its highest and its lowest cell."""
    known = sorted((mark for mark in marks.cells if mark.value is not None), key=lambda mark: mark.value or 0.0)
    if not known:
        return "No results yet"
    if len(known) == 1:
        return known[0].label
    if known[0].value == known[-1].value:
        return "All cells have the same value"
    return f"Highest: {known[-1].label}\nLowest: {known[0].label}"


def _summary(evidence: Evidence, marks: Marks, *, measured_here: bool) -> str:
    """The highest and the lowest cell, the best of each color, and the number of cells that lack seeds."""
    known = [mark for mark in marks.cells if mark.value is not None]
    if not known:
        return "No cell has a number yet."
    sentences = []
    by_value = sorted(known, key=lambda mark: mark.value or 0.0)
    low, high = by_value[0], by_value[-1]
    if len(known) == 1:
        sentences.append(f"{high.label}: {_value(evidence, high)}.")
    else:
        sentences.append(
            f"Highest: {high.label} {_value(evidence, high)}; lowest: {low.label} {_value(evidence, low)}."
        )
    if 1 < len(marks.colors) <= 8 and len(known) > len(marks.colors):
        tops = [
            (color, max((mark for mark in known if mark.position.color == color), key=lambda mark: mark.value or 0.0))
            for color in marks.colors
            if any(mark.position.color == color for mark in known)
        ]
        each = "; ".join(f"{color_text(marks.encoding.color, color)} {_value(evidence, cell)}" for color, cell in tops)
        sentences.append(f"Best of each: {each}.")
    if measured_here and (lacking := [mark for mark in marks.cells if len(mark.seeds) < mark.planned]):
        sentences.append(f"{len(lacking)} of {len(marks.cells)} cells still lack seeds.")
    return " ".join(sentences)


def _measured_table(evidence: Evidence, cells: Sequence[Mark]) -> _Table:
    """The table of measured cells: value, interval, seeds."""
    rows = tuple(
        (cell.label, evidence.shown(cell.value), _between(evidence, cell), cell.count,
         ", ".join(evidence.shown(value) for value in cell.seeds))
        for cell in cells
    )  # fmt: skip
    return ("cell", evidence.metric, "95 % interval", "seeds", "each"), rows


def _published_table(evidence: Evidence, cells: Sequence[Mark]) -> _Table:
    """The table of published cells: value, and the reading error of those read off a figure."""
    rows = tuple((cell.label, _value(evidence, cell), _between(evidence, cell)) for cell in cells)
    return ("cell", evidence.metric, "between"), rows


def _value(evidence: Evidence, cell: Mark) -> str:
    return f"{'about ' if cell.approximate else ''}{evidence.shown(cell.value)}"


def _between(evidence: Evidence, cell: Mark) -> str:
    return "\u2013" if cell.low is None else f"{evidence.shown(cell.low)} to {evidence.shown(cell.high)}"
