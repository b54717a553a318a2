"""A figure of a page: an Altair chart with its words, and what it is drawn to."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert


@dataclass(frozen=True)
class Figure:
    """One chart with what a page says of it."""

    name: str
    """Of its files, and of its element on the page: `measured`."""
    chart: Any
    """An Altair chart."""
    caption: str
    summary: str
    """What it shows, in a sentence or two, for those who cannot see it."""
    columns: tuple[str, ...] = ()
    """Of the table of what it is drawn from."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Of that table, as pages write them."""
    still: Any = None
    """The chart for where nothing can be clicked, where that has less in it: it is what svg, png and pdf show."""

    @functools.cached_property
    def svg(self) -> str:
        """The chart as an SVG element whose ids no other figure has."""
        return _own_ids(_lean(vl_convert.vegalite_to_svg(self._drawn, vl_version=vegalite_version())), self.name)

    @property
    def png(self) -> bytes:
        """The chart at twice its size in pixels."""
        drawn: bytes = vl_convert.svg_to_png(self.svg, scale=2)
        return drawn

    @property
    def pdf(self) -> bytes:
        """The chart as a page of a PDF, in vectors."""
        drawn: bytes = vl_convert.vegalite_to_pdf(self._drawn, vl_version=vegalite_version())
        return drawn

    @functools.cached_property
    def spec(self) -> str:
        """The chart's Vega-Lite specification, for a <script> element."""
        return script_safe(self._specified)

    @functools.cached_property
    def _specified(self) -> dict[str, Any]:
        specified: dict[str, Any] = plain(self.chart.to_dict())
        return specified

    @functools.cached_property
    def _drawn(self) -> dict[str, Any]:
        return self._specified if self.still is None else plain(self.still.to_dict())


_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\u2028\u2029\ud800-\udfff]")
"""What a text of a chart may not have: an SVG no control characters, on which vl-convert ends the process, and an
expression of Vega no separators of lines."""


def plain(spec: Any) -> Any:
    """The specification with spaces for what its texts may not have."""
    if isinstance(spec, dict):
        return {plain(name): plain(value) for name, value in spec.items()}
    if isinstance(spec, list):
        return [plain(value) for value in spec]
    return _UNFIT.sub(" ", spec) if isinstance(spec, str) else spec


def script_safe(spec: dict[str, Any]) -> str:
    """JSON that no text in it can break out of a <script> element."""
    text = json.dumps(spec, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def vegalite_version() -> str:
    """`6.4` of Altair's `v6.4.1`."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _own_ids(svg: str, figure: str) -> str:
    """The SVG with ids that no other figure has, and that do not count the charts drawn before it."""
    ids = dict.fromkeys(re.findall(r' id="([^"]+)"', svg))
    renamed = {old: f"{figure}-{number}" for number, old in enumerate(ids)}
    return re.sub(r'(?<= id=")[^"]+(?=")|(?<=url\(#)[^)]+(?=\))', lambda found: renamed.get(found[0], found[0]), svg)


_TAG = re.compile(r'<(?:[^"<>]|"[^"]*")*>')
_SAID_AGAIN = re.compile(r' (?:role|aria-label|aria-roledescription)="[^"]*"| opacity="1"')


def _lean(svg: str) -> str:
    """The SVG, half as long, without what every mark says of itself.

    It stands in an element that is one image to those who cannot see it, with its own label and a table.
    """
    return _TAG.sub(lambda tag: _SAID_AGAIN.sub("", tag[0]), svg)
