"""What follows an attempt that ended without a result: again, elsewhere, with more memory, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ablate.run.slurm.shares import mebibytes
from ablate.study.schema import Resources

Action = Literal["same", "elsewhere", "more memory", "alone"]
"""`elsewhere` leaves out the nodes of the failed attempt; `alone` trains nothing beside it on its GPU."""


@dataclass(frozen=True)
class Rule:
    """What is done after one cause, and how often for one trial."""

    action: Action
    most: int


RULES: dict[str, Rule] = {
    "timeout": Rule("same", 20),
    "unsaved": Rule("same", 1),
    "preempted": Rule("same", 50),
    "stopped": Rule("same", 10),
    "requeued": Rule("same", 10),
    "lost": Rule("elsewhere", 3),
    "node_failure": Rule("elsewhere", 3),
    "not_begun": Rule("elsewhere", 2),
    "rank_lost": Rule("elsewhere", 2),
    "data": Rule("elsewhere", 1),
    "killed": Rule("more memory", 2),
    "out_of_memory": Rule("more memory", 3),
}
"""All others (diverged, exception, disk_full, config, trainer, record, cancelled) would come again: a person looks."""
OF_THE_PLACE = frozenset({"lost", "node_failure", "preempted", "timeout", "stopped", "requeued"})
"""Causes that say nothing of the trial: what waits for a canary is released after them."""
_WITHOUT_WORD = 8 * 1024
"""MiB that a trial has had of which nobody named its memory."""


def decide(cause: str, message: str, counts: Mapping[str, int], resources: Resources, at_once: int) -> Action | None:
    """What to do about a trial; None to leave it. counts: cause -> how often it ended this trial, now included."""
    rule = RULES.get(cause)
    if rule is None or counts.get(cause, 0) > rule.most:
        return None
    if cause == "out_of_memory" and "cuda" in message.lower():  # a GPU has what it has
        return "alone" if at_once > 1 else None
    return rule.action


def with_more_memory(resources: Resources, cap: str | None) -> Resources | None:
    """Twice the memory, up to the cluster's cap; None where that is no more than before."""
    before = mebibytes(resources.memory) if resources.memory else _WITHOUT_WORD
    after = min(2 * before, mebibytes(cap)) if cap else 2 * before
    return resources.model_copy(update={"memory": f"{after}MB"}) if after > before else None
