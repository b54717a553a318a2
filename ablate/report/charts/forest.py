"""Forest plots: all comparisons of a claim, each with its seeds, its mean, its limits and its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt
from altair.utils.schemapi import debug_mode

from ablate.judge import wording
from ablate.judge.statistics.paired import LEAST_SEEDS, estimate, in_digits
from ablate.records.plain import plural
from ablate.report.charts.layers import INK, MOST_WIDE, QUIET, Style, spanned, styled, titled, valued, wrapped
from ablate.report.render.figure import Figure
from ablate.report.render.names import Names

if TYPE_CHECKING:
    from ablate.judge.described import Described, Describer
    from ablate.judge.statistics.comparisons import Compared
    from ablate.judge.statistics.decide import Decision
    from ablate.judge.study import Judged
    from ablate.judge.verdict import Verdict

MOST = 20
"""Comparisons of a chart; of more, those nearest to the one that decides."""
_WIDTH, _STEP, _LINE = 460, 40, 15  # pixels of the chart, of a row, and of a further line of a name
_WRAP = 40
"""Characters of a line of a name, which fit on a phone."""
_NAME, _MEAN, _SEEDS = 0.24, 0.56, 0.78  # heights within a row, from its top
_BOUND = "#d55e00"
_NONE = "\u2013"


def forests_of(judged: Judged, describer: Describer) -> list[Figure]:
    """A figure for each claim that has a comparison with three seeds, which a verdict needs."""
    found, names = [], Names(judged.evidence)
    with debug_mode(False):  # charts are validated once, as a whole, when they are written
        for verdict in judged.verdicts:
            shown = nearest_to_deciding(verdict.decision) if verdict.decision else []
            described = describer.describe(verdict, shown)
            percent = judged.evidence.in_percent(*(metric for each in described for metric in each.compared.metrics))
            found.append(forest_figure(*_renamed(verdict, described, names), percent))
    return [figure for figure in found if figure is not None]


def _renamed(verdict: Verdict, described: Sequence[Described], names: Names) -> tuple[Verdict, list[Described]]:
    """The same with the page's names of what is compared."""

    def named(compared: Compared) -> Compared:
        return replace(compared, label=names.comparison(compared.label))

    if (decision := verdict.decision) is not None:
        verdict = replace(verdict, decision=replace(decision, comparisons=tuple(map(named, decision.comparisons))))
    return verdict, [replace(each, compared=named(each.compared)) for each in described]


def nearest_to_deciding(decision: Decision) -> list[int]:
    """The numbers of at most `MOST` comparisons: those whose excess over the bound is nearest to a deciding one's.

    The excess is in standard deviations of the differences, where these are known.
    """
    comparisons = decision.comparisons
    if len(comparisons) <= MOST:
        return list(range(len(comparisons)))
    effects = [-abs(each.effect) if each.within else each.effect for each in comparisons]
    excess = [(effect - each.bound) / (each.sd or 1.0) for effect, each in zip(effects, comparisons, strict=True)]
    deciding = [value for value, each in zip(excess, comparisons, strict=True) if each.decides] or [0.0]
    ranked = sorted(
        range(len(comparisons)),
        key=lambda number: (not comparisons[number].decides, min(abs(excess[number] - each) for each in deciding)),
    )
    return sorted(ranked[:MOST])


def forest_figure(verdict: Verdict, described: Sequence[Described], percent: bool) -> Figure | None:
    """`claim-A1`: the described comparisons of a claim; None if none has three seeds.

    percent: whether its metrics are in percent.
    """
    if not any(len(each.compared.seeds) >= LEAST_SEEDS for each in described) or verdict.decision is None:
        return None
    claim, count = verdict.claim, len(verdict.decision.comparisons)
    left_out = count - len(described)
    which = f" The {MOST} nearest to deciding; {plural(left_out, 'other')} left out." if left_out else ""
    return Figure(
        f"claim-{claim.id.replace(chr(39), '-')}",
        _chart(f"{claim.id}: {_sided(verdict)}", described, _unit(described, percent)),
        f"{claim.id}: {claim.text} Diamonds: means (a filled one decides), with limits that hold for all comparisons "
        f"together, 5 % on each side. Dots: seeds. Orange: bound.{which}",
        _summary(verdict, described),
        *_table(described),
        opened=len(described) <= 8,
    )


def _unit(described: Sequence[Described], percent: bool) -> str:
    if all(each.improvement is not None for each in described):
        return "difference in percentage points" if percent else "difference"
    return "effect"


def _chart(title: str, described: Sequence[Described], unit: str) -> alt.LayerChart:
    rows = [_data(number, each) for number, each in enumerate(described)]
    above = _LINE * max(row["name"].count("\n") for row in rows)  # pixels for further lines of names
    step = _STEP + above
    ends = [row[name] for row in rows for name in ("value", "low", "high", "bound", "upper") if name in row]
    style = Style(titled(title), unit, spanned([*ends, *(seed for row in rows for seed in row["seeds"])]), ".3g")
    hint = [alt.Tooltip("label:N", title="comparison"), alt.Tooltip("text:N", title="effect")]
    base = alt.Chart().encode(tooltip=hint)

    def at(height: float) -> Any:
        return alt.Y("row:O", axis=None, scale=alt.Scale(type="band", padding=0), bandPosition=height / step)

    def name(test: str, weight: str) -> Any:
        down = alt.expr(f"{above} - {_LINE} * (length(split(datum.name, '\\n')) - 1)")
        look: dict[str, Any] = {"fontSize": 12, "color": INK, "fontWeight": weight, "align": "left"}
        return base.transform_filter(test).mark_text(
            baseline="middle", lineBreak="\n", lineHeight=_LINE, dy=down, **look
        ).encode(x=alt.value(0), y=at(_NAME * _STEP), text="name:N")  # fmt: skip

    def bound(field: str) -> Any:
        mark = base.transform_filter(f"isValid(datum.{field})").mark_tick(
            orient="vertical", size=step, thickness=1.5, color=_BOUND
        )
        return mark.encode(x=valued(alt.X, style, field), y=at(step / 2))

    spread = base.transform_filter("isValid(datum.low)").mark_rule(color=INK, strokeWidth=2).encode(
        x=valued(alt.X, style, "low"), x2="high:Q", y=at(_MEAN * _STEP + above)
    )  # fmt: skip
    dots = base.transform_flatten(["seeds"], ["seed"]).mark_point(
        size=22, filled=True, fill=QUIET, opacity=0.8
    ).encode(x=valued(alt.X, style, "seed"), y=at(_SEEDS * _STEP + above))  # fmt: skip
    mean = base.mark_point(shape="diamond", size=90, filled=True, opacity=1, stroke=INK, strokeWidth=1.5).encode(
        x=valued(alt.X, style), y=at(_MEAN * _STEP + above),
        fill=alt.condition("datum.decides", alt.value(INK), alt.value("#ffffff")),
    )  # fmt: skip
    names = name("datum.decides", "bold"), name("!datum.decides", "normal")
    drawn = [bound("bound"), bound("upper"), spread, dots, mean, *names]
    chart = styled(alt.layer(*drawn, title=style.title, width=_WIDTH, height=step * len(rows)))
    chart.usermeta = {"fluid": "width", "most": MOST_WIDE}
    chart.data = alt.InlineData(values=rows)  # last, since Altair copies a chart with its rows at each step
    return chart  # type: ignore[no-any-return]


def _data(number: int, described: Described) -> dict[str, Any]:
    compared = described.compared
    low, high = compared.interval or (None, None)
    row = {
        "row": number,
        "label": compared.label,
        "name": wrapped(compared.label, _WRAP),
        "value": compared.effect,
        "low": low,
        "high": high,
        "bound": compared.bound,
        "upper": -compared.bound if compared.within else None,
        "decides": compared.decides,
        "seeds": list(compared.values),
        "text": f"{_effect(compared)}, {plural(len(compared.seeds), 'seed')}",
    }
    return {name: value for name, value in row.items() if value is not None}


def _summary(verdict: Verdict, described: Sequence[Described]) -> str:
    """How many comparisons are on either side of their bounds, and the one that decides."""
    assert verdict.decision is not None
    every = verdict.decision.comparisons
    decides = [f"{each.label} {_effect(each)}" for each in every if each.decides]
    which = f" Decides: {'; '.join(decides)}." if decides else ""
    return f"{_sided(verdict)}.{which}"


def _sided(verdict: Verdict) -> str:
    """`2 of 3 means above their bounds`."""
    assert verdict.decision is not None
    every = verdict.decision.comparisons
    hold = sum(abs(each.effect) < -each.bound if each.within else each.effect > each.bound for each in every)
    sides = " or ".join("within" if within else "above" for within in sorted({each.within for each in every}))
    side = f"{sides} {'their bounds' if len(every) > 1 else 'the bound'}"
    return f"{hold} of {plural(len(every), 'mean')} {side}"


def _effect(compared: Compared) -> str:
    return estimate(compared.effect, compared.interval, compared.bound)


def _table(described: Sequence[Described]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Columns and rows of the numbers, without columns that are empty."""
    ropes = {f"{each.posterior.rope:.3g}" for each in described if each.posterior}
    rows = [_texts(each, *ropes) if len(ropes) == 1 else _texts(each) for each in described]
    columns = [name for name in rows[0] if any(row[name] != _NONE for row in rows)]
    return tuple(columns), tuple(tuple(row[name] for name in columns) for row in rows)


def _texts(described: Described, rope: str = "") -> dict[str, str]:
    """Column -> text of one comparison. rope: that of all comparisons of the claim; empty if they have several."""
    compared, sensitivity, parts = described.compared, described.sensitivity, described.variance
    out = f" (without {', '.join(map(str, compared.left_out))})" if compared.left_out else ""
    share = None if parts is None else parts.share
    effect, *limits = in_digits(compared.effect, compared.interval, compared.bound)
    return {
        "comparison": compared.label,
        "effect": effect,
        "limits": f"[{', '.join(limits)}]" if limits else _NONE,
        "bound": f"\u00b1{-compared.bound:.3g}" if compared.within else f"{compared.bound:.3g}",
        "seeds": f"{len(compared.seeds)}{out}",
        "p above": wording.p_value(compared.supports),
        "p below": wording.p_value(compared.refutes),
        "standardized": _number(described.standardized),
        "P(improvement)": _estimate(described.improvement),
        "quartile mean": _estimate(described.interquartile_mean),
        "seed correlation": _number(described.correlation),
        "paired width": _times(described.paired_width),
        f"P(below, within, above \u00b1{rope or 'r'})": _posterior(described, not rope),
        "pooled p": wording.p_value(sensitivity.pooled),
        "moderated p": wording.p_value(sensitivity.moderated),
        "test images": _NONE if share is None else f"{100 * share:.0f} %",
        "width over images": _times(None if parts is None else parts.wider),
    }


def _posterior(described: Described, with_rope: bool) -> str:
    if (found := described.posterior) is None:
        return _NONE
    return ", ".join(map(_number, found[1:])) + (f" (r = {found.rope:.3g})" if with_rope else "")


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _times(value: float | None) -> str:
    return _NONE if value is None else f"\u00d7 {value:.2f}"


def _estimate(found: tuple[float, float, float] | None) -> str:
    return _NONE if found is None else f"{found[0]:.3g} [{found[1]:.3g}, {found[2]:.3g}]"
