"""Retries: what to do about a trial that ended without a result, by its cause, and how often. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ablate.run.causes import is_of_gpu
from ablate.run.slurm.ledger import Submission
from ablate.run.slurm.packing import Array, Share, mebibytes
from ablate.study.schema.resources import Resources

Action = Literal["same", "elsewhere", "more memory", "alone"]
"""`elsewhere` excludes the nodes of the failed attempt; `alone` trains nothing beside it on its GPU."""


@dataclass(frozen=True)
class Rule:
    """What to do after one cause, and at most how often for one trial."""

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
    "gpu_error": Rule("elsewhere", 1),
    "killed": Rule("more memory", 2),
    "out_of_memory": Rule("more memory", 3),
}
"""Every other cause (diverged, metric, exception, disk_full, config, trainer, record, cancelled) would recur."""
NOT_THE_TRIALS_FAULT = frozenset({"lost", "node_failure", "preempted", "timeout", "stopped", "requeued"})
"""Causes that say nothing about the trial: the arrays that wait for a canary are released after them."""
DEFAULT_MEMORY_MIB = 8 * 1024
"""Assumed memory of a trial whose study sets none, when it is retried with more."""


@dataclass(frozen=True)
class Unfinished:
    """A trial without a result whose job is over."""

    key: str
    array: Array
    share: Share
    cause: str
    message: str
    nodes: str
    cancelled: bool = False
    """Whether the user cancelled it."""


@dataclass(frozen=True)
class Need:
    """What a trial is retried with."""

    resources: Resources
    avoid: tuple[str, ...] = ()
    """Nodes to exclude."""
    alone: bool = False
    """Whether it must not share its GPU."""


@dataclass(frozen=True)
class Retries:
    """The trials of a wave to retry, and those to give up."""

    groups: dict[Need, list[str]]
    """What trials need -> their keys."""
    given_up: dict[str, str]
    """Trial key -> cause."""
    causes: dict[str, dict[str, int]]
    """Trial key -> cause -> how many attempts it has ended so far."""


def plan_retries(submission: Submission, unfinished: Iterable[Unfinished], largest: int | None = None) -> Retries:
    """Decide about each unfinished trial of a submission.

    largest: the memory in MiB of the largest node, if it is known. Trials that were never started because the canary
    failed share its cause.
    """
    trials = list(unfinished)
    canary = next((trial for trial in trials if trial.array.canary), None)
    retries = Retries({}, {}, {key: dict(counts) for key, counts in submission.causes.items()})
    for trial in trials:
        ended_for_the_canary = trial.array.held and trial.cause == "cancelled" and not trial.cancelled
        cause = canary.cause if canary and ended_for_the_canary else trial.cause
        counts = Counter(retries.causes.get(trial.key, {})) + Counter([cause])
        retries.causes[trial.key] = dict(counts)
        need = _need(submission, trial, cause, counts, largest)
        if need is None:
            retries.given_up[trial.key] = cause
        else:
            retries.groups.setdefault(need, []).append(trial.key)
    return retries


def wants_memory(trial: Unfinished) -> bool:
    """Whether the rule for the cause of a trial's end is to retry it with more memory."""
    rule = RULES.get(trial.cause)
    return rule is not None and rule.action == "more memory"


def _need(
    submission: Submission, trial: Unfinished, cause: str, counts: Mapping[str, int], largest: int | None
) -> Need | None:
    """What to retry a trial with; None to give it up."""
    resources, avoid = trial.array.resources, trial.array.avoid
    action = decide(cause, trial.message, counts, trial.share.at_once)
    if action is None:
        return None
    if action == "more memory":
        if submission.cluster.memory == "none":  # no job asks for memory, so none would get more
            return None
        more = with_more_memory(resources, submission.cluster.memory_cap, largest and largest // trial.share.at_once)
        return Need(more, avoid) if more else None
    if action == "elsewhere" and trial.nodes and cause != "node_failure":  # Slurm itself avoids a node that is down
        avoid = tuple(dict.fromkeys((*avoid, trial.nodes)))
    return Need(resources, avoid, action == "alone")


def decide(cause: str, message: str, counts: Mapping[str, int], at_once: int) -> Action | None:
    """What to do about a trial; None to give it up. counts: cause -> how many attempts it ended, including this one."""
    rule = RULES.get(cause)
    if rule is None or counts.get(cause, 0) > rule.most:
        return None
    if cause == "out_of_memory" and is_of_gpu(message):  # a GPU's memory cannot be extended
        return "alone" if at_once > 1 else None
    return rule.action


def with_more_memory(resources: Resources, cap: str | None, largest: int | None = None) -> Resources | None:
    """Twice the memory, up to the cluster's cap and the largest node's MiB; None if that is not more than before."""
    before = mebibytes(resources.memory) if resources.memory else DEFAULT_MEMORY_MIB
    after = min(filter(None, (2 * before, mebibytes(cap) if cap else None, largest)))
    return resources.model_copy(update={"memory": f"{after}MB"}) if after > before else None
