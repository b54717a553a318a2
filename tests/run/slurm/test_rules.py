import pytest

from ablate.run.slurm.rules import RULES, decide, with_more_memory
from ablate.study.schema import Resources

NONE = Resources()


@pytest.mark.parametrize("cause", ["diverged", "exception", "disk_full", "config", "trainer", "record", "cancelled"])
def test_what_would_fail_alike_is_not_tried_again(cause: str) -> None:
    assert decide(cause, "", {cause: 1}, NONE, 1) is None


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
    assert decide(cause, "", {cause: 1}, NONE, 1) == action


def test_every_rule_has_an_end() -> None:
    for cause, rule in RULES.items():
        assert decide(cause, "", {cause: rule.most}, NONE, 1) is not None
        assert decide(cause, "", {cause: rule.most + 1}, NONE, 1) is None


def test_a_gpu_that_is_full_is_not_answered_with_more_memory_of_the_machine() -> None:
    message = "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB"
    assert decide("out_of_memory", message, {"out_of_memory": 1}, NONE, 1) is None
    assert decide("out_of_memory", message, {"out_of_memory": 1}, NONE, 4) == "alone"


def test_memory_doubles_up_to_the_cap() -> None:
    first = with_more_memory(Resources(memory="64GB"), "100GB")
    assert first is not None
    assert first.memory == f"{100 * 1024}MB"
    assert with_more_memory(first, "100GB") is None
    assert with_more_memory(Resources(memory="1GB"), None) == Resources(memory="2048MB")
