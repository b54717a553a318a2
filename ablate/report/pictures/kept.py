"""Pictures that were drawn before: files under results/pictures, named by what they were drawn from."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ablate.records.files import Results, write_json

Drawn = dict[str, Any]
_VERSION = 1
"""Raised when what is drawn from the same settings changes."""


def kept(results: Results, about: dict[str, Any], draw: Callable[[], Drawn]) -> Drawn:
    """What was drawn of this before; else what `draw` draws, kept for the next time where the folder can be written.

    about: all that it depends on, as JSON has it. What `draw` raises is not kept.
    """
    content = json.dumps([_VERSION, about], sort_keys=True)
    path = results.pictures / f"{hashlib.sha256(content.encode()).hexdigest()}.json"
    with suppress(OSError, ValueError):
        found: Drawn = json.loads(path.read_text(encoding="utf-8"))
        with suppress(OSError):
            os.utime(path)  # `ablate gc` takes what no page has used for long
        return found
    drawn = draw()
    with suppress(OSError):  # a results folder that can be read only
        write_json(path, drawn)
    return drawn
