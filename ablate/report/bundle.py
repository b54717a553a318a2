"""The script that draws charts: Vega, Vega-Lite and vega-embed in one."""

import contextlib
import functools
import os
from importlib.metadata import version
from pathlib import Path

import vl_convert

from ablate.records.files import write_text
from ablate.report.figure import vegalite_version


@functools.cache
def bundle() -> str:
    """The script, which sets window.vegaEmbed.

    It takes vl-convert seconds to make, and is the same for its version: kept in the user's cache folder.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablate"
    kept = folder / f"vega-{version('vl-convert-python')}-{vegalite_version()}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except (OSError, ValueError):
        made: str = vl_convert.javascript_bundle(vl_version=vegalite_version())  # type: ignore[call-arg]
    with contextlib.suppress(OSError):  # a home that cannot be written: it is made each time
        write_text(kept, made)
    return made
