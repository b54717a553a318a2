"""The fixture for pytest fails a test whose claims the results do not support."""

from pathlib import Path

import pytest

from ablate.api.testing import Judge, ablate_study, claims_hold
from tests.judge.test_verdict import CLEAR, write_results, write_study

LOWER = {**CLEAR, "nonlinear": [30.0, 30.9, 30.4]}


def test_claims_that_hold_pass_and_others_are_named(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    good = write_results(tmp_path / "good", path, CLEAR).root
    bad = write_results(tmp_path / "bad", path, LOWER).root
    claims_hold("mine", folder=good)
    claims_hold("mine", "A1", folder=good)
    for wanted in ((), ("A1",)):
        with pytest.raises(pytest.fail.Exception, match="mine: 1 of its claims failed\nA1 refuted"):
            claims_hold("mine", *wanted, folder=bad)
    with pytest.raises(pytest.fail.Exception, match="'mine' has no claim 'A11'; did you mean 'A1'"):
        claims_hold("mine", "A11", folder=good)


def test_the_fixture_is_that_function(request: pytest.FixtureRequest) -> None:
    assert ablate_study  # imported here, so that this file has the fixture without a conftest.py
    judge: Judge = request.getfixturevalue("ablate_study")
    assert judge is claims_hold
