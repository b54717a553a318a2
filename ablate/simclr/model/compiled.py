"""Encoder and head as code that torch compiles, for trainings that take much longer than the compiler."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ablate.simclr.model import Model, Network
from ablate.trainer.world import World


@contextmanager
def compiled(model: Model, world: World, say: Callable[[str], None]) -> Iterator[None]:
    """Within, the model computes h and z by compiled code, which is made at the first batch of each shape.

    Its modules, weights and state stay as they are. Where torch cannot compile them, or several ranks train, it says so
    once, and the model computes as without.
    """
    if world.size > 1:
        say("compile = true has no effect: several ranks train together, whose batch norm is not compiled")
        yield
        return
    model.network = _or_plain(model, say)
    try:
        yield
    finally:
        model.network = None
        torch.compiler.reset()  # a process compiles a function only a few times, and may train many trials


def _or_plain(model: Model, say: Callable[[str], None]) -> Network:
    """The compiled function; at the first failure of the compiler the model goes back to its plain one."""
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    def network(images: Tensor) -> tuple[Tensor, Tensor]:
        try:
            return fast(images)
        except TorchDynamoException as error:
            model.network = None
            reason = " ".join((str(error) or type(error).__name__).splitlines()[:2])
            say(f"compile = true has no effect: torch cannot compile the network: {reason}")
            return model.project(images)

    fast: Network = torch.compile(model.project, dynamic=False)
    return network
