"""The labels of cells without random items. They name the drawn items, which depend on the list in the settings."""

from typing import Any

from ablate.study.cells.cell import axis_text
from ablate.study.schema.removal import RandomlyRemoved
from ablate.study.schema.study import Study


def case_labels(study: Study, settings: Any) -> dict[str, str]:
    """Name of each case -> its label, with the items that were drawn: `without color and blur (random)`.

    settings: those of all cells. Raises ValueError where items cannot be removed.
    """
    labels = {case.name: case.label for case in study.every_case}
    for case in study.every_case[len(study.cases) :]:
        removal, below = case.set, settings
        while isinstance(removal, dict):
            ((key, removal),) = removal.items()
            below = below[int(key) if isinstance(below, list) else key]
        if isinstance(removal, RandomlyRemoved):
            labels[case.name] = f"without {' and '.join(map(axis_text, removal.drawn(below)))} (random)"
    return labels
