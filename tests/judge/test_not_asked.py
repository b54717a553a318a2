"""The claims of the paper that no study asks."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAPER = [
    *(f"A{number}" for number in range(1, 9)), *(f"B{number}" for number in range(1, 7)),
    *(f"C{number}" for number in range(1, 5)), *(f"D{number}" for number in range(1, 8)),
    *(f"E{number}" for number in range(1, 6)), *(f"F{number}" for number in range(1, 7)),
    *(f"G{number}" for number in range(1, 5)), *(f"H{number}" for number in range(1, 9)),
]  # fmt: skip
"""What the paper claims, by section: A and B of section 3, C and D of 4, E and F of 5, G of App. B.9, H of 6."""


def asked() -> set[str]:
    ids = re.compile(r'^id = "([A-Z][\w\']*)"$', re.MULTILINE)
    return {id for path in (ROOT / "studies").glob("*.toml") for id in ids.findall(path.read_text())}


def not_asked() -> set[str]:
    (section,) = re.findall(
        r"## Claims of the paper that are not tested\n(.*?)\n## ", (ROOT / "docs/judging.md").read_text(), re.S
    )
    return set(re.findall(r"^\| ([A-Z]\w+) \|", section, re.MULTILINE))


def test_each_claim_of_the_paper_is_asked_by_a_study_or_told_why_not() -> None:
    known = {id.partition("_")[0] for id in asked() | not_asked()}
    assert [id for id in PAPER if id not in known] == []


def test_no_claim_is_both_asked_and_told_not_to_be() -> None:
    assert not_asked()
    assert asked() & not_asked() == set()
