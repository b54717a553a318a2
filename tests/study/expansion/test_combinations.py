"""`[design]`, parts that are removed, and ranges, in study files."""

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.plan_file import parse_declarations
from ablate.study.check import check_files
from ablate.study.declared import declared
from ablate.study.expansion.expand import Expansion, expand
from ablate.study.load import load_profile, load_study

HEAD = 'name = "parts"\ntitle = "Parts"\nquestion = "Which part matters?"\n'
PARTS = """base.augment.transforms = ["crop", "color"]
[axes]
crop = { setting = "augment.transforms", remove = "crop" }
color = { setting = "augment.transforms", remove = "color", label = "color distortion" }
head = { setting = "head.name", values = ["nonlinear", "none"] }
"""


def expansion(project: Path, text: str) -> Expansion:
    path = project / "studies" / "parts.toml"
    path.write_text(HEAD + text)
    return expand(load_study(str(path)), load_profile("embedded", path))


def names(found: Expansion) -> list[str]:
    assert found.naming
    return [found.naming.name(trial.cell) for trial in found.trials]


def test_leave_one_out_trains_the_full_method_and_each_part_removed(project: Path) -> None:
    found = expansion(project, f'{PARTS}\n[design]\nkind = "leave_one_out"\n')
    assert names(found) == ["full method", "without crop", "without color distortion", "without head"]
    assert [(trial.config.augment.transforms, trial.config.head.name) for trial in found.trials] == [  # type: ignore[attr-defined]
        (("crop", "color"), "nonlinear"),
        (("color",), "nonlinear"),
        (("crop",), "nonlinear"),
        (("crop", "color"), "none"),
    ]
    by_hand = expansion(
        project,
        "axes.transforms = { setting = 'augment.transforms', values = { both = ['crop', 'color'], crop = ['crop'] } }",
    )
    assert {trial.key for trial in by_hand.trials} == {found.trials[0].key, found.trials[2].key}


def test_add_one_in_starts_from_the_bare_method(project: Path) -> None:
    found = expansion(project, f'{PARTS}\n[design]\nkind = "add_one_in"\n')
    assert names(found) == ["bare method", "only crop", "only color distortion", "only head"]
    assert [trial.config.augment.transforms for trial in found.trials] == [(), ("crop",), ("color",), ()]  # type: ignore[attr-defined]


def test_pairs_are_named_by_both_parts(project: Path) -> None:
    found = expansion(project, f'{PARTS}\n[design]\nkind = "pairs"\n')
    assert names(found)[4:] == [
        "without crop and color distortion", "without crop and head", "without color distortion and head",
    ]  # fmt: skip


def test_one_at_a_time_varies_each_axis_from_the_baseline_and_crosses_the_others(project: Path) -> None:
    text = """
[axes]
temperature = { setting = "loss.temperature", values = [0.1, 0.5, 1.0] }
batch = { setting = "batch_size", values = [16, 32] }
head = { setting = "head.name", values = ["nonlinear", "none"] }
[design]
kind = "one_at_a_time"
axes = ["temperature", "batch"]
baseline = { temperature = 0.5 }
"""
    found = expansion(project, text)
    shown = ["baseline", "temperature 0.1", "temperature 1.0", "batch 32"]
    assert names(found) == [f"{each}, {head}" for each in shown for head in ("nonlinear", "none")]
    assert [trial.cell.axes["temperature"] for trial in found.trials[::2]] == [0.5, 0.1, 1.0, 0.5]
    assert found.size == 8


def test_a_factorial_of_parts_is_the_grid_of_the_same_axes(project: Path) -> None:
    grid = expansion(project, PARTS)
    factorial = expansion(project, f'{PARTS}\n[design]\nkind = "factorial"\n')
    assert [trial.key for trial in factorial.trials] == [trial.key for trial in grid.trials]
    assert factorial.naming is None
    fraction = expansion(project, f'{PARTS}\n[design]\nkind = "fractional"\ncells = 4\n')
    assert fraction.size == 4
    assert fraction.sample == (
        "fractional: 4 of 8 combinations, resolution III; effects that it cannot tell apart: "
        "crop = color x head, color = crop x head, head = crop x color"
    )
    sampled = expansion(project, f'{PARTS}\n[design]\nkind = "random"\ncells = 5\n')
    assert (sampled.size, sampled.sample) == (5, "random: 5 of 8 combinations, drawn by seed 0")


def test_pages_call_the_cells_of_a_design_by_what_they_lack(project: Path) -> None:
    path = project / "studies" / "parts.toml"
    path.write_text(f'{HEAD}{PARTS}\n[design]\nkind = "leave_one_out"\n')
    found = parse_declarations(declared(load_study(str(path))))
    cells = [trial.cell for trial in expand(load_study(str(path)), load_profile("embedded", path)).trials]
    assert found["naming"].name(cells[2]) == "without color distortion"


def test_an_item_can_be_removed_from_the_list_that_set_gives(project: Path) -> None:
    path = project / "studies" / "parts.toml"
    path.write_text(f'{HEAD}{PARTS}\n[design]\nkind = "leave_one_out"\n')
    given = {"augment.transforms": ["crop", "color", "blur"]}
    found = expand(load_study(str(path)), load_profile("embedded", path), given)
    assert found.trials[1].config.augment.transforms == ("color", "blur")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ('{ from = 1e-4, to = 1e-1, count = 4, scale = "log" }', [1e-4, 1e-3, 1e-2, 1e-1]),
        ("{ from = 0, to = 1, count = 5 }", [0, 0.25, 0.5, 0.75, 1]),
        ("{ from = 0.2, to = 0.1, count = 2 }", [0.2, 0.1]),
        ("{ from = 1, to = 100, count = 5, scale = 'log', whole = true }", [1, 3, 10, 32, 100]),
        ("{ from = 1, to = 3, count = 9, whole = true }", [1, 2, 3]),
        ("{ from = 64, to = 512, scale = 'powers of two' }", [64, 128, 256, 512]),
        ("{ from = 500, to = 60, scale = 'powers of two' }", [256, 128, 64]),
    ],
)
def test_a_range_is_the_list_of_its_numbers(project: Path, written: str, values: list[float]) -> None:
    path = project / "studies" / "parts.toml"
    path.write_text(f"{HEAD}axes.x = {{ setting = 'epochs', values = {written} }}")
    found = load_study(str(path))
    assert found.problems == ()
    assert list(found.study.axes["x"].values) == values


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("kind = 'leave_one_in'", 10, "did you mean 'leave_one_out'"),
        ("kind = 'sobol'", 10, "needs the number of cells"),
        ("kind = 'leave_one_out'\ncells = 4", 11, "design.cells has no effect with kind = 'leave_one_out'"),
        ("kind = 'fractional'\ncells = 4\nseed = 1", 12, "design.seed has no effect"),
        ("kind = 'fractional'\ncells = 6", 11, "has a power of 2 that is at least 4"),
        ("kind = 'fractional'\ncells = 16", 11, "there are only 8 combinations"),
        ("kind = 'fractional'\ncells = 1", 11, "has a power of 2 that is at least 4"),
        ("kind = 'random'\ncells = 9", 11, "there are only 8 combinations"),
        ("kind = 'leave_one_out'\naxes = ['corp']", 11, "'corp' is not an axis; did you mean 'crop'?"),
        ("kind = 'one_at_a_time'\nbaseline = { head = 'linear' }", 11, "'linear' is not one of its values"),
        ("kind = 'one_at_a_time'\nbaseline = { haed = 'none' }", 11, "'haed' is not an axis of the design"),
        ("kind = 'factorial'\nbaseline = { head = 'none' }", 11, "design.baseline has no effect"),
    ],
)
def test_mistakes_in_a_design_are_told_with_their_lines(project: Path, text: str, line: int, told: str) -> None:
    path = project / "studies" / "parts.toml"
    path.write_text(f"{HEAD}{PARTS}[design]\n{text}\n")
    with pytest.raises(UserError) as caught:
        expand(load_study(str(path)), load_profile("embedded", path))
    assert told in str(caught.value)
    assert f"parts.toml:{line}" in str(caught.value)


def test_a_fraction_that_is_too_small_to_find_its_aliases_is_refused_at_once(project: Path) -> None:
    path = project / "studies" / "parts.toml"
    axes = "".join(f"x{number} = {{ setting = 'x{number}', values = [0, 1] }}\n" for number in range(60))
    path.write_text(f"{HEAD}[axes]\n{axes}[design]\nkind = 'fractional'\ncells = 64\n")
    with pytest.raises(UserError, match="too small a fraction"):
        expand(load_study(str(path)), load_profile("embedded", path))


@pytest.mark.parametrize(
    ("axis", "told"),
    [
        ("{ setting = 'augment.transforms', remove = 'corp' }", "the list has no item 'corp'; it has 'crop', 'color'"),
        ("{ setting = 'epochs', remove = 'crop' }", "'crop' can only be removed from a list, not from 2"),
        ("{ setting = 'augment.transforms', remove = 'crop', values = ['a'] }", "its values are true and false"),
        ("{ setting = 'augment.transforms', remove = [] }", "must be an item of the list"),
        ("{ setting = 'epochs', values = { from = 1, to = 1, count = 3 } }", "two different numbers"),
        ("{ setting = 'epochs', values = { from = 0, to = 1, count = 3, scale = 'log' } }", "numbers above 0"),
        ("{ setting = 'epochs', values = { from = 1, to = 9 } }", "the count of a range"),
        ("{ setting = 'epochs', values = { from = 1, to = 9, count = true } }", "the count of a range"),
    ],
)
def test_mistakes_in_a_part_or_a_range_are_told(project: Path, axis: str, told: str) -> None:
    path = project / "studies" / "parts.toml"
    path.write_text(f"{HEAD}axes.part = {axis}\n")
    (checked,) = check_files([str(path)], ["embedded"])
    assert any(told in problem.message for problem in checked.problems), checked.problems
