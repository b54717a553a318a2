"""The pretrainings of several trials as one network, where that is faster than one after another.

A trial takes companions along: trials of the same pool that wait, and whose networks are of one architecture. Each
keeps its own order of the images, augmentation, loss, optimizer and checkpoints, and ends as it would alone, up to
rounding. When the trial of a companion begins, its pretraining is done, or goes on from its checkpoint.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import Config, why_not_fused
from ablate.simclr.model import Model
from ablate.trainer.contract import Companion, Context, in_short

if TYPE_CHECKING:
    from ablate.simclr.group import Group

_DEVICE = "cuda"
_FEWEST_STEPS = 48
"""With fewer steps left, a trial goes on alone: a measurement takes 12 steps alone and 12 together."""
_WORTHWHILE = 0.9
"""Trials stay together if their steps take at most this share of the time that they take one after another."""
_SHARE_OF_MEMORY = 0.9
_STATES = 4
"""Memory of a model's weights, gradients and optimizer, in weights."""


def fuse(group: "Group", offered: Sequence[tuple[Companion, Checkpoints]]) -> None:
    """Train a trial and as many of the offered ones as fit into memory as one network, if that is faster.

    Returns when the trial's training has ended, or is to go on alone. The log gets the measured times or the reason.
    """
    own, device = group.own, group.own.context.device
    if offered and (left := own.stream.steps - own.done) < _FEWEST_STEPS:
        own.context.say(f"{no_effect(own.config)}: {left} steps are left, fewer than {_FEWEST_STEPS}")
    elif offered:
        try:
            if why := _fuse(group, offered):
                own.context.say(f"{no_effect(own.config)}: {why}")
        finally:
            group.drop()
        if device.type == "cuda" and not own.ended:  # the memory of its companions is not its own
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        own.start_clock()
    release(own.config, own.context)


def _fuse(group: "Group", offered: Sequence[tuple[Companion, Checkpoints]]) -> str | None:
    """Measure the trial alone and with companions, then train all to the end; or return why it goes on alone."""
    own, device = group.own, group.own.context.device
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    alone = group.measure()
    if isinstance(alone, Exception):
        return f"its step fails: {in_short(alone)}"
    most = min(len(offered), most_that_fit(own.model, device, before))
    while most > 0 and not own.ended:
        for offer in offered:
            if len(group.companions) < most:
                group.take(*offer)
        if not group.companions:
            return "no other trial is left to be trained"
        members = len(group.runs)
        together = group.measure()
        if isinstance(together, torch.OutOfMemoryError):
            most = (members - 1) // 2
        elif isinstance(together, Exception):
            return f"a step of {members} trials fails: {in_short(together)}"
        elif together is None or alone is None or len(group.runs) < members:  # one has left or ended
            group.finish()
        else:
            times = f"a step of {members} trials takes {1000 * together:.3g} ms, of one {1000 * alone:.3g} ms"
            if not is_worthwhile(together, members, alone):
                return times
            own.context.say(f"trained with {members - 1} other trials as one network: {times}")
            group.train_to_the_end()
            return None
    return None if own.ended else "the GPU has no memory for a second trial"


def release(config: Config, context: Context) -> None:
    """Let other workers have the companions."""
    if config.fuse_trials > 1:  # contexts from before this setting need no such method
        context.release()


def is_worthwhile(together: float, members: int, alone: float) -> bool:
    """Whether trials are faster as one network than one after another, from the seconds of a step."""
    return together <= _WORTHWHILE * members * alone


def why_alone(config: Config, context: Context) -> str | None:
    """Why a trial cannot be trained with others as one network; None if it can."""
    if context.device.type != _DEVICE:
        return "only a GPU gains from it"
    return "several ranks train together" if context.world.size > 1 else why_not_fused(config)


def no_effect(config: Config) -> str:
    """The beginning of a sentence that says why a trial goes on alone."""
    return f"fuse_trials = {config.fuse_trials} has no effect"


def most_that_fit(model: Model, device: torch.device, before: int) -> int:
    """How many companions a GPU has memory for. before: what was allocated before the steps of the training alone."""
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    each = torch.cuda.max_memory_allocated(device) - before + _STATES * weights
    allocated = torch.cuda.memory_allocated(device)
    free, total = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - allocated
    share = torch.cuda.get_per_process_memory_fraction(device) * total - allocated
    return int(_SHARE_OF_MEMORY * min(free, share) / each) - 1  # the trial itself keeps its memory
