"""Settings of many trials are those that each has, although only the first of a cell is parsed."""

import json
from typing import Any

import pytest

from ablate.judge.settings import Settings

CELL = {"epochs": 2, "seed": 0, "data": {"root": None, "sizes": [1, 2]}, "loss": {"temperature": 0.1}}
ODD: list[dict[str, Any]] = [
    {"data": {"seed": 3}, "seed": 3, "epochs": 1},
    {"data": {"seed": 4}, "seed": 3, "epochs": 1},
    {"data": {"seed": 3, "size": 1}, "epochs": 1},
    {"data": {"seed": 4, "size": 1}, "epochs": 1},
    {"note": 'a "seed":3, b', "seed": 3, "epochs": 1},
    {"note": 'a "seed":4, b', "seed": 3, "epochs": 1},
    {"epochs": 1, "seed": 3},
    {"seed": 3.0, "epochs": 1},
    {"seed": None, "epochs": 1},
    {"epochs": 1},
    {},
]


@pytest.mark.parametrize("seed", [0, 3, 4, 33])
def test_settings_of_each_trial_are_those_of_its_text(seed: int) -> None:
    settings = Settings()
    of_cells = [CELL | {"seed": other, "epochs": epochs} for epochs in (1, 2) for other in (0, 3, 4, 33)]
    for each in [*of_cells, *ODD, *of_cells]:
        text = json.dumps(each, separators=(",", ":"))
        assert settings.of(text, seed) == each
        assert list(settings.of(text, seed)) == list(each)


def test_trials_of_a_cell_share_the_sections_of_their_settings() -> None:
    settings = Settings()
    first, second = (settings.of(json.dumps(CELL | {"seed": each}, separators=(",", ":")), each) for each in (0, 1))
    assert first["data"] is second["data"]
    assert (first["seed"], second["seed"]) == (0, 1)
