"""What templates ask for beside values: links, runs of numbers, a table of contents."""

import base64
import functools
import gzip
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from ablate.report.words import cut

_SECTION = re.compile(r'<section id="([^"]+)"[^>]*>\s*<h2[^>]*>(.*?)</h2>', re.DOTALL)

_SHORT = 24
"""Characters that no table breaks."""


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of numbers that follow on one another: 1, 2, 3, 7 -> (1, 3), (7, 7)."""
    groups = itertools.groupby(enumerate(sorted(numbers)), key=lambda each: each[1] - each[0])
    found = [[number for _, number in group] for _, group in groups]
    return [(group[0], group[-1]) for group in found]


def contents(body: Markup) -> list[tuple[str, Markup]]:
    """Id and title of each section of a page, in their order."""
    return [(name, Markup(title)) for name, title in _SECTION.findall(body)]


@functools.cache
def packed(text: str) -> str:
    """A text compressed, in letters that an element can hold; the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def wrapping(text: str) -> Markup:
    """Attributes of a table's cell that wraps and has its own direction; none where its text is short and plain."""
    plain = len(text) <= _SHORT and text.isascii()
    return Markup("" if plain else ' class="text" dir="auto"')


def facts_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """What an env.json says, as text."""
    return {name: _text(value) for name, value in environment.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items() if each is not None)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


FILTERS: dict[str, Callable[..., Any]] = {
    "contents": contents,
    "cut": cut,
    "facts_of": facts_of,
    "packed": packed,
    "path": quote,
    "runs": runs,
    "wrapping": wrapping,
}
"""By the names that templates have for them."""
