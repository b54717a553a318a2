"""The settings of a trial that a command computes."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Command(BaseModel):
    """What runs, and where its numbers are: the same for all trials of a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...] = ()
    """The program and its arguments, with placeholders."""
    metrics: str = "stdout"
    """`stdout`, a regular expression with named groups, or the path of a JSON file, with placeholders."""
    environment: dict[str, str] = {}
    """Variables, with placeholders, besides ABLATE_<NAME> for every setting."""
    files: dict[str, str] = {}
    """Path in the project -> the beginning of the SHA-256 of the file."""


class Settings(BaseModel):
    """The settings that every command has; a study adds a field for each of its axes and defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    command: Command = Command()


class Config(Settings):
    """The settings as a worker reads them from the trial's record, where they were checked when it was planned."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The values of the study's axes and defaults, by name."""
        return dict(self.model_extra or {})
