"""The study files that ship: right at every profile, and whole at the paper's own."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from ablate.simclr.config import Config
from ablate.study.checked import Checked, check_files
from ablate.study.expand import expand
from ablate.study.load import load_profile, load_study
from ablate.study.suite import load_suite
from ablate.study.trainers import find_trainer, without_look
from ablate.study.trial import Trial

FOLDER = Path(__file__).parents[2] / "studies"
STUDIES = sorted(path.stem for path in FOLDER.glob("*.toml"))
PROFILES = sorted(path.stem for path in (FOLDER / "profiles").glob("*.toml"))
CELLS = {  # at the paper's own scale: cells of its tables and figures, and cases
    "augment_pairs": 7 * 7 + 1,
    "batch_epochs": 6 * 10,
    "broader_augmentation": 2 * 3,
    "cifar10": 5 * 3 * 3 * 10 + 1,
    "color_strength": 2 * 6 + 1,
    "depth_width": (5 * 3 - 2) + 3 + (3 + 2 * 9 - 2),  # Fig. 7 at 100 and at 1000 epochs, then with labels and B.3
    "epochs": 8 * 6,
    "flip_and_blur": 2 * 2,
    "head_spectrum": 2,
    "linear_evaluation": 3,
    "loss": 1 + 2 * 5 * (4 + 4),  # NT-Xent, and two losses with and without semi-hard negatives over their grids
    "lr_scaling": 2 * 6 * 4,
    "projection_head": 2 * 7 + 1,
    "representation_layer": 3,
    "semi_supervised": 3 * 3 * 3,
    "temperature": 4 + 2,
    "transfer": 2 * 12 * (2 * 2 + 1),  # two widths, two networks under two protocols, and random weights
    "transformation_prediction": 4,
}
MEANT = {  # warnings that were looked at
    "color_strength": ["case 'one_view' differs from the base in 2 settings"],  # it is Fig. 5's, whole
}
EMBEDDED_AT_MOST = 250
"""Trials of all studies at the profile embedded, of eight seconds each on two cores: within the hour."""


@cache
def checked() -> dict[str, Checked]:
    """What `ablate check` finds, of all studies at all profiles."""
    return {found.name: found for found in check_files(STUDIES, PROFILES)}


@cache
def trials(study: str, profile: str) -> tuple[Trial, ...]:
    """The trials of one seed, without a look at data."""
    loaded = load_study(study)
    trainer = without_look(find_trainer(loaded.study.trainer))
    return expand(loaded, load_profile(profile, loaded.source.path), seeds=[0], trainer=trainer).trials


def config(trial: Trial) -> Config:
    assert isinstance(trial.config, Config)
    return trial.config


@pytest.mark.parametrize("study", STUDIES)
def test_nothing_is_wrong_with_a_study_at_any_profile(study: str) -> None:
    assert checked()[study].problems == ()
    assert set(checked()[study].trials) == set(PROFILES)


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_has_no_warning_but_those_that_are_meant(study: str) -> None:
    told = [warning.message for warning in checked()[study].warnings]
    assert [each for each in told if not each.startswith(tuple(MEANT.get(study, ())))] == []


@pytest.mark.parametrize("study", STUDIES)
def test_at_the_papers_scale_a_study_has_every_cell_of_the_original(study: str) -> None:
    assert len(trials(study, load_study(study).study.paper_profile)) == CELLS[study]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("study", STUDIES)
def test_every_trial_has_settings_that_fit_at_every_profile(study: str, profile: str) -> None:
    for trial in trials(study, profile):
        assert Config.model_validate(config(trial).model_dump()) == config(trial)


def test_the_suite_has_every_study_once() -> None:
    suite = load_suite(FOLDER / "suites" / "paper.toml")
    assert suite.problems == ()
    assert sorted(suite.studies) == STUDIES


def test_the_suite_fits_into_an_hour_at_the_profile_embedded() -> None:
    keys = {trial.key for study in STUDIES for trial in trials(study, "embedded")}
    assert len(keys) <= EMBEDDED_AT_MOST


def test_studies_share_what_they_train_alike() -> None:
    found = Counter(key for study in STUDIES for key in {trial.key for trial in trials(study, "embedded")})
    default = next(trial for trial in trials("projection_head", "embedded") if trial.axes.get("output_dimension") == 64)
    assert found[default.key] >= 6
    for study in ("head_spectrum", "representation_layer", "semi_supervised", "transfer"):
        pretrainings = {trial.pretrain_key for trial in trials(study, "embedded")}
        elsewhere = {each.pretrain_key for other in STUDIES if other != study for each in trials(other, "embedded")}
        assert pretrainings & elsewhere, study


def test_the_linear_half_of_table_b1_is_fig_9() -> None:
    linear = {trial.key for trial in trials("lr_scaling", "imagenet") if trial.axes["scaling"] == "linear"}
    assert len(linear) == 24
    assert linear < {trial.key for trial in trials("batch_epochs", "imagenet")}


def test_both_rules_of_table_b1_meet_at_one_rate() -> None:
    for profile, batch in (("imagenet", 4096), ("embedded", 128), ("small", 128), ("cifar10", 4096)):
        at_batch = [config(trial) for trial in trials("lr_scaling", profile) if trial.axes["batch_size"] == batch]
        factor = {"linear": batch / 256, "sqrt": batch**0.5}
        rates = {each.optimizer.learning_rate * factor[each.optimizer.scaling] for each in at_batch}
        assert max(rates) == pytest.approx(min(rates), rel=1e-4)


def test_no_cell_at_32_pixels_blurs_unless_blur_is_what_it_is_about() -> None:
    about = {"augment_pairs", "color_strength", "depth_width", "flip_and_blur"}
    for study in set(STUDIES) - about:
        for profile in ("embedded", "small", "cifar10"):
            blurred = [trial.label for trial in trials(study, profile) if "blur" in config(trial).augment.transforms]
            assert blurred == [], study


def test_at_the_papers_scale_simclr_has_the_default_augmentation_unless_it_is_what_varies() -> None:
    varied = {"augment_pairs", "broader_augmentation", "color_strength", "flip_and_blur", "transformation_prediction"}
    for study in set(STUDIES) - varied - {"cifar10", "semi_supervised"}:
        found = {
            config(each).augment.transforms
            for each in trials(study, "imagenet")
            if each.axes.get("method") != "supervised"
        }
        assert found == {("crop", "color", "blur")}, study
