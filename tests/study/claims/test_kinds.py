"""Claims and references of a study: what is read of them, what plan files hold, what they are no part of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.records.files import Results
from ablate.records.plans import load_plans
from ablate.run.plan import make_plan, record_plan
from ablate.study.claims import AllOf, Claim, plain_claim, read_claims
from ablate.study.claims.order import Best
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import Study

HEAD = """\
name = "heads"
title = "Heads"
question = "Which?"

[axes]
head = { setting = "head.name", values = ["nonlinear", "none"] }
"""
CLAIM = """
[[claims]]
id = "D2'"
text = "A head is better than none."
source = "section 4.2"
kind = "all"
cells = "head != 'none'"
parts = [{ kind = "best", is = "head == 'nonlinear'", margin = 3 }]
"""
REFERENCE = """
[reference]
table = "fig8_projection_head"
label = "Fig. 8"
where = { out_dim = 2048 }
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a study called heads with more text behind it."""

    def write(more: str) -> Path:
        path = tmp_path / "heads.toml"
        path.write_text(HEAD + more)
        return path

    return write


def read(path: Path) -> Study:
    loaded = load_study(str(path))
    assert [str(problem) for problem in loaded.problems] == []
    return loaded.study


def test_a_claim_is_read_with_its_parts(write: Write) -> None:
    (claim,) = read(write(CLAIM)).claims
    assert (claim.id, claim.kind, claim.required) == ("D2'", "all", False)
    assert isinstance(claim, AllOf)
    (part,) = claim.parts
    assert isinstance(part, Best)
    assert (part.best, part.margin) == ("head == 'nonlinear'", 3.0)


def test_a_condition_may_name_a_value_of_another_profile(write: Write) -> None:
    claim = CLAIM.replace("'none'", "'linear'") + "\n[profile.imagenet]\naxes.head = ['nonlinear', 'linear', 'none']\n"
    assert len(read(write(claim)).claims) == 1


def test_a_claim_comes_back_from_a_plan_file_as_it_was(write: Write) -> None:
    (claim,) = read(write(CLAIM)).claims
    assert read_claims([plain_claim(claim)]) == (claim,)
    assert plain_claim(claim)["parts"] == [{"kind": "best", "is": "head == 'nonlinear'", "margin": 3.0}]


def test_every_kind_has_its_name_and_says_when_it_holds() -> None:
    for kind, model in Claim.kinds().items():
        assert issubclass(model, Claim)
        assert model.__doc__, kind
    assert set(Claim.kinds()) >= {
        "best",
        "greater",
        "monotone",
        "equivalent",
        "rank_correlation",
        "closing_gap",
        "all",
        "any",
    }


def test_one_reference_is_a_list_of_one(write: Write) -> None:
    one = read(write(REFERENCE)).reference
    several = read(write(REFERENCE.replace("[reference]", "[[reference]]") * 2)).reference
    assert one * 2 == several
    assert read(write("")).reference == []


def test_claims_and_references_are_no_part_of_a_design(write: Write) -> None:
    designs, keys = set(), set()
    for more in ("", CLAIM, REFERENCE):
        path = write(more)
        expansion = expand(load_study(str(path)), load_profile("embedded", path))
        designs.add(expansion.design)
        keys.add(tuple(trial.key for trial in expansion.trials))
    assert (len(designs), len(keys)) == (1, 1)


def test_a_plan_file_holds_claims_and_references_and_a_changed_claim_is_a_new_plan(
    write: Write, tmp_path: Path
) -> None:
    results = Results(tmp_path / "results")
    for text in ("A head is better than none.", "None is better."):
        path = write(REFERENCE + CLAIM.replace("A head is better than none.", text))
        record_plan(make_plan(str(path), "embedded", results), results, ["ablate", "run"])
    first, second = load_plans(results, "heads")
    assert first.design == second.design
    assert (first.claims[0]["text"], second.claims[0]["text"]) == (
        "A head is better than none.",
        "None is better.",
    )
    assert (first.references[0].table, first.paper_profile) == ("fig8_projection_head", "imagenet")
