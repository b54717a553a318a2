"""Comparing trials: settings, numbers and environments that differ, and whether results are comparable."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.records.detail import Detail


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names, as study files write them."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


ENVIRONMENT_FACTS = (
    "host", "device", "driver", "cuda", "processor", "cores", "threads", "platform", "python", "commit", "modified",
    "project", "code", "packages", "slurm",
)  # fmt: skip
"""The facts of an attempt's environment that may change numbers, as opposed to its command and plan."""


@dataclass(frozen=True)
class Difference:
    """A value that differs between two trials; None on a side that lacks it."""

    name: str
    left: Any
    right: Any


@dataclass(frozen=True)
class Comparison:
    """The differences between two trials."""

    settings: tuple[Difference, ...]
    """Settings that differ, among them the trainer and its recipe version."""
    numbers: tuple[Difference, ...]
    """All numbers that either trial has, equal ones included."""
    environments: tuple[Difference, ...]
    """Facts of the environment that differ."""
    same_pretraining: bool


def compare(left: "Detail", right: "Detail") -> Comparison:
    """The settings, numbers and environment facts in which two trials differ."""
    identities = [
        {"trainer": each.trainer, "recipe_version": each.recipe_version, **each.config} for each in (left, right)
    ]
    environments = [
        {"seconds": each.seconds}
        | {name: each.environment[name] for name in ENVIRONMENT_FACTS if name in each.environment}
        for each in (left, right)
    ]
    return Comparison(
        settings=tuple(_differing(*identities)),
        numbers=tuple(_both(left.numbers, right.numbers)),
        environments=tuple(_differing(*environments)),
        same_pretraining=left.pretrain_key is not None and left.pretrain_key == right.pretrain_key,
    )


def _both(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    before, after = flat(left), flat(right)
    return [Difference(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]


def _differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    return [each for each in _both(left, right) if each.left != each.right]


Environment = Mapping[str, Any]

_FACTORS: dict[str, Callable[[Environment], Any]] = {
    "devices": lambda environment: _device(environment),
    "versions of torch": lambda environment: (environment.get("packages") or {}).get("torch"),
    "numbers of threads": lambda environment: _threads(environment),
    "number formats": lambda environment: environment.get("precision"),
    "commits of the code": lambda environment: environment.get("commit") and environment["commit"][:10],
    "commits of the trainer": lambda environment: (
        str((environment.get("project") or {}).get("commit") or "")[:10] or None
    ),
}
"""What must not differ within a comparison, and how to read it from an attempt's environment."""
_MOST_CELLS = 3


def differences(environments: Iterable[Environment]) -> list[str]:
    """One sentence for each factor that differs between the environments of results, with the count of each value."""
    known = list(environments)
    sentences = []
    for factor, of in _FACTORS.items():
        counts = Counter(str(value) for environment in known if (value := of(environment)) is not None)
        if len(counts) > 1:
            groups = ", ".join(f"{count} on {value}" for value, count in counts.most_common(4))
            sentences.append(f"the comparison mixes results of different {factor}: {groups}")
    return sentences


def unpaired(seeds: Mapping[str, set[int]]) -> list[str]:
    """A sentence if cells (label -> finished seeds) have different seeds; cells without a finished seed are ignored."""
    finished = {cell: found for cell, found in seeds.items() if found}
    every = set().union(*finished.values()) if finished else set()
    lacking = {cell: every - found for cell, found in finished.items() if every - found}
    if not lacking:
        return []
    shown = [
        f"{cell} lacks seed{'s' if len(missing) > 1 else ''} {', '.join(map(str, sorted(missing)))}"
        for cell, missing in lacking.items()
    ]
    more = f"; and {len(shown) - _MOST_CELLS} more" if len(shown) > _MOST_CELLS else ""
    every_cell = f"{'; '.join(shown[:_MOST_CELLS])}{more}"
    return [f"cells have different seeds, so they differ in more than their settings: {every_cell}"]


def _commit(project: Environment) -> str | None:
    return str(project.get("commit") or "")[:10] or None


def _device(environment: Environment) -> Any:
    device = environment.get("device")
    return environment.get("processor") if device in (None, "cpu") else device


def _threads(environment: Environment) -> Any:
    """The number of CPU threads, which affects rounding; None for results from a GPU, which it does not affect."""
    threads = environment.get("threads")
    on_cpu = environment.get("device") in (None, "cpu")
    return f"{threads} thread{'' if threads == 1 else 's'}" if threads and on_cpu else None
