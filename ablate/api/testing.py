"""A fixture for pytest that judges a study. In conftest.py: `pytest_plugins = ["ablate.api.testing"]`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.errors import nearest

Judge = Callable[..., None]


@pytest.fixture
def ablate_study() -> Judge:
    """A function that fails the test unless claims of a study are supported by its results.

        def test_claims(ablate_study):
            ablate_study("rates", "c1")

    It takes the study's name, ids of claims, `folder` (results) and `profile`. Without ids, each claim of the study
    must not be refuted. Nothing is trained. Raises UserError if the study has no results.
    """
    return claims_hold


def claims_hold(study: str, *claims: str, folder: str | Path = "results", profile: str | None = None) -> None:
    """What `ablate_study` is: raises AssertionError with the verdicts that are not as wanted."""
    __tracebackhide__ = True
    from ablate.api import results

    verdicts = {each.claim.id: each for each in results(study, profile, folder).judge().verdicts}
    for name in claims:
        if name not in verdicts:
            pytest.fail(f"'{study}' has no claim '{name}'{nearest(name, verdicts)}", pytrace=False)
    wrong = [verdicts[name] for name in claims if verdicts[name].kind != "supported"]
    if not claims:
        wrong = [each for each in verdicts.values() if each.kind == "refuted"]
    if wrong:
        pytest.fail("\n".join([f"{study}: {len(wrong)} of its claims failed", *map(repr, wrong)]), pytrace=False)
