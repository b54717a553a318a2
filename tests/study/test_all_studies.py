"""The study files that ship: right at every profile, and whole at the paper's own."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from ablate.simclr.config import Config
from ablate.study.check import Checked, check_files
from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Trial
from ablate.study.load import find_study, load_profile, load_study
from ablate.study.suite import load_suite
from ablate.trainer.find import find_trainer, without_files

FOLDER = Path(__file__).parents[2] / "studies"
STUDIES = sorted(path.stem for path in FOLDER.glob("*.toml"))
PROFILES = sorted(path.stem for path in (FOLDER / "profiles").glob("*.toml"))
CELLS = {  # at the paper's own scale: cells of its tables and figures, and cases
    "augment_pairs": 7 * 7 + 1,
    "batch_epochs": 6 * 10,
    "broader_augmentation": 2 * 3,
    "cifar10": 5 * 3 * 3 * 10 + 1,
    "color_histograms": 2,
    "color_strength": 2 * 6 + 1,
    "depth_width": (5 * 3 - 2) + 3 + (3 + 2 * 9 - 2),  # Fig. 7 at 100 and at 1000 epochs, then with labels and B.3
    "epochs": 8 * 6,
    "finetuning": 7 * 2,
    "fixed_batches": 2 * 2,
    "flip_and_blur": 2 * 2,
    "head_spectrum": 2,
    "linear_evaluation": 3,
    "linear_optimizer": 2,
    "loss": 1 + 2 * 5 * (4 + 4),  # NT-Xent, and two losses with and without semi-hard negatives over their grids
    "loss_tuned": 1 + 2 * 2,  # the rows of Table 4: each chooses its settings
    "lr_scaling": 2 * 6 * 4,
    "parts": 1 + 9,  # not of the paper: the full method, and each part left out
    "projection_head": 2 * 7 + 1,
    "representation_layer": 3,
    "semi_supervised": 3 * 3 * 3,
    "temperature": 4 + 2,
    "transfer": 2 * 12 * (2 * 2 + 1),  # two widths, two networks under two protocols, and random weights
    "transformation_prediction": 4,
}
MEANT = {  # warnings that were looked at
    "color_strength": ["case 'one_view' changes 2 settings at once"],  # it is Fig. 5's, whole
    "cifar10": ["case 'supervised' changes 5 settings at once"],  # the authors' command for it, whole
}
OWN = {"loss_tuned", "parts"}
"""Studies of no table or figure, or of one that another study has too; they are in no suite."""
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
    trainer = without_files(find_trainer(loaded.study.trainer))
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
    assert sorted(suite.studies) == [study for study in STUDIES if study not in OWN]


def test_the_suite_fits_into_an_hour_at_the_profile_embedded() -> None:
    keys = {trial.key for study in set(STUDIES) - OWN for trial in trials(study, "embedded")}
    assert len(keys) <= EMBEDDED_AT_MOST


def test_studies_share_what_they_train_alike() -> None:
    found = Counter(key for study in STUDIES for key in {trial.key for trial in trials(study, "embedded")})
    default = next(
        trial for trial in trials("projection_head", "embedded") if trial.cell.axes.get("output_dimension") == 64
    )
    assert found[default.key] >= 6
    for study in ("head_spectrum", "representation_layer", "semi_supervised", "transfer"):
        pretrainings = {trial.pretrain_key for trial in trials(study, "embedded")}
        elsewhere = {each.pretrain_key for other in STUDIES if other != study for each in trials(other, "embedded")}
        assert pretrainings & elsewhere, study


def test_the_linear_half_of_table_b1_is_fig_9() -> None:
    linear = {trial.key for trial in trials("lr_scaling", "imagenet") if trial.cell.axes["scaling"] == "linear"}
    assert len(linear) == 24
    assert linear < {trial.key for trial in trials("batch_epochs", "imagenet")}


def test_both_rules_of_table_b1_meet_at_one_rate() -> None:
    for profile, batch in (("imagenet", 4096), ("embedded", 128), ("small", 128), ("cifar10", 4096)):
        at_batch = [config(trial) for trial in trials("lr_scaling", profile) if trial.cell.axes["batch_size"] == batch]
        factor = {"linear": batch / 256, "sqrt": batch**0.5}
        rates = {each.optimizer.learning_rate * factor[each.optimizer.scaling] for each in at_batch}
        assert max(rates) == pytest.approx(min(rates), rel=1e-4)


def test_no_cell_at_32_pixels_blurs_unless_blur_is_what_it_is_about() -> None:
    about = {"augment_pairs", "color_strength", "depth_width", "flip_and_blur", "parts"}
    for study in set(STUDIES) - about:
        for profile in ("embedded", "small", "cifar10"):
            blurred = [trial.label for trial in trials(study, profile) if "blur" in config(trial).augment.transforms]
            assert blurred == [], study


def test_at_the_papers_scale_simclr_has_the_default_augmentation_unless_it_is_what_varies() -> None:
    varied = {"augment_pairs", "broader_augmentation", "color_histograms", "color_strength", "flip_and_blur"}
    varied |= {"transformation_prediction"}
    for study in set(STUDIES) - varied - OWN - {"cifar10", "semi_supervised"}:
        found = {
            config(each).augment.transforms
            for each in trials(study, "imagenet")
            if each.cell.axes.get("method") != "supervised"
        }
        assert found == {("crop", "color", "blur")}, study


def test_the_profile_photos_is_small_with_two_fifths_of_its_steps() -> None:
    photos, small = (load_profile(name, find_study("temperature")).profile.base for name in ("photos", "small"))
    differing = {name for name in small | photos if small.get(name) != photos.get(name)}
    assert differing == {"epochs", "warmup_epochs", "data"}
    assert {name for name in small["data"] if small["data"][name] != photos["data"][name]} == {
        "train_images", "test_images"
    }  # fmt: skip
    steps, of_small = (each["epochs"] * each["data"]["train_images"] for each in (photos, small))
    assert steps / of_small == 0.4
    assert [10 * each["warmup_epochs"] for each in (photos, small)] == [each["epochs"] for each in (photos, small)]
