"""A training step as a CUDA graph: recorded once, then launched by one call, without Python between its kernels.

A GPU that trains a small network mostly waits for Python, which launches a few hundred kernels in each step.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import chain

import torch
from torch import Tensor, nn

from ablate.simclr.config import Config
from ablate.simclr.model.encoder import Backbone
from ablate.trainer.contract import Context

Measures = dict[str, Tensor]
"""What a step measures: scalars on the device, means over this rank's images, shares in percent."""
Step = Callable[[Tensor, Tensor, int], Measures]
"""Views, labels and the step's number -> its measures; gradients are computed and weights updated."""
State = dict[str, list[Tensor]]
_DEVICE = "cuda"
_WARM_UP = 3
"""Steps before the recording, in which the optimizers make their state and cuDNN chooses its algorithms."""
_TOLERANCE = {"gradients": 1e-2, "weights": 1e-1, "statistics": 1e-2}
"""How far the graph's first step may be from a plain one, relative to what the step changes. Where a sum has no fixed
order, bfloat16 may round otherwise; AdamW magnifies that for weights whose gradient is nearly zero."""


@contextmanager
def as_graph(
    step: Step, model: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer], config: Config, context: Context
) -> Iterator[Step]:
    """Within, `step` as a graph. The optimizers' learning rates become tensors on the device.

    The graph is used only if its first step does what a plain one does. If it does not, or cannot be recorded, a note
    to the context says why, and all steps are plain ones.
    """
    if reason := _why_not(config, model, context):
        context.say(f"cuda_graph = true has no effect: {reason}")
        yield step
        return
    for group in chain.from_iterable(optimizer.param_groups for optimizer in optimizers.values()):
        group["lr"] = torch.zeros((), device=context.device)
        fused = {"fused": True, "foreach": False, "capturable": True}
        group.update({name: value for name, value in fused.items() if name in group})
    graph = _Graph(step, model, optimizers, context)
    try:
        yield graph
    finally:
        graph.close()


def _why_not(config: Config, model: nn.Module, context: Context) -> str | None:
    if context.device.type != _DEVICE:
        return "only a GPU has graphs"
    if context.world.size > 1:
        return "several ranks train together, which exchange gradients in each step"
    if isinstance(model.encoder, Backbone):
        return "the dropout of a torchvision network is seeded anew in each step"
    return None


class _Graph:
    """Plain steps at first, then the recorded one."""

    def __init__(
        self, step: Step, model: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer], context: Context
    ) -> None:
        self._step, self._model, self._optimizers, self._context = step, model, optimizers, context
        self._steps, self._failed = 0, False
        self._replay: Callable[[], None] | None = None
        self._measures: Measures = {}

    def __call__(self, views: Tensor, labels: Tensor, number: int) -> Measures:
        self._steps += 1
        if self._failed:
            return self._step(views, labels, number)
        if self._replay is None:
            with beside():  # as torch's notes on CUDA graphs ask
                if self._steps <= _WARM_UP:
                    return self._step(views, labels, number)
                return self._record(views, labels, number)
        self._views.copy_(views)
        self._labels.copy_(labels)
        self._replay()
        return dict(self._measures)

    def close(self) -> None:
        """Free the graph's memory, which its gradients are part of."""
        self._replay, self._measures = None, {}
        self._model.zero_grad(set_to_none=True)

    def _record(self, views: Tensor, labels: Tensor, number: int) -> Measures:
        """Do a plain step, then record it and do it again from the same state, with the same result."""
        before = _copied(self._state())
        measures = self._step(views, labels, number)
        after = _copied(self._state() | self._gradients())
        _restore(self._state(), before)
        try:
            self._views, self._labels = views.clone(), labels.clone()
            self._replay, self._measures = record(lambda: self._step(self._views, self._labels, 0))
            _restore(self._state(), before)  # should the step have been done while it was recorded
            self._replay()
            found = self._state() | self._gradients()
            wrong = [name for name in _TOLERANCE if _differs(name, before, after, found)]
            why = f"its {' and '.join(wrong)} differ from a plain step's" if wrong else ""
        except RuntimeError as error:
            why = " ".join(str(error).splitlines()[:1])
        if why:
            self._failed = True
            self.close()
            _restore(self._state(), after)
            self._context.say(f"cuda_graph = true has no effect: the recorded step failed: {why}")
        return measures

    def _state(self) -> State:
        """What a step changes and the next one reads."""
        buffers = list(self._model.buffers())
        states = [state for optimizer in self._optimizers.values() for state in optimizer.state.values()]
        return {
            "weights": list(self._model.parameters()),
            "statistics": [buffer for buffer in buffers if buffer.is_floating_point()],
            "counters": [buffer for buffer in buffers if not buffer.is_floating_point()],
            "optimizers": [value for state in states for value in state.values() if isinstance(value, Tensor)],
        }

    def _gradients(self) -> State:
        return {"gradients": [weight.grad for weight in self._model.parameters() if weight.grad is not None]}


def record(step: Callable[[], Measures]) -> tuple[Callable[[], None], Measures]:
    """Record what a step launches, which is not done yet: return what launches all of it, and the measures' places."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads copy images to the GPU meanwhile
        measures = step()
    return graph.replay, measures


@cache
def _other_stream() -> torch.cuda.Stream:
    """One stream for all calls, since each stream keeps the memory that it has freed."""
    return torch.cuda.Stream()


@contextmanager
def beside() -> Iterator[None]:
    """Within, work on another stream of the GPU, in order with the current one."""
    current, other = torch.cuda.current_stream(), _other_stream()
    other.wait_stream(current)
    try:
        with torch.cuda.stream(other):
            yield
    finally:
        current.wait_stream(other)


def _copied(state: State) -> State:
    return {name: [tensor.detach().clone() for tensor in tensors] for name, tensors in state.items()}


@torch.no_grad()
def _restore(state: State, copies: State) -> None:
    for name, tensors in state.items():
        for tensor, copy in zip(tensors, copies[name], strict=True):
            tensor.copy_(copy)


@torch.no_grad()
def _differs(name: str, before: State, plain: State, found: State) -> bool:
    """Whether the graph's result is farther from the plain step's than rounding explains, or not a number."""
    changes = torch._foreach_sub(plain[name], before[name]) if name in before else plain[name]
    errors = torch._foreach_sub(found[name], plain[name])
    error, change = (float(torch.nn.utils.get_total_norm(each)) for each in (errors, changes))
    return not error <= _TOLERANCE[name] * change
