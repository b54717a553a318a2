import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from ablate.errors import UserError
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.simclr.data.listing import Listing
from ablate.simclr.hooks import prepare
from ablate.study.expansion.expand import Expansion, expand
from ablate.study.expansion.trial import Keys, keys_of
from ablate.study.load import load_profile, load_study
from ablate.study.schema.study import Study
from ablate.trainer.find import DEFAULT_TRAINER
from ablate.trainer.hooks import Trainer

KEYS = """
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study
study = load_study("augment_pairs")
for trial in expand(study, load_profile("embedded", study.source.path)).trials:
    print(trial.key, trial.label)
"""


def expansion(name: str = "augment_pairs", profile: str = "embedded", **options: Any) -> Expansion:
    study = load_study(name)
    return expand(study, load_profile(profile, study.source.path), **options)


def looking(look: Callable[[Path], Listing]) -> Trainer:
    """SimCLR's trainer with data folders that are not there."""
    return Trainer(DEFAULT_TRAINER, Config, RECIPE_VERSION, prepare=lambda config: prepare(config, look))


def test_the_grid_of_fig_5_is_49_cells_and_an_untrained_encoder_in_the_order_of_the_file() -> None:
    trials = expansion().trials
    assert len(trials) == 50
    assert [trial.label for trial in trials[:2]] == ["first=crop second=crop seed=0", "first=crop second=cutout seed=0"]
    assert trials[-1].label == "untrained seed=0"
    assert trials[-1].config.epochs == 0


def test_no_two_trials_of_a_study_have_the_same_key() -> None:
    keys = [trial.key for trial in expansion(seeds=range(3)).trials]
    assert len(set(keys)) == len(keys) == 150


def test_a_cell_of_the_diagonal_applies_its_transformation_once() -> None:
    assert expansion().trials[0].config.augment.transforms == ("crop",)


@pytest.mark.parametrize("hash_seed", ["0", "1", "12345"])
def test_keys_are_the_same_in_every_process_and_under_every_hash_seed(hash_seed: str) -> None:
    environment = {"PYTHONHASHSEED": hash_seed, "PATH": ""}
    run = subprocess.run([sys.executable, "-c", KEYS], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [f"{trial.key} {trial.label}" for trial in expansion().trials]


def test_expanding_a_study_does_not_import_torch() -> None:
    code = KEYS + "\nimport sys\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_a_setting_from_the_command_line_wins_and_changes_the_key() -> None:
    changed = expansion(overrides={"loss.temperature": 0.7})
    assert changed.trials[0].config.loss.temperature == 0.7
    assert changed.trials[0].key != expansion().trials[0].key
    assert changed.design != expansion().design


def test_seeds_and_a_choice_of_cells_do_not_change_the_design() -> None:
    assert expansion(seeds=range(5), only={"first": ["crop"]}).design == expansion().design


def test_only_keeps_the_cells_it_names_and_no_case() -> None:
    labels = [trial.label for trial in expansion(only={"first": ["crop", "color"], "second": ["blur"]}).trials]
    assert labels == ["first=crop second=blur seed=0", "first=color second=blur seed=0"]


def test_only_can_name_a_case() -> None:
    assert [trial.cell.case for trial in expansion(only={"case": ["untrained"]}).trials] == ["untrained"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"overrides": {"loss.temprature": 1}}, "unknown key 'temprature' in loss; did you mean 'temperature'?"),
        ({"overrides": {"loss.temperature": -1}}, "loss.temperature = -1 must be greater than 0"),
        ({"overrides": {"encoder.name": "resnet19"}}, "encoder.name = 'resnet19' is unknown; did you mean 'resnet18'?"),
        ({"overrides": {"augment.transforms": ["crop"]}}, "the axis 'first' sets it"),
        ({"overrides": {"seed": 4}}, "has no effect: each trial has a seed"),
        ({"overrides": {"warmup_epochs": 99}}, "warmup_epochs = 99 is more than epochs = 2"),
        ({"overrides": {"batch_size": 7000}}, "batch_size = 7000 is more than data.train_images = 6000"),
        ({"only": {"frist": ["crop"]}}, "unknown axis; did you mean 'first'?"),
        ({"only": {"first": ["crob"]}}, "--only first=crob: unknown value; did you mean 'crop'?"),
        ({"profile": "small"}, "data.root is not set: which folder?"),
        (
            {"profile": "small", "overrides": {"data.root": "x"}},
            "batch_size = 32 is more than the 20 training images",
        ),
    ],
)
def test_a_mistake_is_told_in_words_before_anything_runs(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as caught:
        expansion(trainer=looking(lambda path: Listing(str(path), 20, 20, "folder", 2)), **options)
    assert told in str(caught.value)


def test_a_mistake_in_the_base_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = ""\nquestion = ""\n[base]\nloss.temprature = 0.5\n[axes]\nepochs = [1]\n')
    with pytest.raises(UserError) as caught:
        expansion(str(path))
    assert f"{path}:5:1" in str(caught.value)
    assert "5 | loss.temprature = 0.5\n  | ^^^^^^^^^^^^^^^" in str(caught.value)


def test_a_value_out_of_range_on_an_axis_is_told_with_the_line_of_the_axis(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = ""\nquestion = ""\n[axes]\nepochs = [3, -1]\n')
    with pytest.raises(UserError, match=r"epochs = -1 must be greater than or equal to 0\n  --> .*mine\.toml:5:1"):
        expansion(str(path))


def test_a_profile_can_replace_the_values_of_an_axis(project: Path) -> None:
    path = project / "studies" / "tiny.toml"
    path.write_text(path.read_text() + "[profile.embedded]\naxes.temperature = [0.3]\nbase.epochs = 1\nseeds = [4]\n")
    trials = expansion(str(path)).trials
    assert [trial.label for trial in trials[:2]] == [
        "first=crop temperature=0.3 seed=4",
        "first=color temperature=0.3 seed=4",
    ]
    assert trials[0].config.epochs == 1


def test_the_data_folder_is_no_part_of_a_key_but_what_lies_in_it_is() -> None:
    def key(root: str, content: str) -> str:
        listing = Listing(content, 50000, 10000, "folder", 10)
        trials = expansion(profile="small", overrides={"data.root": root}, trainer=looking(lambda path: listing)).trials
        return trials[0].key

    assert key("here", "a") == key("there", "a")
    assert key("here", "a") != key("here", "b")


def write_study(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text('name = "mine"\ntitle = ""\nquestion = ""\n' + text)
    return str(path)


def test_minus_zero_after_zero_has_a_key_of_its_own(tmp_path: Path) -> None:
    study = write_study(tmp_path, "[axes]\nwarmup_epochs = { setting = 'warmup_epochs', values = [0.0, 0.1] }\n")
    keys = Keys(DEFAULT_TRAINER, RECIPE_VERSION)
    for trial in expansion(study).trials:
        for value in (0.0, -0.0):
            config = trial.config.model_copy(update={"warmup_epochs": value})
            assert keys(config) == keys_of(config, DEFAULT_TRAINER, RECIPE_VERSION)


def test_keys_of_many_configs_are_those_of_each_alone_whatever_comes_before(tmp_path: Path) -> None:
    study = write_study(
        tmp_path, "[axes]\nepochs = [1, 2]\ntop = { setting = 'loss.temperature', values = [0.1, 0.2] }\n"
    )
    keys = Keys(DEFAULT_TRAINER, RECIPE_VERSION)
    trials = expansion(study, seeds=[3, 0, 3]).trials
    for trial in [*trials, *reversed(trials), *trials[::5]]:
        assert keys(trial.config) == keys_of(trial.config, DEFAULT_TRAINER, RECIPE_VERSION)


@pytest.mark.parametrize("left_out", ["seed", "evaluate", "alpha", None])
def test_keys_of_many_configs_are_those_of_each_alone_whatever_settings_they_have(left_out: str | None) -> None:
    fields: dict[str, Any] = {"alpha": (int, 1), "seed": (int, 0), "evaluate": (str, "all"), "width": (float, 1.0)}
    fields = {name: field for name, field in fields.items() if name != left_out}
    if left_out is None:
        fields["seed"] = (int, pydantic.Field(0, json_schema_extra={"identity": False}))
    model: Any = pydantic.create_model("Settings", **fields)
    keys = Keys("mine", 1)
    for seed, width in [(0, 1.0), (1, 1.0), (1, 2.0), (0, 2.0)]:
        config = model(seed=seed, width=width)
        assert keys(config) == keys_of(config, "mine", 1)


def test_a_setting_that_counts_if_set_can_be_added_without_a_change_of_earlier_keys() -> None:
    added: Any = pydantic.Field(False, json_schema_extra={"identity": "if set"})
    before: Any = pydantic.create_model("Settings", seed=(int, 0), width=(float, 1.0))
    after: Any = pydantic.create_model("Settings", seed=(int, 0), added=(bool, added), width=(float, 1.0))
    keys = Keys("mine", 1)
    assert keys(after(seed=1)) == Keys("mine", 1)(before(seed=1))
    assert keys(after(seed=1, added=True)) != keys(after(seed=1))
    for config in (after(seed=1), after(seed=1, added=True)):
        assert keys(config) == keys_of(config, "mine", 1)


def test_a_zip_of_what_was_a_grid_is_another_design(tmp_path: Path) -> None:
    axes = "epochs = [1, 2]\nsize = { setting = 'batch_size', values = [16, 32] }\n"
    grid = expansion(write_study(tmp_path, f"[axes]\n{axes}")).design
    assert expansion(write_study(tmp_path, f"[[zip]]\n{axes}")).design != grid


def test_only_an_evaluation_of_a_case_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    text = (
        "[axes]\nepochs = [1]\n[[cases]]\nname = 'untrained'\nlabel = 'u'\nset.epochs = 0\n"
        "[evaluate.linear]\nparts = ['cached_linear']\n[evaluate.knn]\nparts = ['knn']\n"
    )
    study = write_study(tmp_path, text)

    def labels(only: dict[str, list[str]]) -> list[str]:
        return [trial.label for trial in expansion(study, only=only).trials]

    assert labels({"case": ["untrained"], "evaluation": ["knn"]}) == ["untrained evaluation=knn seed=0"]
    assert labels({"evaluation": ["knn"]}) == ["epochs=1 evaluation=knn seed=0", "untrained evaluation=knn seed=0"]
    assert labels({"epochs": ["1"], "evaluation": ["knn"]}) == ["epochs=1 evaluation=knn seed=0"]


def test_an_item_is_picked_by_its_number_without_zeros_before_it(tmp_path: Path) -> None:
    text = "[base]\naugment.transforms = ['crop', 'color']\n[axes]\n"
    study = write_study(tmp_path, text + "x = { setting = 'augment.transforms.00', values = ['blur', 'noise'] }\n")
    with pytest.raises(UserError):
        expansion(study)


@pytest.mark.parametrize("metric", ["", " ", "er\nror", "x" * 101])
def test_a_metric_is_text_in_one_line(metric: str) -> None:
    assert Study(name="mine", title="", question="", metric='er"ror', axes={}).metric == 'er"ror'
    with pytest.raises(ValueError, match="metric"):
        Study(name="mine", title="", question="", metric=metric, axes={})
