"""Cells without random items: their labels, which name the drawn items, and how many sets each is drawn from.

Both depend on the list in the settings. Settings are those of all cells; ValueError where items cannot be removed.
"""

from collections.abc import Iterator
from typing import Any

from ablate.study.cells.cell import axis_text
from ablate.study.schema.removal import RandomlyRemoved
from ablate.study.schema.study import Study
from ablate.study.schema.values import Case


def labels_and_sets(study: Study, settings: Any) -> tuple[dict[str, str], dict[str, int]]:
    """Name of each case -> its label, with the items that were drawn: `without color and blur (random)`.

    Then number of items -> how many sets of so many the random ones are drawn from.
    """
    labels, sets = {case.name: case.label for case in study.every_case}, dict[str, int]()
    for case, removal, below in _controls(study, settings):
        labels[case.name] = f"without {' and '.join(map(axis_text, removal.drawn(below)))} (random)"
        sets[str(removal.size)] = removal.possible(below)
    return labels, sets


def _controls(study: Study, settings: Any) -> Iterator[tuple[Case, RandomlyRemoved, Any]]:
    """Each case without random items, and the list from which it removes them."""
    for case in study.every_case[len(study.cases) :]:
        removal, below = case.set, settings
        while isinstance(removal, dict):
            ((key, removal),) = removal.items()
            below = below[int(key) if isinstance(below, list) else key]
        if isinstance(removal, RandomlyRemoved):
            yield case, removal, below
