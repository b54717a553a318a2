"""Which trials are retried, with what, and when they are given up."""

from typing import Any

import pytest

from ablate.run.cluster import Cluster
from ablate.run.slurm.ledger import Submission
from ablate.run.slurm.packing import Array, Share
from ablate.run.slurm.retry import RULES, Need, Unfinished, decide, plan_retries, with_more_memory
from ablate.study.schema.resources import Resources


def an_array(name: str, **kind: bool) -> Array:
    return Array(name=name, resources=Resources(), shares=(Share(keys=(name,)),), **kind)


def a_submission(*arrays: Array) -> Submission:
    about: dict[str, Any] = {"id": "one", "study": "toy", "profile": "embedded", "by": "me", "code": "code"}
    return Submission(cluster=Cluster(), arrays=arrays, created=0.0, **about)


@pytest.mark.parametrize(
    "cause", ["diverged", "metric", "exception", "disk_full", "config", "trainer", "record", "cancelled"]
)
def test_a_failure_that_would_recur_is_not_retried(cause: str) -> None:
    assert decide(cause, "", {cause: 1}, 1) is None


@pytest.mark.parametrize(
    ("cause", "action"),
    [
        ("timeout", "same"),
        ("unsaved", "same"),
        ("preempted", "same"),
        ("node_failure", "elsewhere"),
        ("lost", "elsewhere"),
        ("data", "elsewhere"),
        ("out_of_memory", "more memory"),
        ("killed", "more memory"),
    ],
)
def test_each_cause_has_its_rule(cause: str, action: str) -> None:
    assert decide(cause, "", {cause: 1}, 1) == action


def test_every_rule_is_bounded() -> None:
    for cause, rule in RULES.items():
        assert decide(cause, "", {cause: rule.most}, 1) is not None
        assert decide(cause, "", {cause: rule.most + 1}, 1) is None


def test_a_trial_that_fills_its_gpu_is_not_given_more_memory_of_the_node() -> None:
    message = "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB"
    assert decide("out_of_memory", message, {"out_of_memory": 1}, 1) is None
    assert decide("out_of_memory", message, {"out_of_memory": 1}, 4) == "alone"


def test_memory_doubles_up_to_the_cap() -> None:
    first = with_more_memory(Resources(memory="64GB"), "100GB")
    assert first is not None
    assert first.memory == f"{100 * 1024}MB"
    assert with_more_memory(first, "100GB") is None
    assert with_more_memory(Resources(memory="1GB"), None) == Resources(memory="2048MB")


def unfinished(key: str, array: Array, cause: str, **more: Any) -> Unfinished:
    return Unfinished(key, array, array.shares[0], cause, "", more.pop("nodes", "node1"), **more)


def test_trials_of_held_arrays_share_the_cause_of_the_failed_canary_unless_the_user_cancelled_them() -> None:
    first, held = an_array("a", canary=True), an_array("b", held=True)
    trials = [
        unfinished("a", first, "exception"),
        unfinished("b", held, "cancelled"),
        unfinished("c", held, "cancelled", cancelled=True),
    ]
    retries = plan_retries(a_submission(first, held), trials)
    assert retries.groups == {}
    assert retries.given_up == {"a": "exception", "b": "exception", "c": "cancelled"}


def test_trials_that_need_the_same_are_retried_together_away_from_the_nodes_that_failed() -> None:
    array = an_array("a")
    submission = a_submission(array)
    retries = plan_retries(submission, [unfinished(key, array, "lost") for key in "ab"])
    assert retries.groups == {Need(array.resources, ("node1",)): ["a", "b"]}
    assert retries.causes == {"a": {"lost": 1}, "b": {"lost": 1}}
    down = plan_retries(submission, [unfinished("a", array, "node_failure")])
    assert list(down.groups) == [Need(array.resources)]


def test_causes_of_earlier_waves_count_towards_the_limit() -> None:
    array = an_array("a")
    submission = a_submission(array).model_copy(update={"causes": {"a": {"data": 1}}})
    retries = plan_retries(submission, [unfinished("a", array, "data")])
    assert retries.given_up == {"a": "data"}
    assert retries.causes == {"a": {"data": 2}}
