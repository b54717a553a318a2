"""The study file of imported runs: the axes and values that were found, and claims to decide on."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablate.errors import toml
from ablate.study.cells.cell import Scalar, axis_text
from ablate.study.schema.study import COLUMNS
from ablate.study.schema.values import LONGEST_NAME, NAME
from ablate.trainer.find import IMPORTED

SETTINGS = "settings"
"""The setting of the trainer `imported` below which all others are."""
OF_STUDY = f"{SETTINGS}.ablate_study"
"""The setting that keeps the runs of a study apart from those of others, which may have the same axes and seeds."""
_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*", re.ASCII)


@dataclass(frozen=True)
class FoundAxis:
    """An axis that runs have: its column, and its values in order."""

    name: str
    column: str
    values: Sequence[Scalar]


def axis_name(column: str) -> str:
    """A name for the axis of a column: `optimizer.lr` becomes `optimizer_lr`."""
    name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")[:LONGEST_NAME]
    name = name if re.fullmatch(NAME, name) else f"axis_{name}"
    return f"{name}_" if name in COLUMNS or keyword.iskeyword(name) else name


def setting_paths(columns: Sequence[str]) -> dict[str, str]:
    """Column -> the dotted path of its setting; one that is a part of another's path is flattened."""
    paths = {name: name if _PATH.fullmatch(name) else axis_name(name) for name in columns}
    for name, path in paths.items():
        if any(other != path and f"{other}.".startswith(f"{path}.") for other in paths.values()):
            paths[name] = f"{path.replace('.', '_')}_"
    return {name: f"{SETTINGS}.{path}" for name, path in paths.items()}


def study_text(
    name: str, metric: str, axes: Sequence[FoundAxis], base: Mapping[str, Scalar], seeds: Sequence[int], command: str
) -> str:
    """The text of the study file."""
    paths = setting_paths([*(axis.column for axis in axes), *base])
    title = name.replace("_", " ").capitalize()
    *others, last = [axis.column for axis in axes] or ["the seed"]
    varied, do = (f"{', '.join(others)} and {last}", "do") if others else (last, "does")
    lines = [
        f"# Written by: {' '.join(command.split())}",
        f"name = {toml(name)}",
        f"title = {toml(title)}",
        f"question = {toml(f'What {do} {varied} change?')}",
        f"trainer = {toml(IMPORTED)}  # these runs were trained elsewhere: ablate judges them and trains none",
        f"metric = {toml(metric)}",
        f"seeds = {toml(len(seeds) if list(seeds) == list(range(len(seeds))) else list(seeds))}",
        "",
        "# The settings that all runs share; the first keeps them apart from runs of other studies.",
        "[base]",
        f"{OF_STUDY} = {toml(name)}",
        *(f"{_key(paths[column])} = {toml(value)}" for column, value in base.items()),
        "",
        "[axes]",
        *(_axis(axis, paths[axis.column]) for axis in axes),
        "",
        *_suggestions(axes),
    ]
    return "\n".join(lines) + "\n"


def _axis(axis: FoundAxis, path: str) -> str:
    label = f", label = {toml(axis.column)}" if axis.column != axis.name else ""
    return f"{axis.name} = {{ setting = {toml(path)}, values = {toml(list(axis.values))}{label} }}"


def _key(path: str) -> str:
    return ".".join(part if re.fullmatch(r"[\w-]+", part, re.ASCII) else toml(part) for part in path.split("."))


def _suggestions(axes: Sequence[FoundAxis]) -> list[str]:
    """A claim for each axis, as a comment: its value is only an example, so that no result has chosen it."""
    lines = ["# Claims to test, if you had them before you saw these results. The values are only examples."]
    for number, axis in enumerate((axis for axis in axes if len(axis.values) > 1), 1):
        value = axis.values[-1]
        written = f"'{value}'" if isinstance(value, str) else axis_text(value)
        lines += [
            "#",
            "# [[claims]]",
            f'# id = "C{number}"',
            f"# text = {toml(f'{axis.column} = {axis_text(value)} is the best.')}",
            '# source = "our hypothesis"',
            '# kind = "best"',
            f"# is = {toml(f'{axis.name} == {written}')}",
        ]
    return lines
