"""The trainer `imported`: its trials were trained elsewhere, and `ablate import` wrote their records.

It takes any settings, below `settings`, and trains nothing.
"""

from typing import Any

import pydantic

SHARES_PARTS = True


class Config(pydantic.BaseModel):
    """What is known of an imported run: its seed, and the settings that its source names."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    settings: dict[str, Any] = {}
