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
    """What it shows, for those who cannot see it."""

    @functools.cached_property
    def svg(self) -> str:
        """The chart as an SVG element whose ids no other figure has."""
        return _own_ids(vl_convert.vegalite_to_svg(self.chart.to_dict(), vl_version=vegalite_version()), self.name)

    @property
    def png(self) -> bytes:
        """The chart at twice its size in pixels."""
        drawn: bytes = vl_convert.vegalite_to_png(self.chart.to_dict(), vl_version=vegalite_version(), scale=2)
        return drawn

    @property
    def spec(self) -> str:
        """The chart's Vega-Lite specification, for a <script> element."""
        return script_safe(self.chart.to_dict())


def script_safe(spec: dict[str, Any]) -> str:
    """JSON that no text in it can break out of a <script> element."""
    text = json.dumps(spec, allow_nan=False, sort_keys=True)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def vegalite_version() -> str:
    """`6.4` of Altair's `v6.4.1`."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _own_ids(svg: str, figure: str) -> str:
    """The SVG with ids that no other figure has, and that do not count the charts drawn before it."""
    ids = dict.fromkeys(re.findall(r' id="([^"]+)"', svg))
    renamed = {old: f"{figure}-{number}" for number, old in enumerate(ids)}
    return re.sub(r'(?<= id=")[^"]+(?=")|(?<=url\(#)[^)]+(?=\))', lambda found: renamed.get(found[0], found[0]), svg)
