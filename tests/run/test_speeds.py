"""What a plan costs where nothing was measured and no data are at hand, from an assumed speed."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from ablate.commands.plan import print_plan
from ablate.errors import UserError
from ablate.records.files import Results
from ablate.run.cost import estimate
from ablate.run.plan import Plan, make_plan
from ablate.run.plan_text import as_json, gpu_hours
from ablate.run.speeds import Assumption, Sample, assumptions_text, parse_assumption, weighed
from ablate.trainer.find import find_trainer
from ablate.trainer.hooks import Sizes
from tests.run.test_plan import change, finish

IMAGENET = """
title = "ImageNet"
description = "The paper's scale."

[base]
data.name = "packed"
data.image_size = 224
evaluate.parts = ["linear"]

[resources]
nodes = 4
gpus_per_node = 8

[assumed]
train_images = 1_281_167
test_images = 50_000
"""
ONE = 100 * 1_281_167 * 2 + 90 * 1_281_167 / 3 + 50_000 / 3
"""Images of one cell: 100 epochs of two views, 90 epochs of linear evaluation forward only, the test images."""


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """The results folder of a project with a tiny study and a profile whose data are not there."""
    monkeypatch.chdir(project)
    (project / "studies" / "profiles" / "imagenet.toml").write_text(IMAGENET)
    return Results(project / "results")


def printed(plan: Plan) -> str:
    console = Console(file=io.StringIO(), width=1000)
    print_plan(plan, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_pretraining_that_a_measured_and_an_assumed_trial_share_is_paid_once(here: Results, project: Path) -> None:
    change(project, "[axes]\n", "[evaluate]\nline.parts = ['cached_linear']\nnear.parts = ['knn']\n\n[axes]\n")
    expansion = make_plan("tiny", "embedded", here, only={"first": ["crop"], "temperature": ["0.1"]}).expansion
    line, near = expansion.trials
    assert line.pretrain_key == near.pretrain_key
    like_line = Sample(weighed(expansion.trainer, line.config)[0], 1.0, 0.0, "cpu", 1.0)

    class Assumed(Assumption):
        def gpu_hours(self, trainer: object, config: object) -> tuple[float, float]:
            return (5.0, 2.0)

    cost = estimate([line, near], expansion.trainer, [like_line], set(), None, Assumed(1.0, None))
    assert (cost.assumed, cost.assumed_hours) == (1, 2.0)


def test_a_plan_without_data_tells_gpu_hours_from_the_images_that_are_encoded(here: Results) -> None:
    with pytest.raises(UserError, match=r"data\.root is not set"):
        make_plan("tiny", "imagenet", here)
    plan = make_plan("tiny", "imagenet", here, only={"first": ["crop"]}, assume="2600")
    assert (plan.cost.assumed, plan.cost.unknown, plan.cost.hours) == (2, 2, None)
    assert plan.cost.assumed_hours == pytest.approx(2 * ONE / 2600 / 3600)
    assert plan.cost.assumed_largest is not None
    assert plan.cost.assumed_largest[1] == pytest.approx(ONE / 2600 / 3600)


def test_a_plan_says_what_it_assumes_in_words_and_as_values(here: Results) -> None:
    plan = make_plan("tiny", "imagenet", here, only={"first": ["crop"]}, assume="2600")
    words = (
        "assuming that one GPU trains ResNet-50 at 224 pixels at 2,600 images per second, that time grows in "
        "proportion to multiply-adds, and that GPUs never wait for data. The data are not on this machine: "
        "1,281,167 training and 50,000 test images are assumed"
    )
    text = printed(plan)
    assert words in text
    assert "63 GPU-hours for 2 trials" in text
    assert as_json(plan)["assumed"]["words"] == words
    assert as_json(plan)["assumed"]["gpu_hours"] == pytest.approx(62.97, abs=0.01)
    assert as_json(make_plan("tiny", "embedded", here))["assumed"] is None


def test_a_plan_of_many_gpus_tells_how_to_learn_the_cost_without_a_measurement(here: Results) -> None:
    (here.root.parent / "studies/profiles/drawn.toml").write_text(
        (here.root.parent / "studies/profiles/embedded.toml").read_text() + "[resources]\ngpus_per_node = 1\n"
    )
    assert "--assume 2600 estimates GPU-hours" in printed(make_plan("tiny", "drawn", here))
    assert "--assume" not in printed(make_plan("tiny", "embedded", here))


def test_what_was_measured_wins_over_what_is_assumed(here: Results) -> None:
    finish(make_plan("tiny", "embedded", here, only={"first": ["crop"]}), here, seconds=36.0)
    plan = make_plan("tiny", "embedded", here, only={"first": ["color"]}, assume="2600")
    assert (plan.cost.samples, plan.cost.assumed, plan.cost.unknown) == (2, 0, 0)
    assert "assuming" not in printed(plan)


def test_trials_that_share_a_pretraining_are_assumed_to_pay_for_it_once(here: Results, project: Path) -> None:
    change(project, "[axes]\n", "[axes]\nshare = { setting = 'evaluate.linear.epochs', values = [90, 91] }\n")
    plan = make_plan("tiny", "imagenet", here, only={"first": ["crop"], "temperature": ["0.1"]}, assume="2600")
    evaluations = (90 + 91) * 1_281_167 / 3 + 2 * 50_000 / 3
    assert plan.cost.assumed_hours == pytest.approx((100 * 1_281_167 * 2 + evaluations) / 2600 / 3600)


def test_data_that_are_here_are_counted_and_found_by_their_fingerprint(here: Results, project: Path) -> None:
    for split, name in ((split, name) for split in ("train", "test") for name in ("a", "b")):
        folder = project / "images" / split / name
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / f"{number}.png").write_bytes(b"")
    data = {"data.name": "folder", "data.root": "images", "batch_size": 16}
    plan = make_plan("tiny", "imagenet", here, data, only={"first": ["crop"], "temperature": ["0.1"]}, assume="2600")
    assert plan.cost.assumed_hours == pytest.approx((100 * 40 * 2 + 90 * 40 / 3 + 40 / 3) / 2600 / 3600)
    assert "not on this machine" not in printed(plan)
    assert plan.expansion.trials[0].key == make_plan("tiny", "imagenet", here, data).expansion.trials[0].key


def test_a_profile_that_does_not_say_how_many_images_there_are_leaves_the_cost_unknown(here: Results) -> None:
    path = here.root.parent / "studies/profiles/imagenet.toml"
    path.write_text(IMAGENET[: IMAGENET.index("[assumed]")])
    plan = make_plan("tiny", "imagenet", here, assume="2600")
    assert (plan.cost.assumed, plan.cost.unknown) == (0, 5)
    assert "excluding 5 trials of unknown networks or data sets" in printed(plan)


@pytest.mark.parametrize("given", ["fast", "0", "-1", "nan", "inf", "v10"])
def test_a_speed_that_is_none_is_told(given: str) -> None:
    with pytest.raises(UserError, match=f"--assume {given}: expected images per second"):
        parse_assumption(given, None)


def test_a_gpu_is_known_by_its_name() -> None:
    assert parse_assumption("A100", Sizes(1, 1)).images_per_second == 2080
    words = assumptions_text([(parse_assumption("a100", None), find_trainer(), [])])
    assert "one GPU (A100) trains ResNet-50 at 224 pixels at 2,080 images per second" in words


def test_gpu_hours_are_told_to_three_digits() -> None:
    assert [gpu_hours(hours) for hours in (0.00123, 31.46, 118.06, 1546.7)] == [
        "0.00123 GPU-hours", "31.5 GPU-hours", "118 GPU-hours", "1,550 GPU-hours",
    ]  # fmt: skip
