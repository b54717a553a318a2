"""The JSON Schema of what each command prints with `--json`."""

import re
from collections.abc import Mapping
from types import GenericAlias
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from ablate.commands import json_trials, json_verdicts
from ablate.errors import UserError, nearest
from ablate.run.machine import Check
from ablate.study.claims import Claim
from ablate.study.json_schema import Described


class FileProblem(TypedDict):
    """An error or a warning, with its place."""

    message: str
    file: str | None
    line: int | None
    column: int | None
    help: str | None
    """What to do."""


class CheckedFile(TypedDict):
    """A study or suite with its mistakes."""

    study: str
    trials: dict[str, int]
    """Profile -> number of trials."""
    studies: int | None
    """The number of studies of a suite; null for a study."""
    problems: list[FileProblem]
    warnings: list[FileProblem]


class ListedStudy(TypedDict):
    """One study at one profile."""

    study: str
    title: str
    file: str | None
    profile: str | None
    """Null if it was never run."""
    done: int
    trials: int
    suites: list[str]
    """The suites that contain it."""
    whole: bool
    """Whether its runs planned every cell and every seed of its file."""


OUTPUTS: Mapping[str, Any] = {
    "check": list[CheckedFile],
    "studies": list[ListedStudy],
    "plan": json_trials.StudyPlan | json_trials.SuitePlan,
    "status": json_trials.Status,
    "cancel": json_trials.Cancelled,
    "import": json_trials.Imported,
    "show": json_trials.Shown,
    "diff": json_trials.Differences,
    "logs": json_trials.Logs,
    "why": json_trials.Why,
    "judge": json_verdicts.Judged,
    "attribute": json_verdicts.Attribution,
    "noise": json_verdicts.Noise,
    "verify": json_verdicts.VerifiedPage | json_verdicts.VerifiedPaper,
    "query": list[json_verdicts.Row],
    "gc": json_verdicts.Removed,
    "doctor": list[Check],
}
"""Command -> the type of its output."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Complete(Described):
    """Requires every field of a dataclass, since those with a default are printed too; leaves out titles of fields."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return bool(field.get("required", total)) if field["type"] == "typed-dict-field" else True

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def output_schema(command: str) -> dict[str, Any]:
    """The JSON Schema of what `ablate COMMAND --json` prints. Raises UserError for a command without --json."""
    if command not in OUTPUTS:
        message = f"--json-of {command}: no command of this name has --json{nearest(command, OUTPUTS)}"
        raise UserError(message, help=f"commands with --json: {', '.join(OUTPUTS)}")
    # In a list, since pydantic takes no config for dataclasses and TypedDicts themselves.
    several_of: Any = GenericAlias(list, (OUTPUTS[command],))
    adapter = TypeAdapter(several_of, config=ConfigDict(use_attribute_docstrings=True))
    several = adapter.json_schema(mode="serialization", schema_generator=_Complete)
    schema = {**several.pop("items"), "$defs": several.get("$defs", {})}
    if command == "judge":
        schema["$defs"]["ClaimVerdict"]["properties"] |= _claim_keys()
    _close(schema)
    return {"$schema": _DIALECT, **schema, "title": f"ablate {command} --json"}


def _claim_keys() -> dict[str, Any]:
    """The keys that a claim of any kind may have, as a plan file holds them; their values depend on the kind."""
    names = {
        name: field.alias or name for model in Claim.kinds().values() for name, field in model.model_fields.items()
    }
    return {alias: {} for alias in names.values()}


def _close(schema: Any) -> None:
    """Let no object have keys that the schema does not name, and call None null, as JSON does."""
    for each in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        _close(each)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    if isinstance(schema, dict) and isinstance(schema.get("description"), str):
        schema["description"] = re.sub(r"\bNone\b", "null", schema["description"])
