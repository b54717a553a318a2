from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.address import Address, find_trial
from ablate.records.files import Results
from ablate.records.store import open_store
from tests.records.by_hand import key_of, write_plan, write_trial

A, B, C, D, E, F = (key_of(number) for number in (0xA00A, 0xA00B, 0xA00C, 0xA00D, 0xA00E, 0xF00F))
Find = Callable[[str], Address]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Finds trials of a study with two axes, one of which some cells are without, and a case."""
    results = Results(tmp_path)
    write_trial(results, A)
    write_plan(
        results,
        {
            A: {"loss": "nt_xent", "temperature": 0.1},
            B: {"loss": "nt_xent", "temperature": 1.0},
            C: {"loss": "margin"},
            D: {"loss": "margin", "seed": 1},
            E: {"case": "untrained", "seed": 0},
        },
    )
    write_plan(results, {F: {"loss": "margin", "cosine": True}}, profile="small")
    write_plan(results, {A: {"size": 5}}, study="other")

    def run(name: str) -> Address:
        with open_store(results) as store:
            return find_trial(store, name)

    return run


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a00a", A),
        ("A00B", B),
        (A, A),
        ("mine:temperature=0.1", A),
        ("mine:temperature=1", B),
        ("studies/mine.toml:loss=nt_xent,temperature=1.0,seed=0", B),
        ("mine:loss=nt_xent temperature=0.1 seed=0", A),
        ("mine:loss=margin,seed=1", D),
        ("mine:case=untrained", E),
        ("mine:untrained seed=0", E),
        ("mine:profile=small", F),
        ("mine:cosine=True", F),
        ("other:size=5", A),
    ],
)
def test_a_trial_is_found_by_digits_and_by_whatever_makes_its_cell_unique(find: Find, name: str, key: str) -> None:
    assert find(name).key == key


def test_a_cell_with_exactly_the_named_axes_takes_precedence_over_cells_with_more(find: Find) -> None:
    assert find("mine:loss=margin,seed=0").key == C


def test_the_profile_embedded_is_the_default_if_several_match(find: Find) -> None:
    assert find("mine:loss=margin,seed=0").cells[0].profile == "embedded"
    assert find("mine:loss=margin,profile=small").key == F


def test_an_address_lists_every_cell_of_a_trial(find: Find) -> None:
    cells = find("a00a").cells
    assert [(cell.study, cell.label) for cell in cells] == [
        ("mine", "loss=nt_xent temperature=0.1 seed=0"),
        ("other", "size=5 seed=0"),
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("abc", "no trial matches 'abc'\n  help: give at least 4 digits of a key, or STUDY:AXIS=VALUE,...,seed=N"),
        (
            "mine",
            "'mine' is a study, not a trial\n  help: name one of its trials: mine:loss=nt_xent,temperature=0.1,seed=0",
        ),
        ("beef", "no trial's key starts with beef"),
        ("mien:loss=margin", "no records of a study 'mien'; did you mean 'mine'?\n  help: studies with records are"),
        ("mine:los=margin", "mine has no axis 'los'; did you mean 'loss'?\n  help: axes are: loss, temperature, "),
        ("mine:loss=margni", "mine has no loss=margni; did you mean 'margin'?\n  help: values of loss are: nt_xent"),
        ("mine:seed=7", "mine has no seed=7\n  help: values of seed are: 0, 1"),
        ("mine:temperature", "mine has no temperature="),
        (
            "mine:loss=margin,temperature=0.1",
            "mine has no trial loss=margin,temperature=0.1\n  help: its trials include",
        ),
        ("mine:", "mine: matches 5 trials\n  help: choose one:\n  a00affffffff  mine [embedded]  loss=nt_xent"),
        ("mine:loss=nt_xent", "mine:loss=nt_xent matches 2 trials\n  help: choose one:\n  a00affffffff"),
    ],
)
def test_a_name_that_matches_no_trial_or_several_lists_what_exists(find: Find, name: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        find(name)
    assert told in str(error.value)


def test_ambiguous_digits_list_ten_matching_keys_with_their_cells(tmp_path: Path) -> None:
    results = Results(tmp_path)
    keys = [f"abcd{number:060x}" for number in range(12)]
    write_plan(results, {key: {"size": number} for number, key in enumerate(keys)})
    with open_store(results) as store, pytest.raises(UserError) as error:
        find_trial(store, "abcd")
    lines = str(error.value).splitlines()
    assert lines[0] == "error: abcd matches 12 trials"
    assert lines[2] == "  abcd00000000  mine [embedded]  size=0 seed=0"
    assert lines[-1] == "  ... and 2 more"


def test_several_matching_profiles_other_than_embedded_are_listed(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for profile, key in (("small", A), ("large", B)):
        write_plan(results, {key: {"size": 1}}, profile=profile)
    with open_store(results) as store, pytest.raises(UserError, match="add profile=NAME: large, small"):
        find_trial(store, "mine:size=1")
