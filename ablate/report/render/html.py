"""Rendering templates to HTML, and the names of pages."""

import contextlib
import hashlib
import itertools
import json
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from ablate.records.files import write_bytes
from ablate.records.plans import DEFAULT_PROFILE
from ablate.report.render.figure import cache_folder
from ablate.report.render.text import cut, typeset

INDEX, COMPARISON = "index", "compare"
"""Pages that do not belong to a single study."""
_LONGEST = 150
"""Characters of a profile's name in a file name."""


def page_name(study: str, profile: str) -> str:
    """The name of a study's page and of the folder of its charts, different for each profile."""
    suffix = re.sub(r"[^\w.+=-]", "_", profile, flags=re.ASCII)[:_LONGEST]
    if suffix != profile:
        suffix += f"-{hashlib.sha256(profile.encode('utf-8', 'replace')).hexdigest()[:8]}"
    name = f"{study}-study" if study in (INDEX, COMPARISON) else study
    return name + ("" if profile == DEFAULT_PROFILE else f"-{suffix}")


def html(template: str, script: str = "page.js", refresh: int | None = None, **values: Any) -> str:
    """A page from a template and a script of the folder `templates`.

    refresh: seconds after which the open page reloads itself, while its records may still change.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        bytecode_cache=_Compiled(cache_folder() / f"templates-{jinja2.__version__}"),
    )
    environment.filters |= FILTERS
    page = environment.get_template(template).render(
        style=_template("style.css"), script=_template(script), refresh=refresh, reload=_template("reload.js"), **values
    )
    return page.encode("utf-8", "replace").decode()  # lone surrogates, possible in JSON but not in UTF-8


class _Compiled(jinja2.BytecodeCache):
    """Compiled templates, kept between processes: compiling those of a page takes longer than filling them.

    A template that has changed is compiled again, and so is every one if the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            bucket.bytecode_from_string((self._folder / bucket.key).read_bytes())

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        with contextlib.suppress(OSError):
            write_bytes(self._folder / bucket.key, bucket.bytecode_to_string())


def _template(name: str) -> str:
    return (resources.files("ablate.report") / "templates" / name).read_text("utf-8")


_SECTION = re.compile(r'<section id="([^"]+)"[^>]*>\s*<h2[^>]*>(.*?)</h2>', re.DOTALL)
_SHORT = 24
"""Texts of up to this many characters are not wrapped in tables."""


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers: 1, 2, 3, 7 -> (1, 3), (7, 7)."""
    groups = itertools.groupby(enumerate(sorted(numbers)), key=lambda each: each[1] - each[0])
    found = [[number for _, number in group] for _, group in groups]
    return [(group[0], group[-1]) for group in found]


def contents(body: Markup) -> list[tuple[str, Markup]]:
    """Id and title of each section of a page, in order."""
    return [(name, Markup(title)) for name, title in _SECTION.findall(body)]


def wrapping(text: str) -> Markup:
    """Attributes of a table cell that wraps and has its own text direction; none for short ASCII text."""
    plain = len(text) <= _SHORT and text.isascii()
    return Markup("" if plain else ' class="text" dir="auto"')


def facts_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """The facts of an attempt's environment as text."""
    return {name: _text(value) for name, value in environment.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items() if each is not None)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def capital(text: str) -> str:
    """The text with a capital letter at its start."""
    return text[:1].upper() + text[1:]


def pill(kind: str) -> str:
    """The class of a pill by the kind of a verdict: filled where decided, outlined where seeds only point there."""
    known = {"supported": "supported", "refuted": "refuted"}
    tentative = {"points to supported": "to-supported", "points to refuted": "to-refuted"}
    return (known | tentative).get(kind, "open")


_SOURCES = {
    "verified": "printed",
    "figure-label": "printed in the figure",
    "figure-read": "read off the figure",
    "text": "stated in the text",
}


def source(status: str) -> str:
    """Where a published number comes from, in words; the status itself for one that is not the paper's."""
    return _SOURCES.get(status, status)


FILTERS: dict[str, Callable[..., Any]] = {
    "capital": capital,
    "contents": contents,
    "cut": cut,
    "facts_of": facts_of,
    "path": quote,
    "pill": pill,
    "runs": runs,
    "source": source,
    "typeset": typeset,
    "wrapping": wrapping,
}
"""Name in templates -> filter."""
