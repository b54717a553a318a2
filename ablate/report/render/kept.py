"""Pictures and charts that are drawn once of the same inputs, and kept for the next page in results/pictures."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.files import Results, write_json
from ablate.records.reading import read_object

if TYPE_CHECKING:
    from ablate.report.render.figure import Figure

Drawn = dict[str, Any]
"""What a picture shows, or what a page has of charts, as JSON has it."""
_VERSION = 2
"""Raised when the same settings give another picture."""


@dataclass(frozen=True)
class KeptFigure:
    """What a page and its folder of charts have of a `Figure`."""

    name: str
    caption: str
    summary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    opened: bool
    svg: str
    spec: str
    png: bytes


def kept(results: Results, about: dict[str, Any], draw: Callable[[], Drawn]) -> Drawn:
    """What was drawn of the same inputs before, or is drawn now and stored, if the folder is writable.

    about: the inputs. A file whose content does not agree with its own digest is drawn again.
    """
    content = json.dumps([_VERSION, about], sort_keys=True)
    path = results.pictures / f"{hashlib.sha256(content.encode()).hexdigest()}.json"
    stored = read_object(path)
    if "drawn" in stored and stored.get("digest") == _digest([content, stored["drawn"]]):
        with suppress(OSError):
            os.utime(path)  # `ablate gc` removes pictures that no page has used for long
        found: Drawn = stored["drawn"]
        return found
    drawn = draw()
    with suppress(OSError):  # a read-only results folder
        write_json(path, {"drawn": drawn, "digest": _digest([content, drawn])})
    return drawn


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def kept_charts(results: Results, about: dict[str, Any], draw: Callable[[], Sequence[Figure]]) -> list[KeptFigure]:
    """Charts that this code drew of the same inputs before, or draws now."""
    found = kept(results, about | {"code": _code()}, lambda: {"figures": [_drawn(figure) for figure in draw()]})
    return [_figure(each) for each in found["figures"]]


def _drawn(figure: Figure) -> dict[str, Any]:
    texts = {name: getattr(figure, name) for name in ("name", "caption", "summary", "opened", "svg", "spec")}
    lists = {"columns": list(figure.columns), "rows": list(map(list, figure.rows))}
    return texts | lists | {"png": base64.b64encode(figure.png).decode()}


def _figure(drawn: Mapping[str, Any]) -> KeptFigure:
    lists = {"columns": tuple(drawn["columns"]), "rows": tuple(map(tuple, drawn["rows"]))}
    return KeptFigure(**{**drawn, **lists, "png": base64.b64decode(drawn["png"])})


@functools.cache
def _code() -> str:
    """SHA-256 of this package's code, with the versions of the packages that draw."""
    whole = hashlib.sha256("".join(version(name) for name in ("altair", "vl-convert-python")).encode())
    for path in sorted(Path(__file__).parents[2].rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()
