"""`random_removals`: cells without as many random items as a part removes."""

import itertools
from collections import Counter
from math import comb
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.expansion.expand import Expansion, expand
from ablate.study.load import load_profile, load_study
from ablate.study.schema.removal import RandomlyRemoved, draws

ITEMS = ("crop", "color", "blur", "noise", "sobel")
STUDY = """name = "control"
title = "Control"
question = "Does it matter which two are removed?"
base.augment.transforms = ["crop", "color", "blur", "noise", "sobel"]
[axes]
looks = { setting = "augment.transforms", remove = ["color", "blur"] }
edges = { setting = "augment.transforms", remove = ["noise", "sobel"] }
crop = { setting = "augment.transforms", remove = "crop" }
[design]
kind = "leave_one_out"
"""
PARTS = {frozenset({"color", "blur"}), frozenset({"noise", "sobel"})}


def expansion(project: Path, added: str, text: str = STUDY) -> Expansion:
    path = project / "studies" / "control.toml"
    path.write_text(text + added)
    return expand(load_study(str(path)), load_profile("embedded", path))


def removed(found: Expansion) -> list[frozenset[str]]:
    """The items that each random removal lacks."""
    controls = [trial.config for trial in found.trials if trial.cell.case]
    return [frozenset(ITEMS) - set(config.augment.transforms) for config in controls]  # type: ignore[attr-defined]


def test_all_random_removals_are_all_pairs_of_items_that_no_part_removes(project: Path) -> None:
    found = expansion(project, "random_removals = 8")
    by_hand = {frozenset(pair) for pair in itertools.combinations(ITEMS, 2)} - PARTS
    assert len(found.trials) == found.size == 4 + 8
    assert set(removed(found)) == by_hand
    assert found.removable == {"2": 8}
    for trial in found.trials:  # what is left stays in the order of the list
        left = trial.config.augment.transforms  # type: ignore[attr-defined]
        assert list(left) == [item for item in ITEMS if item in left]


def test_more_draws_and_other_cells_keep_the_draws_of_a_seed(project: Path) -> None:
    three = removed(expansion(project, "random_removals = 3"))
    assert removed(expansion(project, "random_removals = 5"))[:3] == three
    others = {tuple(removed(expansion(project, f"random_removals = 3\nseed = {seed}"))) for seed in range(5)}
    assert len(others) > 1
    without = expansion(project, "")
    assert [trial.key for trial in expansion(project, "random_removals = 3").trials[:4]] == [
        trial.key for trial in without.trials
    ]


def test_lists_of_lists_have_no_random_items() -> None:
    removal = RandomlyRemoved(2, 0, 1, 0, frozenset())
    with pytest.raises(ValueError, match="only from a list of names"):
        removal.of(["a", "b", ["c", 1]])


def test_every_set_of_items_is_drawn_first_equally_often() -> None:
    counts = Counter(next(draws("abcde", 2, seed)) for seed in range(5000))
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 27.9  # chi square, 9 df, p = 0.001
    assert len(counts) == comb(5, 2)
    assert {frozenset(each) for each in itertools.combinations("abcde", 3)} == set(draws("abcde", 3, 1))


def test_cells_without_random_items_are_called_by_these(project: Path) -> None:
    found = expansion(project, "random_removals = 3")
    for trial, items in zip(found.trials[4:], removed(found), strict=True):
        one, two = (item for item in ITEMS if item in items)
        assert found.title_of(trial.cell) == f"without {one} and {two} (random)"
    assert [trial.cell.case for trial in found.trials[4:]] == ["random_2_1", "random_2_2", "random_2_3"]


def test_items_are_drawn_from_the_list_that_set_gives(project: Path) -> None:
    path = project / "studies" / "control.toml"
    path.write_text(STUDY.replace("edges", "# edges") + "random_removals = 2")
    given = {"augment.transforms": ["crop", "color", "blur"]}
    found = expand(load_study(str(path)), load_profile("embedded", path), given)
    assert {trial.config.augment.transforms for trial in found.trials[3:]} == {("color",), ("blur",)}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (
            STUDY + "random_removals = 9",
            "of its 5 items, 2 can be removed in 8 ways that no part removes, fewer than 9",
        ),
        (STUDY.replace("leave_one_out", "pairs") + "random_removals = 3", "random_removals has no effect with kind"),
        (STUDY + 'random_removals = 3\naxes = ["looks", "crop"]', "needs a design of all axes"),
        (
            "\n".join(line for line in STUDY.splitlines() if "[" not in line or "remove = [" not in line)
            + "\nrandom_removals = 1",
            "needs parts that remove several items of one list; there is none",
        ),
        (
            STUDY + 'random_removals = 1\n[[cases]]\nname = "random_2_1"\nlabel = "mine"\nset.epochs = 0',
            "the case 'random_2_1' has the name of a cell of design.random_removals",
        ),
        (
            STUDY + 'random_removals = 1\n[[cases]]\nname = "random_2_4"\nlabel = "mine"\nset.epochs = 0',
            "the case 'random_2_4' has the name of a cell of design.random_removals",
        ),
        (
            STUDY.replace("crop = {", 'head = { setting = "head.name", values = ["linear", "none"] }\ncrop = {')
            + "random_removals = 1",
            "needs axes that all remove items, unlike head",
        ),
    ],
)
def test_a_control_that_cannot_be_drawn_is_told_with_its_line(project: Path, text: str, wrong: str) -> None:
    with pytest.raises(UserError) as caught:
        expansion(project, "", text)
    assert wrong in str(caught.value)
    assert "control.toml:" in str(caught.value)
