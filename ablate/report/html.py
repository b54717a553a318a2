"""Templates to HTML, and the names of pages."""

import hashlib
import re
from importlib import resources
from typing import Any

import jinja2

from ablate.records.plans import DEFAULT_PROFILE
from ablate.report.layout import FILTERS

INDEX, COMPARISON = "index", "compare"
"""The pages that are of no one study."""


_LONGEST = 150
"""Characters of a profile's name in that of a file."""


def page_name(study: str, profile: str) -> str:
    """The name of a study's page, and of the folder of its charts; other profiles have other names."""
    scale = re.sub(r"[^\w.+=-]", "_", profile, flags=re.ASCII)[:_LONGEST]
    if scale != profile:
        scale += f"-{hashlib.sha256(profile.encode('utf-8', 'replace')).hexdigest()[:8]}"
    name = f"{study}-study" if study in (INDEX, COMPARISON) else study
    return name + ("" if profile == DEFAULT_PROFILE else f"-{scale}")


def html(template: str, script: str = "page.js", refresh: int | None = None, **values: Any) -> str:
    """A page of one of the templates, with one of the scripts beside them.

    refresh: after so many seconds the open page loads itself again, where its records still change.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= FILTERS
    page = environment.get_template(template).render(
        style=_template("style.css"), script=_template(script), refresh=refresh, reload=_template("reload.js"), **values
    )
    return page.encode("utf-8", "replace").decode()  # half of a surrogate pair, which JSON can hold and UTF-8 cannot


def _template(name: str) -> str:
    return (resources.files("ablate.report") / "templates" / name).read_text("utf-8")
