"""Figures of a page: an Altair chart with its text, its images, and the script that draws it in a browser."""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import json
import os
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ablate.records.files import write_text


@dataclass(frozen=True)
class Figure:
    """A chart with its text on a page."""

    name: str
    """The name of its files and of its element on the page: `measured`."""
    chart: Any
    """An Altair chart."""
    caption: str
    summary: str
    """What the chart shows, in one or two sentences: its text alternative."""
    columns: tuple[str, ...] = ()
    """Column headers of the table of its data."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Rows of that table, formatted."""
    opened: bool = False
    """Whether the page shows the table without a click."""
    still: Any = None
    """A reduced chart without interaction for SVG, PNG and PDF; None if it equals `chart`."""

    @functools.cached_property
    def svg(self) -> str:
        """The chart as an SVG element with ids that are unique on the page."""
        import vl_convert  # charts that were drawn before need neither this nor altair, whose imports are slow

        return _own_ids(_lean(vl_convert.vegalite_to_svg(self._drawn, vl_version=vegalite_version())), self.name)

    @property
    def png(self) -> bytes:
        """The chart at twice its size in pixels."""
        import vl_convert

        drawn: bytes = vl_convert.svg_to_png(self.svg, scale=2)
        return drawn

    @property
    def pdf(self) -> bytes:
        """The chart as a PDF page of vector graphics."""
        import vl_convert

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


_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\u2028\u2029\ud800-\udfff]")
"""Characters that chart texts must not contain: control characters in an SVG make vl-convert abort the process, and
line separators break Vega expressions."""


def plain(spec: Any) -> Any:
    """The specification with invalid characters replaced by spaces, and twelve digits of each number.

    Fewer would make values equal that differ little, as those of 1,000,000.02 and 1,000,000.04.
    """
    if isinstance(spec, dict):
        return {plain(name): plain(value) for name, value in spec.items()}
    if isinstance(spec, list):
        return [plain(value) for value in spec]
    if isinstance(spec, float):
        return float(f"{spec:.12g}")
    return _INVALID.sub(" ", spec) if isinstance(spec, str) else spec


def script_safe(spec: dict[str, Any]) -> str:
    """JSON that is safe inside a <script> element, whatever texts it contains."""
    text = json.dumps(spec, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def vegalite_version() -> str:
    """Altair's Vega-Lite version: `6.4` for `v6.4.1`."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _own_ids(svg: str, figure: str) -> str:
    """The SVG with ids that are unique to the figure and independent of charts drawn before it."""
    ids = dict.fromkeys(re.findall(r' id="([^"]+)"', svg))
    renamed = {old: f"{figure}-{number}" for number, old in enumerate(ids)}
    return re.sub(r'(?<= id=")[^"]+(?=")|(?<=url\(#)[^)]+(?=\))', lambda found: renamed.get(found[0], found[0]), svg)


_TAG = re.compile(r'<(?:[^"<>]|"[^"]*")*>')
_FONT = 'font-family="system-ui, sans-serif"'
_REDUNDANT = re.compile(
    rf' (?:role|aria-label|aria-roledescription|pointer-events|aria-hidden)="[^"]*"| opacity="1"| {_FONT}'
)
_DIGITS = re.compile(r"(\.\d\d)\d+")
_LINE = re.compile(r' d="[^"]{200,}"')
"""A line through many points, for which tenths of pixels do."""
_TENTHS = re.compile(r"(\.\d)\d")
_CIRCLE = re.compile(
    r'<path transform="translate\(([^,)]+),([^)]+)\)" d="M([\d.]+),0A\3,\3,0,1,1,-\3,0A\3,\3,0,1,1,\3,0"'
)
_UNSEEN = '<path class="foreground" d="" display="none"/>'


def _lean(svg: str) -> str:
    """The SVG without the labels of single marks, with its font said once and hundredths of pixels: half its size.

    The element around it has role `img` with a label, and a table of its data.
    """
    tags = _TAG.sub(lambda tag: _DIGITS.sub(r"\1", _REDUNDANT.sub("", tag[0])), svg)
    tags = _LINE.sub(lambda line: _TENTHS.sub(r"\1", line[0]), tags)
    tags = _CIRCLE.sub(r'<circle cx="\1" cy="\2" r="\3"', tags)
    return tags.replace(_UNSEEN, "").replace("<svg ", f"<svg {_FONT} ", 1)


def cache_folder() -> Path:
    """The user's folder for what is slow to make and the same for all studies."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablate"


@functools.cache
def bundle() -> str:
    """The script with Vega, Vega-Lite and vega-embed, which sets window.vegaEmbed, `packed`.

    Building it takes seconds and depends only on versions, so it is cached in the user's cache folder.
    """
    cached = cache_folder() / f"vega-{version('vl-convert-python')}-altair-{version('altair')}.js.gz.txt"
    try:
        return cached.read_text(encoding="utf-8")
    except (OSError, ValueError):
        import vl_convert

        script: str = vl_convert.javascript_bundle(vl_version=vegalite_version())  # type: ignore[call-arg]
        made = packed(script)
    with contextlib.suppress(OSError):  # without a writable home it is built each time
        write_text(cached, made)
    return made


def packed(text: str) -> str:
    """A text compressed and base64-encoded; identical for identical texts."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
