"""The characters that no font of this machine can draw, for charts as PNG and PDF."""

from __future__ import annotations

import functools
import html
import json
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.report.render.figure import Figure

_IN_EVERY_FONT = 0x24F
"""The last character of Latin Extended-B: charts have text and numbers in Latin letters on every machine."""
_IN_NO_FONT = "\U0010fffd"  # for private use
_UNSEEN = ("Mn", "Me", "Cf", "Cc", "Zs", "Zl", "Zp")
_MOST = 500


def not_drawn(figures: Iterable[Figure]) -> str:
    """The characters of charts that would be drawn as a box, in the order of their code points.

    Asks the library that draws the charts: a character without a font looks like one that no font has. Of more than
    500 different characters beyond Latin, only the first are tried.
    """
    text = "".join(json.dumps(json.loads(figure.spec), ensure_ascii=False) for figure in figures)
    beyond = [each for each in sorted(set(text)) if ord(each) > _IN_EVERY_FONT]
    tried = [each for each in beyond if unicodedata.category(each) not in _UNSEEN][:_MOST]
    return "".join(each for each in tried if _picture(each) == _picture(_IN_NO_FONT))


@functools.cache
def _picture(character: str) -> bytes:
    """A character as PNG, in the font of charts."""
    import vl_convert

    text = f'<text x="4" y="24" font-family="system-ui, sans-serif" font-size="20">{html.escape(character)}</text>'
    drawn: bytes = vl_convert.svg_to_png(f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="32">{text}</svg>')
    return drawn
