"""The study file that `ablate.trial` writes and extends, and what may stand in it."""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ablate.errors import InvalidValue, UserError, toml, value_text
from ablate.study.cells.cell import Scalar

_MOST_SEED, _MOST_WHOLE = 2**31 - 1, 2**63
_EXACT: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
"""What makes a plain value of one whose type is derived from str, int or float, whatever it calls itself."""


def plain(name: str, value: Any) -> Any:
    """A value as a study file has it: Python's type for scalars of NumPy and torch, and for members of an enumeration.

    Raises UserError for other types.
    """
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        bits, value = str(getattr(value, "dtype", "")).removeprefix("torch."), value.item()
        if bits in ("float16", "float32"):  # by its text, since 0.1 in 32 bits is not 0.1 in 64
            import numpy as np

            value = float(str(np.dtype(bits).type(value)))
    elif not isinstance(value, bool):
        value = next((exact(value) for kind, exact in _EXACT.items() if isinstance(value, kind)), value)
    if name == "seed" and (type(value) is not int or not 0 <= value <= _MOST_SEED):
        message = f"seed = {value_text(value)} is not a whole number from 0 to {_MOST_SEED:,}"
        raise UserError(message, help="for example seed=0")
    is_number = (type(value) is int and abs(value) < _MOST_WHOLE) or (type(value) is float and math.isfinite(value))
    if not is_number and type(value) not in (bool, str):
        message = f"{name} = {value_text(value)} cannot be the value of an axis"
        raise UserError(message, help="give a finite number of at most 64 bits, a text, True or False")
    return value


def check_new(study: str, axes: Mapping[str, Scalar], seed: int) -> None:
    """Raise UserError for what no study file may contain, before the code trains in vain."""
    from ablate.study.load import load_study
    from ablate.study.schema.values import identifier
    from ablate.workflow.imported_study import study_file

    for name in axes:
        try:
            identifier(name)
        except InvalidValue as error:
            raise UserError(f"ablate.trial: axis '{name}': {error}", help=error.help) from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / study_file(study).name
        write_study(str(file), "metric", axes, seed)
        if problems := load_study(str(file)).problems:
            raise UserError(f"ablate.trial: {problems[0].message}", help=problems[0].help)


def write_study(name: str, metric: str, axes: Mapping[str, Scalar], seed: int) -> None:
    """Write a study whose axes have one value each, unless another process did so."""
    from ablate.records.files import write_text
    from ablate.study.from_command import new_path
    from ablate.study.imported import FoundAxis, study_text
    from ablate.workflow.imported_study import study_file

    file = study_file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.parent):
        if file.exists():
            return
        new_path(file.stem, file.parent)
        if not axes:
            raise UserError("ablate.trial needs a setting that varies", help='for example ablate.trial("mine", lr=0.1)')
        found = [FoundAxis(axis, axis, [value]) for axis, value in axes.items()]
        write_text(file, study_text(file.stem, metric, found, {}, [seed], "ablate.trial"))


def add_values(file: Path, axes: Mapping[str, Scalar]) -> None:
    """Add values to the axes of a study file that `write_study` wrote, which has one line for each axis."""
    from ablate.records.files import write_text
    from ablate.workflow.imported_study import load

    known, text = load(file).study.all_axes, file.read_text(encoding="utf-8")
    before = text
    for name, value in axes.items():
        if name in known and value not in known[name].names:
            begin = rf"^({re.escape(name)} = \{{ setting = .*values = \[.*)"
            line = re.compile(begin + r"\](?=(?:, label = .*)? \}$)", re.MULTILINE)
            text = line.sub(lambda found, value=value: f"{found[1]}, {toml(value)}]", text)  # type: ignore[misc]
    if text != before:
        write_text(file, text)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process of this machine at a time changes the studies of a folder."""
    if os.name != "posix":  # Windows has no locks of folders
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
