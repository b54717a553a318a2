"""Trial keys: what was trained before this commit is still the same trial."""

import json
from pathlib import Path

import pytest

from ablate.study.expansion.expand import expand
from ablate.study.load import find_study, known_profiles, known_studies, load_profile, load_study
from ablate.trainer.find import find_trainer, without_files

KNOWN = json.loads(Path(__file__).with_name("keys.json").read_text(encoding="utf-8"))
"""`study profile` -> the first 16 digits of each trial's key and of its pretraining's, in the order of the study."""


@pytest.mark.parametrize("name", known_studies())
def test_every_trial_of_a_study_keeps_its_key_at_every_profile(name: str) -> None:
    loaded = load_study(name)
    trainer = without_files(find_trainer(loaded.study.trainer))
    for profile in known_profiles(find_study(name)):
        expansion = expand(loaded, load_profile(profile, find_study(name)), trainer=trainer)
        keys = [f"{trial.key[:16]} {trial.pretrain_key[:16]}" for trial in expansion.trials]
        assert keys == KNOWN[f"{loaded.study.name} {profile}"]


def test_no_study_or_profile_disappeared() -> None:
    names = {load_study(name).study.name: name for name in known_studies()}
    assert set(KNOWN) == {f"{name} {profile}" for name in names for profile in known_profiles(find_study(names[name]))}
