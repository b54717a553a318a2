"""What a plan asks another trainer's module, and what becomes of wrong answers."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.run.plan import make_plan
from ablate.workflow.budget import check_budget
from tests.run.test_plan import finish

HOOKS = """
from typing import Any
from pydantic import BaseModel

class Part(BaseModel):
    size: int = 1

class Config(BaseModel):
    seed: int = 0
    slope: float = 1.0
    evaluate: Part = Part()

def train(config: Config, context: Any) -> dict[str, float]:
    return {"top1": config.slope}
"""
OF_HOOKS = """
name = "own"
title = "Of another trainer"
question = "Which slope?"
trainer = "MODULE:train"

[axes]
slope = [1.0, 2.0, 3.0]
"""


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """The results folder of the working folder, in which trainers can be imported."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    return Results(project / "results")


@pytest.fixture
def own(project: Path, here: Results) -> Callable[[str], None]:
    """Writes a study of another trainer, whose module has these hooks."""

    def write(hooks: str) -> None:
        module = f"hooks_{secrets.token_hex(4)}"
        (project / f"{module}.py").write_text(HOOKS + hooks)
        (project / "studies" / "own.toml").write_text(OF_HOOKS.replace("MODULE", module))

    return write


@pytest.mark.parametrize(
    ("hooks", "told"),
    [
        ("def work(config): return {}['slope']", "work() of trainer = 'M:train' raised KeyError: 'slope'"),
        ("def work(config): return 'much'", "work() of trainer = 'M:train' raised ValueError: could not convert"),
        ("def work(config): return -1.0", "work() of trainer = 'M:train' raised ValueError: it returned -1.0 instead"),
        ("def likeness(config): raise SystemExit(3)", "likeness() of trainer = 'M:train' raised SystemExit: 3"),
        (
            "def likeness(config): return [1]",
            "likeness() of trainer = 'M:train' raised TypeError: it returned [1]",
        ),
    ],
)
def test_a_trainer_that_cannot_say_how_much_work_a_trial_is_is_warned_of_once_and_planned_all_the_same(
    own: Callable[[str], None], here: Results, hooks: str, told: str
) -> None:
    own(hooks)
    plan = make_plan("own", "embedded", here)
    assert (plan.counts, plan.cost.unknown) == ({"new": 3}, 3)
    trainer = plan.expansion.trainer.name
    warnings = [warning for warning in plan.warnings if told.replace("M:train", trainer) in warning.message]
    assert len(warnings) == 1
    finish(plan, here)
    assert make_plan("own", "embedded", here, seeds=range(2)).cost.unknown == 3


def test_a_hook_that_fails_for_some_trials_leaves_the_cost_of_the_others_known(
    own: Callable[[str], None], here: Results
) -> None:
    own("def work(config): return 6 / (3 - config.slope)")
    finish(make_plan("own", "embedded", here, only={"slope": ["1.0"]}), here)
    plan = make_plan("own", "embedded", here)
    assert plan.cost.unknown == 1
    assert plan.cost.hours == pytest.approx((60 + 6) / 3600)
    with pytest.raises(UserError, match="the cost of 1 of 2 trials is unknown"):
        check_budget(plan, "10h")


def test_of_another_trainer_any_file_that_its_pretraining_left_will_do(
    own: Callable[[str], None], here: Results, project: Path
) -> None:
    own("")
    study = project / "studies" / "own.toml"
    study.write_text(study.read_text() + "size = { setting = 'evaluate.size', values = [1, 2] }\n")
    plan = make_plan("own", "embedded", here, only={"size": ["1"]})
    finish(plan, here)
    folders = [here.pretrained(trial.pretrain_key) for trial in plan.expansion.trials]
    for folder in folders:
        (folder / "final-0123456789abcdef.pt").rename(folder / "weights.bin")
    assert make_plan("own", "embedded", here).cost.hours == pytest.approx(3 * 6 / 3600)
    (folders[0] / "weights.bin").rename(folders[0] / ".lock")
    assert make_plan("own", "embedded", here).cost.hours == pytest.approx((3 * 6 + 31) / 3600)
