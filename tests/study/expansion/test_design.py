"""Cells of a study against loops written out: how many there are, which, in what order, with which keys."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import UserError, toml
from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Expansion, Trial, identity, keys_of
from ablate.study.load import load_profile, load_study

HEAD = 'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\n'
Point = dict[str, Any]
Holds = Callable[[Point], bool]


def expansion(folder: Path, text: str, profile: str = "embedded") -> Expansion:
    path = folder / "mine.toml"
    path.write_text(HEAD + text)
    return expand(load_study(str(path)), load_profile(profile, path))


def labels(folder: Path, text: str) -> list[str]:
    return [trial.label for trial in expansion(folder, text).trials]


AXES: dict[str, tuple[str, list[Any]]] = {
    "head": ("head.name", ["nonlinear", "linear", "none"]),
    "temperature": ("loss.temperature", [0.1, 0.5, 1.0]),
    "normalize": ("loss.normalize", [True, False]),
    "epochs": ("epochs", [1, 2]),
    "strength": ("augment.color.strength", [0.2, 0.8]),
}
CONDITIONS: list[tuple[str, Holds]] = [
    ("head != 'none'", lambda cell: cell.get("head") != "none"),
    ("head in ['linear', 'none']", lambda cell: cell.get("head") in ("linear", "none")),
    ("temperature < 0.6", lambda cell: "temperature" in cell and cell["temperature"] < 0.6),
    ("0.1 < temperature <= 1", lambda cell: "temperature" in cell and 0.1 < cell["temperature"] <= 1),
    ("normalize", lambda cell: cell.get("normalize") is True),
    ("not normalize", lambda cell: cell.get("normalize") is not True),
    ("epochs == 1 or head == 'linear'", lambda cell: cell.get("epochs") == 1 or cell.get("head") == "linear"),
    ("epochs == 2 and not (head == 'none')", lambda cell: cell.get("epochs") == 2 and cell.get("head") != "none"),
    ("head not in ['none'] and epochs >= 2", lambda cell: cell.get("head") != "none" and cell.get("epochs", 0) >= 2),
]


def a_study(rng: random.Random) -> tuple[str, list[Point]]:
    """A study of random axes, conditions and zips; and its points by loops written out."""
    names = rng.sample(list(AXES), rng.randint(2, 4))
    values = {name: AXES[name][1] if rng.random() < 0.8 else rng.sample(AXES[name][1], 1) for name in names}
    pair = [name for name in names if len(values[name]) == 2][:2]
    zipped = pair if len(pair) == 2 and rng.random() < 0.5 else []
    order = [name for name in names if name not in zipped] + zipped
    rules = [rule for rule in CONDITIONS if usable(rule[0], {name for name in names if values[name] is AXES[name][1]})]
    whens: dict[str, tuple[str, Holds]] = {}
    for name in order:
        rule = rng.choice(rules) if rules else None
        if rule and name not in zipped and rng.random() < 0.5 and not {name, *whens} & named(rule[0]):
            whens[name] = rule
    excludes = rng.sample(rules, min(len(rules), rng.randint(0, 2)))
    text = f"exclude = {toml([rule for rule, _ in excludes])}\n"
    for name in order:
        text += "[[zip]]\n" if zipped and name == zipped[0] else ""
        text += f"[{'zip' if name in zipped else 'axes'}.{name}]\nsetting = {toml(AXES[name][0])}\n"
        text += f"values = {toml(values[name])}\n"
        text += f"when = {toml(whens[name][0])}\n" if name in whens else ""
    return text, points(order, values, zipped, whens, [holds for _, holds in excludes])


def named(condition: str) -> set[str]:
    return {name for name in AXES if name in condition}


def usable(condition: str, whole: set[str]) -> bool:
    """Whether a condition names axes that a study has with all their values."""
    return named(condition) <= whole


def test_the_random_studies_have_conditions_exclusions_and_zips() -> None:
    texts = [a_study(random.Random(number))[0] for number in range(60)]
    for part in ("when = ", 'exclude = ["', "[[zip]]"):
        assert sum(part in text for text in texts) >= 10


def points(
    order: list[str], values: dict[str, Any], zipped: list[str], whens: Any, excludes: list[Holds]
) -> list[Point]:
    found: list[Point] = []
    for chosen in _every(order, values):
        if zipped and values[zipped[0]].index(chosen[zipped[0]]) != values[zipped[1]].index(chosen[zipped[1]]):
            continue
        point = dict(chosen)
        for name, (_, holds) in whens.items():
            if not holds(point):
                del point[name]
        if not any(holds(point) for holds in excludes) and point not in found:
            found.append(point)
    return found


def _every(order: list[str], values: dict[str, Any]) -> Iterator[Point]:
    if not order:
        yield {}
        return
    for value in values[order[0]]:
        for rest in _every(order[1:], values):
            yield {order[0]: value, **rest}


@pytest.mark.parametrize("number", range(60))
def test_cells_are_those_of_loops_written_out_in_their_order(tmp_path: Path, number: int) -> None:
    text, wanted = a_study(random.Random(number))
    if not wanted:
        with pytest.raises(UserError, match="exclude removes every cell"):
            expansion(tmp_path, text)
        return
    assert [trial.cell.axes for trial in expansion(tmp_path, text).trials] == wanted


def assert_keys_say_what_is_the_same(trials: tuple[Trial, ...], name: str, version: int) -> None:
    by_key: dict[str, Any] = {}
    for trial in trials:
        assert (trial.key, trial.pretrain_key) == keys_of(trial.config, name, version)
        assert by_key.setdefault(trial.key, identity(trial.config)) == identity(trial.config)
    configs = list(by_key.values())
    assert all(one != two for index, one in enumerate(configs) for two in configs[:index])


@pytest.mark.parametrize("number", [number for number in range(40) if a_study(random.Random(number))[1]])
def test_keys_are_equal_where_configs_are_and_those_of_one_config_by_itself(tmp_path: Path, number: int) -> None:
    text, _ = a_study(random.Random(number))
    found = expansion(tmp_path, f"seeds = [0, 5]\n{text}")
    assert_keys_say_what_is_the_same(found.trials, found.trainer.name, found.trainer.recipe_version)
    assert [trial.key for trial in expansion(tmp_path, f"seeds = [0, 5]\n{text}").trials] == [
        trial.key for trial in found.trials
    ]


EVALUATIONS = '[evaluate]\nprobe.parts = ["cached_linear"]\nnearest = { parts = ["knn"], knn.neighbours = 20 }\n'


def test_evaluations_share_a_pretraining_and_have_keys_of_their_own(tmp_path: Path) -> None:
    text = "seeds = 2\n[axes]\nepochs = [1, 2]\n"
    before = expansion(tmp_path, text).trials
    after = expansion(tmp_path, text + EVALUATIONS).trials
    assert len(after) == 2 * len(before) == 8
    assert len({trial.key for trial in after}) == 8
    assert {trial.pretrain_key for trial in after} == {trial.pretrain_key for trial in before}


def test_an_evaluation_like_the_profiles_is_the_trial_that_there_was(tmp_path: Path) -> None:
    text = "[axes]\nepochs = [1, 2]\n"
    before = expansion(tmp_path, text).trials
    after = expansion(tmp_path, text + EVALUATIONS).trials
    assert {trial.key for trial in before} <= {trial.key for trial in after}


def test_cases_are_evaluated_too_and_come_last(tmp_path: Path) -> None:
    case = '[[cases]]\nname = "untrained"\nlabel = "untrained"\nset.epochs = 0\n'
    assert labels(tmp_path, "[axes]\nepochs = [1, 2]\n" + EVALUATIONS + case)[-2:] == [
        "untrained evaluation=probe seed=0",
        "untrained evaluation=nearest seed=0",
    ]


def test_a_profile_changes_one_setting_of_an_evaluation_and_keeps_the_others(tmp_path: Path) -> None:
    text = "[axes]\nepochs = [1, 2]\n" + EVALUATIONS + "[profile.embedded]\nevaluate.nearest.knn.temperature = 0.5\n"
    knn = expansion(tmp_path, text).trials[1].config.evaluate.knn  # type: ignore[attr-defined]
    assert (knn.neighbours, knn.temperature) == (20, 0.5)


def test_named_values_set_whole_tables_and_are_called_by_their_names(tmp_path: Path) -> None:
    text = """
[axes.color]
setting = "augment.color"
values = { weak = { strength = 0.2 }, gray = { strength = 0.5, gray_probability = 1.0 } }
"""
    found = expansion(tmp_path, text)
    assert [trial.label for trial in found.trials] == ["color=weak seed=0", "color=gray seed=0"]
    colors = [trial.config.augment.color for trial in found.trials]  # type: ignore[attr-defined]
    assert [(color.strength, color.gray_probability) for color in colors] == [(0.2, 0.2), (0.5, 1.0)]


def test_an_item_of_a_list_is_set_by_its_number_and_the_others_stay(tmp_path: Path) -> None:
    text = """
base.augment.transforms = ["crop", "color"]
axes.second = { setting = "augment.transforms.1", values = ["blur", "noise"] }
axes.third = { setting = "augment.transforms.2", values = ["sobel"] }
"""
    transforms = [trial.config.augment.transforms for trial in expansion(tmp_path, text).trials]  # type: ignore[attr-defined]
    assert transforms == [("crop", "blur", "sobel"), ("crop", "noise", "sobel")]


def test_an_axis_whose_condition_does_not_hold_leaves_its_setting_at_the_base(tmp_path: Path) -> None:
    text = """
base.head.output_dimension = 48
axes.head = { setting = "head.name", values = ["none", "linear"] }
axes.dimension = { setting = "head.output_dimension", values = [16, 32], when = "head != 'none'" }
"""
    found = [(trial.cell.axes, trial.config.head.output_dimension) for trial in expansion(tmp_path, text).trials]  # type: ignore[attr-defined]
    assert found == [
        ({"head": "none"}, 48),
        ({"head": "linear", "dimension": 16}, 16),
        ({"head": "linear", "dimension": 32}, 32),
    ]


def test_true_is_not_1_in_a_condition_or_a_table_of_what_to_exclude(tmp_path: Path) -> None:
    text = 'axes.normalize = { setting = "loss.normalize", values = [true, false] }\naxes.epochs = [1, 2]\n'
    assert len(labels(tmp_path, "exclude = [{ normalize = true, epochs = 1 }]\n" + text)) == 3
    assert len(labels(tmp_path, "exclude = ['normalize == true']\n" + text)) == 2


def test_a_condition_may_ask_for_a_value_that_an_axis_has_at_another_profile(tmp_path: Path) -> None:
    text = "exclude = ['epochs == 7']\naxes.epochs = [1, 7]\nprofile.embedded.axes.epochs = [5, 6]\n"
    assert labels(tmp_path, text) == ["epochs=5 seed=0", "epochs=6 seed=0"]
