"""Whether results may be compared: same hardware, same versions, same code, same seeds. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Environment = Mapping[str, Any]

_FACTORS: dict[str, Callable[[Environment], Any]] = {
    "devices": lambda environment: _device(environment),
    "versions of torch": lambda environment: (environment.get("packages") or {}).get("torch"),
    "numbers of threads": lambda environment: _threads(environment),
    "number formats": lambda environment: environment.get("precision"),
    "commits of the code": lambda environment: environment.get("commit") and environment["commit"][:10],
}
"""What must not differ within a comparison, and where an attempt's env.json says it."""
_MOST_CELLS = 3


def differences(environments: Iterable[Environment]) -> list[str]:
    """One sentence for each thing that differs between the surroundings of results, with how many ran in each."""
    known = list(environments)
    sentences = []
    for factor, of in _FACTORS.items():
        counts = Counter(str(value) for environment in known if (value := of(environment)) is not None)
        if len(counts) > 1:
            told = ", ".join(f"{count} on {value}" for value, count in counts.most_common(4))
            sentences.append(f"results of different {factor} stand in one comparison: {told}")
    return sentences


def unpaired(seeds: Mapping[str, set[int]]) -> list[str]:
    """A sentence where cells (label -> finished seeds) do not have the same ones; those without any are left out."""
    finished = {cell: found for cell, found in seeds.items() if found}
    every = set().union(*finished.values()) if finished else set()
    lacking = {cell: every - found for cell, found in finished.items() if every - found}
    if not lacking:
        return []
    shown = [f"{cell} lacks {', '.join(map(str, sorted(missing)))}" for cell, missing in lacking.items()]
    more = f"; and {len(shown) - _MOST_CELLS} more" if len(shown) > _MOST_CELLS else ""
    return [f"seeds are unpaired, so cells differ in more than their settings: {'; '.join(shown[:_MOST_CELLS])}{more}"]


def _device(environment: Environment) -> Any:
    device = environment.get("device")
    return environment.get("processor") if device in (None, "cpu") else device


def _threads(environment: Environment) -> Any:
    """Threads of a processor, which round otherwise than another number of them; a GPU's work does not feel them."""
    threads = environment.get("threads")
    on_processor = environment.get("device") in (None, "cpu")
    return f"{threads} thread{'' if threads == 1 else 's'}" if threads and on_processor else None
