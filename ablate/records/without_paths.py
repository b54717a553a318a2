"""Records without the folders of the machine: each absolute path in them is only its last name.

What names a cell stays, since records without it could not be read again: the values of axes may be paths.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_NAMING = ("profile", "overrides", "metric", "tuned", "naming", "baseline", "rule", "exclude")
"""The fields of a plan that name its cells, besides the values of the axes."""
_PART = r"""[^\s"'/\\:,;]"""
_WHOLE = re.compile(r"((?:[\w.-]+=)?)(?:[A-Za-z]:[\\/]|\\\\|/(?!/))(?:[^\\/:\n]+[\\/]+)*([^\\/:\n]+)[\\/]*")
"""A text that is a path, perhaps with spaces, or `name=` and a path."""
_INSIDE = re.compile(
    rf"""(?: (?:\b[A-Za-z][\w+.-]{{,15}}:/{{2,3}}(?=/) | \bfile://[^\s/"']+ | (?<![\w.~/+-]) | (?<=\\[nrt]) )
             /(?:{_PART}+/+)+                                  # /home/me/, file:///home/me/, sqlite:////home/me/
         | (?<![A-Za-z0-9])[A-Za-z]:[\\/]+(?:{_PART}+[\\/]+)*  # C:\Users\me
         | (?<![\w\\])\\\\[\w.-]{{2,}}\\(?:{_PART}+\\)*        # \\server\share
        )({_PART}*)""",
    re.VERBOSE,
)
"""A path in other text. Relative paths and addresses such as http://host/page are not paths."""

Kept = re.Pattern[str] | None
"""Finds in a text the paths that stay."""


def naming_paths(plans: Iterable[Mapping[str, Any]]) -> Kept:
    """The paths that name cells in these plans, given as the JSON of their files."""
    found = {text for plan in plans for text in _naming(plan) if _cut(text) != text}
    # The longest first, so that none ends within another.
    every = "|".join(map(re.escape, sorted(found, key=lambda each: (-len(each), each))))
    return re.compile(rf"((?<![\w.~/+-])(?:{every})(?![\w/\\]))") if found else None


def without_paths(text: str, kept: Kept = None) -> str:
    """JSON, or lines of it, in which each absolute path is only its last name; a line that is not JSON is left out."""
    try:
        return json.dumps(_changed(json.loads(text), kept))
    except (ValueError, RecursionError):
        return "".join(f"{line}\n" for line in _lines(text, kept))


def _lines(text: str, kept: Kept) -> Iterator[str]:
    for line in text.split("\n"):
        try:
            yield json.dumps(_changed(json.loads(line), kept))
        except (ValueError, RecursionError):  # the last line before a crash
            continue


def _changed(value: Any, kept: Kept) -> Any:
    if isinstance(value, str):
        return _text(value, kept)
    if isinstance(value, list):
        return [_changed(each, kept) for each in value]
    if isinstance(value, dict):
        return {_text(name, kept): _changed(each, kept) for name, each in value.items()}
    return value


def _text(text: str, kept: Kept) -> str:
    if kept is None or not kept.search(text):
        return _cut(text)
    parts = kept.split(text)  # every second one is kept
    return "".join(part if at % 2 else _INSIDE.sub(r"\1", part) for at, part in enumerate(parts))


def _cut(text: str) -> str:
    if whole := _WHOLE.fullmatch(text):
        return whole[1] + whole[2]
    return _INSIDE.sub(r"\1", text)


def _naming(plan: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a plan that name its cells."""
    paper = plan.get("paper") or {}
    yield from _texts([plan.get(name) for name in _NAMING])
    yield from _texts([axis["values"] for of in (plan, paper) for axis in of.get("axes", ())])
    yield from _texts([cell["axes"] for cell in (*plan["trials"], *paper.get("cells", ()))])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
