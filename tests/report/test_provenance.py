"""The settings on a page, by who set them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ablate.records.files import Results
from ablate.report.provenance import facts, repeats, settings
from ablate.report.reading import read_study
from ablate.run.plan import make_plan, record_plan
from tests.records.by_hand import write_trial

BELOW = """
title = "Below"
question = "Why?"
[base]
epochs = 2
optimizer.weight_decay = 0.001
[profile.embedded.base]
warmup_epochs = 1
[axes]
temperature = { setting = "loss.temperature", values = [0.1, 0.5] }
"""
ABOVE = """
name = "above"
title = "Above"
question = "Why?"
extends = "below"
[base]
head.name = "linear"
"""


def test_what_a_study_and_those_that_it_extends_set_is_told_from_profile_and_defaults(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text(f'name = "below"\n{BELOW}')
    (tmp_path / "above.toml").write_text(ABOVE)
    results = Results(tmp_path / "results")
    plan = make_plan(str(tmp_path / "above.toml"), "embedded", results)
    record_plan(plan, results, ["ablate", "run", "above"])
    for trial in plan.expansion.trials:
        write_trial(results, trial.key, config=trial.config.model_dump(mode="json"))
    measured = read_study(results, str(tmp_path / "above.toml"), None).measured
    found = settings(measured)
    assert list(found.varied) == ["loss.temperature"]
    assert found.given == {
        "epochs": "2",
        "optimizer.weight_decay": "0.001",
        "warmup_epochs": "1.0",
        "head.name": "linear",
    }
    assert "data.name" in found.others


def test_overrides_are_settings_of_the_study_and_repeated_by_its_command(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text(f'name = "below"\n{BELOW}')
    results = Results(tmp_path / "results")
    plan = make_plan(str(tmp_path / "below.toml"), "embedded", results, overrides={"batch_size": 32})
    record_plan(plan, results, ["ablate", "run", "below"])
    for trial in plan.expansion.trials:
        write_trial(results, trial.key, config=trial.config.model_dump(mode="json"))
    measured = read_study(results, "below", "embedded+batch_size=32").measured
    assert settings(measured).given["batch_size"] == "32"
    assert repeats(measured).endswith("below.toml --profile embedded --set batch_size=32 --seeds 1")


def test_the_commits_of_ablate_and_of_the_trainer_stand_side_by_side() -> None:
    project = {"name": "mine", "commit": "b" * 40, "modified": True}
    reading: Any = SimpleNamespace(
        environments=[
            {"commit": "a" * 40, "modified": False, "project": project},
            {"commit": "a" * 40, "project": None},
        ],
        precisions=(),
    )
    assert facts(reading) == {
        "commit": "a" * 40,
        "commit of the trainer": f"{'b' * 40} (with uncommitted changes)",
    }
