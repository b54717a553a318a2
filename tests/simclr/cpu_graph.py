"""CUDA graphs, imitated on a CPU: the operations of a step are recorded with the tensors they read and write.

As on a GPU, a replay runs no Python of the step: whatever is not in one of the recorded tensors keeps the value that it
had while the step was recorded. And recording changes no tensor.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Operation = tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        """Each tensor that an operation writes, and its content before the first one did."""
        self._made: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = keywords or {}
        name = function.__name__.partition(".")[0]
        assert name not in ("_local_scalar_dense", "nonzero"), f"{name} waits for the GPU"
        schema = function._schema.arguments
        given = [*zip(schema, arguments, strict=False), *((each, keywords.get(each.name)) for each in schema)]
        for each, value in given:
            written = each.alias_info is not None and each.alias_info.is_write
            if written or each.name in ("running_mean", "running_var"):  # which batch norm's schema omits
                for tensor in (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)):
                    if (place := _place(tensor)) not in self._made:
                        flat = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
                        self.before.setdefault(place, (flat, flat.clone()))
        result = function(*arguments, **keywords)
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        read = (leaf for leaf in tree_leaves((arguments, keywords)) if isinstance(leaf, Tensor))
        self._made |= set(map(_place, outputs)) - set(map(_place, read))  # not a view of what was there before
        self.operations.append((function, arguments, keywords, outputs))
        return result


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def record(step: Callable[[], dict[str, Tensor]]) -> tuple[Callable[[], None], dict[str, Tensor]]:
    """`ablate.simclr.graph.record`, on a CPU."""
    with _Recorder() as recorder:
        measures = step()
    for flat, content in recorder.before.values():
        flat.copy_(content)

    @torch.no_grad()
    def replay() -> None:
        for function, arguments, keywords, outputs in recorder.operations:
            found = [leaf for leaf in tree_leaves(function(*arguments, **keywords)) if isinstance(leaf, Tensor)]
            for place, value in zip(outputs, found, strict=True):
                if place.data_ptr() != value.data_ptr():
                    place.copy_(value)

    return replay, measures
