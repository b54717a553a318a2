"""The stages of a study with [tune]: which trials choose, what is chosen, and with what the cells are compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.cells.cell import Cell, Choice
from ablate.study.check import check_files
from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Expansion
from ablate.study.expansion.tune import beyond, choose, tuning_stage
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import LoadedStudy
from ablate.study.schema.values import Tune

STUDY = """\
name = "losses"
title = "Losses"
question = "Which loss?"
seeds = 2

[axes]
objective = { setting = "loss.name", values = ["nt_xent", "margin"] }

[[cases]]
name = "shorter"
label = "fewer epochs"
set.epochs = 1

[tune]
settings = { "optimizer.learning_rate" = [0.1, 0.3, 1.0] }
seeds = 2

[profile.small.tune]
"optimizer.learning_rate" = [0.5, 2.0]
"""
UNTUNED = STUDY[: STUDY.index("[tune]")]


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedStudy:
    (tmp_path / "losses.toml").write_text(STUDY)
    found = load_study(str(tmp_path / "losses.toml"))
    assert [str(problem) for problem in found.problems] == []
    return found


def expanded(loaded: LoadedStudy, profile: str = "embedded") -> Expansion:
    return expand(loaded, load_profile(profile, loaded.source.path))


def rates(expansion: Expansion) -> dict[str, float]:
    """Label of each trial -> its learning rate."""
    return {trial.label: trial.config.optimizer.learning_rate for trial in expansion.trials}  # type: ignore[attr-defined]


def test_the_first_stage_is_each_cell_with_each_value_and_seeds_of_its_own(loaded: LoadedStudy) -> None:
    stage = tuning_stage(loaded)
    assert rates(expanded(stage)) == {
        f"{cell} learning_rate={rate} seed={seed}": rate
        for cell in ("objective=nt_xent", "objective=margin", "shorter")
        for rate in (0.1, 0.3, 1.0)
        for seed in (1000, 1001)
    }
    assert stage.study.name == "losses_tuning"
    assert not stage.study.claims


WHEN = """
[tune.when]
"loss.margin" = "objective == 'margin'"
"""


def test_a_setting_is_tuned_only_in_cells_for_which_its_condition_holds(tmp_path: Path) -> None:
    rates_of = '"optimizer.learning_rate" = [0.1, 0.3, 1.0]'
    (tmp_path / "losses.toml").write_text(
        STUDY.replace(rates_of, '"optimizer.learning_rate" = [0.1, 0.3], "loss.margin" = [0.8, 1.6]') + WHEN
    )
    both = load_study(str(tmp_path / "losses.toml"))
    assert [str(problem) for problem in both.problems] == []
    first = expanded(tuning_stage(both)).trials
    assert {trial.cell.label for trial in first} == {
        *(f"{cell} learning_rate={rate}" for cell in ("objective=nt_xent", "shorter") for rate in (0.1, 0.3)),
        *(f"objective=margin learning_rate={rate} margin={by}" for rate in (0.1, 0.3) for by in (0.8, 1.6)),
    }
    choice = Choice(Cell({"objective": "margin"}), {"learning_rate": 0.3, "margin": 1.6}, ())
    for loaded, of_margin in ((both, (0.1, 0.8)), (replace(both, choices=(choice,)), (0.3, 1.6))):
        found = {trial.cell.label: trial.config for trial in expanded(loaded).trials}
        chosen = {
            label: (config.optimizer.learning_rate, config.loss.margin)  # type: ignore[attr-defined]
            for label, config in found.items()
        }
        assert chosen == {"objective=nt_xent": (0.1, 0.4), "objective=margin": of_margin, "shorter": (0.1, 0.4)}
    assert expanded(both).design == expanded(replace(both, choices=(choice,))).design


def test_a_profile_may_have_values_of_its_own(loaded: LoadedStudy) -> None:
    at_small = loaded.study.model_copy(
        update={"base": {"data": {"name": "textures", "train_images": 400, "test_images": 100}}}
    )
    stage = tuning_stage(LoadedStudy(at_small, loaded.source))
    assert {trial.cell.axes["learning_rate"] for trial in expanded(stage, "small").trials} == {0.5, 2.0}


def test_only_the_trials_that_choose_hold_training_images_out(loaded: LoadedStudy) -> None:
    first = {trial.config.data.validation for trial in expanded(tuning_stage(loaded)).trials}  # type: ignore[attr-defined]
    second = {trial.config.data.validation for trial in expanded(loaded).trials}  # type: ignore[attr-defined]
    assert (first, second) == ({0.1}, {None})


def test_cells_are_compared_with_what_they_chose_and_else_with_the_first_value(loaded: LoadedStudy) -> None:
    choices = (Choice(Cell({"objective": "margin"}), {"learning_rate": 1.0}, ()),)
    second = rates(expanded(replace(loaded, choices=choices)))
    assert {label.split(" seed")[0]: rate for label, rate in second.items()} == {
        "objective=nt_xent": 0.1,
        "objective=margin": 1.0,
        "shorter": 0.1,
    }


def test_a_compared_trial_is_that_of_any_study_with_the_same_settings(loaded: LoadedStudy, tmp_path: Path) -> None:
    (tmp_path / "by_hand.toml").write_text(
        UNTUNED.replace('"losses"', '"by_hand"') + "[base]\noptimizer.learning_rate = 0.1\n"
    )
    by_hand = {trial.key for trial in expanded(load_study(str(tmp_path / "by_hand.toml"))).trials}
    assert {trial.key for trial in expanded(loaded).trials} == by_hand


def test_tables_of_another_rule_but_not_of_other_choices_are_of_another_design(loaded: LoadedStudy) -> None:
    choices = (Choice(Cell({"objective": "margin"}), {"learning_rate": 1.0}, ()),)
    assert expanded(replace(loaded, choices=choices)).design == expanded(loaded).design
    assert loaded.study.tune
    for changes in ({"lowest": True}, {"seeds": 3}, {"settings": {"optimizer.learning_rate": [0.1, 0.3, 2.0]}}):
        tune = Tune.model_validate(loaded.study.tune.model_dump() | changes)
        other = replace(loaded, study=loaded.study.model_copy(update={"tune": tune}))
        assert expanded(other).design != expanded(loaded).design


@pytest.mark.parametrize(
    ("old", "new", "overrides"),
    [
        ("[tune]", '[tune]\nset = { data.validation = "none" }', {}),
        ("set.epochs = 1", 'set.data.validation = "none"', {}),
        ('"optimizer.learning_rate" = [0.1, 0.3, 1.0]', '"data.validation" = [0.1, "none"]', {}),
        ("", "", {"data.validation": None}),
    ],
)
def test_trials_that_would_choose_by_test_images_are_refused_wherever_that_is_set(
    tmp_path: Path, old: str, new: str, overrides: dict[str, None]
) -> None:
    path = tmp_path / "losses.toml"
    path.write_text(STUDY.partition("\n[profile.small.tune]")[0].replace(old, new) if old else STUDY)
    stage = tuning_stage(load_study(str(path)))
    with pytest.raises(UserError, match="would choose by the test images"):
        expand(stage, load_profile("embedded", path), overrides)
    (checked,) = check_files([str(path)], ["embedded"])
    assert any("would choose by the test images" in str(problem) for problem in checked.problems) or overrides


@pytest.mark.parametrize("changes", ['metric = "transfer_top1"', 'base.evaluate.parts = ["spectrum", "transfer"]'])
def test_the_test_images_of_the_transfer_set_do_not_choose(tmp_path: Path, changes: str) -> None:
    path = tmp_path / "losses.toml"
    linear = '\nbase.head.name = "linear"' if "spectrum" in changes else ""
    path.write_text(f"{changes}{linear}\n{STUDY}")
    (checked,) = check_files([str(path)], ["embedded"])
    assert "the transfer set's test images" in "".join(map(str, checked.problems))


SCORES = [({"lr": 0.1}, 70.0), ({"lr": 0.3}, 74.0), ({"lr": 1.0}, 75.0), ({"lr": 3.0}, 60.0)]


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [({}, 1.0), ({"lowest": True}, 3.0), ({"choose": "median of top 3"}, 0.3)],
)
def test_a_cell_chooses_by_the_rule_of_the_study(keys: dict[str, object], chosen: float) -> None:
    tune = Tune.model_validate({"settings": {"lr": [0.1, 0.3, 1.0, 3.0]}, **keys})
    assert choose(Cell({}), SCORES, tune).values == {"lr": chosen}
    diverged = [({"lr": 0.01}, None), *SCORES, ({"lr": 10.0}, None)]
    assert choose(Cell({}), diverged, tune).values == {"lr": chosen}
    assert choose(Cell({}), [(values, None) for values, _ in SCORES], tune).values == {"lr": 0.1}


@pytest.mark.parametrize(
    ("values", "best", "further"),
    [
        ([0.1, 0.3, 1.0], 1.0, 3.33),
        ([0.1, 0.3, 1.0], 0.1, 0.0333),
        ([0.1, 0.3, 1.0], 0.3, None),
        ([0, 1, 2], 2, 3.0),
        ([0, 1, 2], 0, None),
        ([-1, 0, 1], -1, -2.0),
        ([0, -1], 0, 1.0),
        (["a", "b"], "a", None),
    ],
)
def test_the_best_of_several_numbers_on_their_edge_has_one_beyond(
    values: list[object], best: object, further: object
) -> None:
    assert beyond(values, best) == further
