"""Charts of what parts contribute: a waterfall from the bare to the full method, and the interactions of two parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from ablate.judge.attribution import KINDS
from ablate.report.charts.dots_form import row_axis, row_names, row_step
from ablate.report.charts.layers import INK, MOST_WIDE, QUIET, Style, spanned, styled, titled, valued
from ablate.report.render.figure import Figure
from ablate.report.render.html import capital

if TYPE_CHECKING:
    from ablate.judge.attribution import Attribution, Effect
    from ablate.judge.evidence import Evidence

_WIDTH, _STEP, _SIDE = 460, 28, 44  # pixels
_UP, _DOWN = "#0072b2", "#d55e00"


def attribution_figures(evidence: Evidence, found: Attribution) -> list[Figure]:
    """`attribution`, and `interactions` where they were estimated; none without effects."""
    if not found.effects:
        return []
    kind = next(each for each in ("shapley", "main", "removed", "added") if found.of(each))
    figures = [_contributions(evidence, found, kind)]
    pairs = found.of("interaction")
    return [*figures, _interactions(evidence, found, pairs)] if pairs else figures


def _contributions(evidence: Evidence, found: Attribution, kind: str) -> Figure:
    effects = sorted(found.of(kind), key=lambda each: -each.mean)
    adds_up = False
    if kind == "shapley" and found.bare is not None and found.full is not None:  # estimates need not add up
        total = found.bare + sum(each.mean for each in effects)
        adds_up = math.isclose(total, found.full, rel_tol=1e-9, abs_tol=1e-9)
    rows: list[dict[str, Any]] = []
    level = found.bare if adds_up and found.bare is not None else 0.0
    if adds_up:
        rows.append({"label": "bare method", "start": 0.0, "end": level, "kind": "total"})
    for effect in [*effects, *(found.of("random") if kind == "removed" else ())]:
        start = level if adds_up else 0.0
        low, high = effect.interval or (effect.mean, effect.mean)
        ends = {"start": start, "end": start + effect.mean, "low": start + low, "high": start + high}
        color = "random" if effect.kind == "random" else "up" if effect.mean >= 0 else "down"
        rows.append({"label": effect.parts[0], **ends, "kind": color})
        level += effect.mean
    if adds_up:
        rows.append({"label": "full method", "start": 0.0, "end": level, "kind": "total"})
    unit = evidence.metric if adds_up else f"effect on {evidence.metric}"
    values = [row[name] for row in rows for name in ("start", "end", "low", "high") if name in row]
    style = Style(titled(f"What each part contributes: {KINDS[kind]}", unit, width=60), unit, spanned(values), ".3g")
    steps = "From the bare to the full method, a step per part" if adds_up else "One bar per part; they need not add up"
    return Figure(
        "attribution",
        _bars(rows, style),
        f"What each part contributes: {KINDS[kind]}. {steps}. Lines: 95 % intervals over seeds. {noted(found)}",
        f"Largest: {_named(effects[0])}" + (f"; smallest: {_named(effects[-1])}." if len(effects) > 1 else "."),
        ("part", "kind", "effect", "95 % interval", "seeds", "sampling error"),
        tuple(_texts(effect) for effect in found.effects if effect.kind != "interaction"),
    )


def _bars(rows: Sequence[dict[str, Any]], style: Style) -> alt.LayerChart:
    names = row_names([row["label"] for row in rows])
    rows = [row | {"row": names[row["label"]]} for row in rows]
    base = alt.Chart().encode(y=alt.Y("row:N", sort=None, title=None, axis=row_axis(grid=False)))
    colors = {"up": _UP, "down": _DOWN, "total": QUIET, "random": QUIET}
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    color = alt.Color("kind:N", legend=None, scale=scale)
    bars = base.mark_bar(clip=True).encode(x=valued(alt.X, style, "start"), x2="end:Q", color=color)
    spread = base.transform_filter("isValid(datum.low)").mark_rule(color=INK, strokeWidth=2).encode(
        x=valued(alt.X, style, "low"), x2="high:Q"
    )  # fmt: skip
    height = max(_STEP, row_step(names)) * len(rows)
    chart = styled(alt.layer(bars, spread, title=style.title, width=_WIDTH, height=height))
    chart.usermeta = {"fluid": "width", "most": MOST_WIDE}
    chart.data = alt.InlineData(values=list(rows))
    return chart  # type: ignore[no-any-return]


def _interactions(evidence: Evidence, found: Attribution, pairs: Sequence[Effect]) -> Figure:
    rows: list[dict[str, Any]] = []
    for effect in pairs:
        one, two = effect.parts
        row = {"value": effect.mean, "text": f"{effect.mean:+.2g}"}
        rows += [{"first": one, "second": two, **row}, {"first": two, "second": one, **row}]
    most = max(abs(row["value"]) for row in rows) or 1.0
    order = list(found.parts)
    scale = alt.Scale(domain=[-most, 0, most], range=[_DOWN, "#f7f7f7", _UP])
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("first:N", sort=order, title=None), y=alt.Y("second:N", sort=order, title=None)
    )
    tiles = base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, title="interaction"))
    text = base.mark_text(fontSize=11).encode(
        text="text:N", color=alt.condition(f"abs(datum.value) > {0.7 * most}", alt.value("#ffffff"), alt.value(INK))
    )
    side = _SIDE * len(order)
    where = "all combinations of the other parts" if found.of("main") else "the full method"
    strongest = max(pairs, key=lambda each: abs(each.mean))
    return Figure(
        "interactions",
        styled(
            alt.layer(
                tiles,
                text,
                title=titled("Interactions of two parts", f"effect on {evidence.metric}", width=40),
                width=side,
                height=side,
            )
        ),
        f"How much a part's effect on {evidence.metric} grows when the other part is present, in {where}.",
        f"Strongest: {_named(strongest)}.",
        ("parts", "kind", "effect", "95 % interval", "seeds", "sampling error"),
        tuple(_texts(effect) for effect in pairs),
    )


def _named(effect: Effect) -> str:
    return f"{' x '.join(effect.parts)} {effect.mean:+.3g}"


def noted(found: Attribution) -> str:
    """What the effects are, and what was not measured, in sentences."""
    return " ".join(f"{capital(note)}." for note in found.notes)


def _texts(effect: Effect) -> tuple[str, ...]:
    between = f"{effect.interval[0]:+.3g} to {effect.interval[1]:+.3g}" if effect.interval else "\u2013"
    error = "\u2013" if effect.error is None else f"{effect.error:.2g}"
    numbers = (f"{effect.mean:+.3g}", between, str(len(effect.values)), error)
    return (" x ".join(effect.parts), KINDS[effect.kind], *numbers)
