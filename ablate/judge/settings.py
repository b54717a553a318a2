"""The settings of the trials of a study, parsed from the store. What many trials share is kept only once."""

from typing import Any

from pydantic_core import from_json, to_json


class Settings:
    """The settings of many trials, of which each section, and each cell at its first seed, is kept only once."""

    def __init__(self) -> None:
        self._sections: dict[bytes, Any] = {}
        self._cells: dict[tuple[str, str], dict[str, Any]] = {}

    def of(self, text: str, seed: int) -> dict[str, Any]:
        """The settings in a text of JSON. If it names one seed, only the first such text of the cell is parsed."""
        before, own, after = text.partition(f'"seed":{seed},')
        if not own or '"seed"' in before or '"seed"' in after:
            return self._parsed(text)
        known = self._cells.get((before, after)) or self._cells.setdefault((before, after), self._parsed(text))
        return known | {"seed": seed} if "seed" in known else self._parsed(text)

    def _parsed(self, text: str) -> dict[str, Any]:
        return {name: self._sections.setdefault(to_json(each), each) for name, each in from_json(text).items()}
