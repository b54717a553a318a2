"""The JSON Schema of study files says of them what reading them does."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field

from ablate.study.json_schema import Described, descriptions, json_schema
from ablate.trainer.find import find_trainer
from tests.study.approve import BROKEN
from tests.study.material import RICH

STUDIES = Path(__file__).parents[2] / "studies"


def mistakes(data: dict[str, Any], of_profile: bool = False) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema(find_trainer(), of_profile))
    return [error.json_path for error in validator.iter_errors(data)]


def test_it_is_a_json_schema_and_can_be_written_as_json() -> None:
    for of_profile in (False, True):
        schema = json.loads(json.dumps(json_schema(find_trainer(), of_profile)))
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_of_the_checkout_is_valid(path: Path) -> None:
    assert mistakes(tomllib.loads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", sorted((STUDIES / "profiles").glob("*.toml")), ids=lambda path: path.stem)
def test_every_profile_of_the_checkout_is_valid(path: Path) -> None:
    assert mistakes(tomllib.loads(path.read_text(encoding="utf-8")), of_profile=True) == []


def test_a_study_that_says_everything_is_valid() -> None:
    assert mistakes(tomllib.loads(RICH)) == []


def test_a_study_that_extends_another_needs_a_name_and_nothing_else() -> None:
    assert mistakes({"name": "mine", "extends": "below"}) == []
    assert mistakes({"name": "mine", "title": "Mine"}) == ["$"]
    assert mistakes({"extends": "below"}) == ["$"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("misspelt_table", "$"),
        ("misspelt_setting", "$.base"),
        ("axis_with_no_values", "$.axes.epochs"),
        ("axis_without_values", "$.axes.temperature"),
        ("temperature_in_words", "$.base"),
        ("case_without_a_label", "$.cases[0]"),
        ("no_seeds", "$.seeds"),
        ("axis_with_a_capital", "$.axes"),
        ("zip_given_as_a_table", "$.zip"),
        ("profile_with_a_misspelt_key", "$.profile.embedded"),
    ],
)
def test_a_broken_study_is_not_valid_where_it_is_broken(name: str, place: str) -> None:
    data = tomllib.loads((BROKEN / f"{name}.toml").read_text(encoding="utf-8"))
    assert any(found.startswith(place) for found in mistakes(data))


def test_editors_are_given_the_settings_of_the_trainer_and_their_descriptions() -> None:
    definitions = json_schema(find_trainer())["$defs"]
    assert "loss.temperature" in definitions["Axis"]["properties"]["setting"]["anyOf"][0]["enum"]
    assert definitions["Settings"]["properties"]["batch_size"]["description"].startswith("N: images per step")


KEYWORDS = set(jsonschema.Draft202012Validator.VALIDATORS) | {
    "$schema", "$defs", "title", "description", "default", "examples", "then", "else",
}  # fmt: skip


def keywords(schema: Any) -> set[str]:
    """The keywords of a schema and of those inside it."""
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for name, value in schema.items():
        if name in ("properties", "patternProperties", "$defs"):
            found |= set().union(*map(keywords, value.values()))
        elif name in ("anyOf", "allOf", "oneOf", "prefixItems"):
            found |= set().union(*map(keywords, value))
        elif name in ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else"):
            found |= keywords(value)
    return found


@pytest.mark.parametrize("of_profile", [False, True])
def test_the_schema_has_no_keywords_that_a_strict_validator_refuses(of_profile: bool) -> None:
    assert keywords(json_schema(find_trainer(), of_profile)) - KEYWORDS == set()


class Plain(BaseModel):
    first: int
    """The first,
    on two lines."""
    second: int = Field(2, alias="2nd")
    """The second."""
    third: int = Field(3, description="Said here.")
    """Not this."""
    fourth: int = 4
    "After a comment and in two parts."


class PlainChild(Plain):
    first: int
    inner: Plain
    """Another model."""


class Documented(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)
    first: int
    """The first,
    on two lines."""
    second: int = Field(2, alias="2nd")
    """The second."""
    third: int = Field(3, description="Said here.")
    """Not this."""
    fourth: int = 4
    "After a comment and in two parts."


class DocumentedChild(Documented):
    first: int
    inner: Documented
    """Another model."""


def test_a_key_is_described_by_the_docstring_below_it_as_pydantic_describes_it() -> None:
    for plain, documented in ((Plain, Documented), (PlainChild, DocumentedChild)):
        said = {name: field.description for name, field in documented.model_fields.items() if field.description}
        assert descriptions(plain) == said
        ours = json.dumps(plain.model_json_schema(schema_generator=Described))
        assert json.loads(ours.replace("Plain", "Documented")) == documented.model_json_schema()
