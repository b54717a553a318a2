"""Tensors that say they are on a GPU and hold no numbers: real code runs on them, on a machine without one.

torch's FakeTensorMode computes shapes, types and devices only. An operation on tensors of two devices raises, as on a
GPU, and what needs a number on the CPU is noted as a wait. A CPU build of torch lacks a device guard for CUDA: one line
of C++ adds one that does nothing. Blind to: waits inside kernels, index tensors, the order of sums, memory.
"""

import contextlib
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ablate.simclr.augment import auto_augment

GUARD = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
C10_REGISTER_GUARD_IMPL(CUDA, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>)
"""
_NO_KERNEL = re.compile(
    "alias|as_strided|chunk|detach|device|(new_)?empty(_like|_strided)?|expand|lift_fresh|permute|promote_types|scalar_tensor|"
    "select|set_|slice|split(_with_sizes)?|squeeze|t|transpose|unbind|unfold|unsqueeze|view|_local_scalar_dense|"
    "_record_function_.*|_reshape_alias|_unsafe_view"
)
"""Operations that launch no kernel: views, allocations, and what is not computed on a GPU."""
_WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount")
PACKAGE = Path(__file__).parents[2] / "ablate"


@functools.cache
def guarded() -> bool:
    """Compile and load the guard, once per process; False without g++."""
    if torch.cuda.is_available() or not shutil.which("g++"):
        return False
    folder, here = Path(tempfile.mkdtemp()), Path(torch.__file__).parent
    (folder / "guard.cpp").write_text(GUARD)
    paths = [f"-I{here / 'include'}", f"-L{here / 'lib'}", "-lc10"]
    subprocess.run(
        ["g++", "-O0", "-shared", "-fPIC", "guard.cpp", *paths, "-o", "guard.so"], cwd=folder, check=True, timeout=300
    )
    ctypes.CDLL(str(folder / "guard.so"))
    shutil.rmtree(folder)
    return True


class Recorded(TorchDispatchMode):
    """Counts the kernels that would be launched, and notes where Python would wait for the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0
        self.truth = False
        """What every truth value on the GPU is, as of a check for finite numbers."""
        self.number = 8.0
        """What every fractional number on the GPU is."""
        self.waits: list[str] = []
        """file:function of the package, for each wait."""
        self.mixed: list[str] = []
        """The same, for each operation that reads tensors of the CPU and of the GPU: a hidden copy."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        name = function.__name__.partition(".")[0]
        leaves = torch.utils._pytree.tree_leaves((arguments, keywords))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        on_gpu = any(tensor.is_cuda for tensor in tensors)
        masks = name in ("index", "index_put", "index_put_") and any(each.dtype == torch.bool for each in tensors[1:])
        if on_gpu and (name in _WAITING or masks):
            self.waits.append(_caller())
        if on_gpu and not all(tensor.is_cuda for tensor in tensors):
            self.mixed.append(f"{_caller()} {name}")
        if name in ("_fused_sgd_", "_fused_adamw_") and "tensor_lr" in function.__name__:  # it has no shapes in torch
            self.kernels += 1
            return None
        if name == "_local_scalar_dense":
            dtype = tensors[0].dtype
            return (self.truth and on_gpu) if dtype == torch.bool else self.number if dtype.is_floating_point else 1
        if name == "bincount":  # as many counts as the largest number asks for
            least = [each for each in arguments[1:] if isinstance(each, int)] or [(keywords or {}).get("minlength", 0)]
            return torch.empty(max(1, least[0]), dtype=torch.int64, device=tensors[0].device)
        if masks:  # how many are chosen is a number: one is
            arguments = (arguments[0], [_one(each) for each in arguments[1]], *arguments[2:])
            arguments = (arguments[0], [each for row in arguments[1] for each in row], *arguments[2:])
        result = function(*arguments, **keywords or {})
        outputs = [leaf for leaf in torch.utils._pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        if not _NO_KERNEL.fullmatch(name) and (on_gpu or any(tensor.is_cuda for tensor in outputs)):
            self.kernels += 1
            if name == "_to_copy" and on_gpu and not any(tensor.is_cuda for tensor in outputs):
                self.waits.append(_caller())
        return result


def _one(index: Tensor | None) -> list[Tensor | None]:
    """The index of one element for a mask; any other index as it is."""
    if index is None or index.dtype != torch.bool:
        return [index]
    return [torch.empty(1, dtype=torch.int64, device=index.device) for _ in range(index.ndim)]


def _caller() -> str:
    """The function of the package that is running."""
    frames = [frame for frame in traceback.extract_stack() if Path(frame.filename).is_relative_to(PACKAGE)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "outside"


def _apply(self: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
    """nn.Module._apply with new parameters: torch's own changes the old ones' data, which cannot change device."""
    for child in self.children():
        child._apply(function)
    for name, parameter in self._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                self._parameters[name] = nn.Parameter(function(parameter), parameter.requires_grad)
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[name] = function(buffer)
    return self


def _numpy(self: Tensor) -> np.ndarray[Any, Any]:
    """Tensor.numpy, of zeros. Raises TypeError for a tensor on a GPU, as torch does."""
    if self.is_cuda:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    return np.zeros(self.shape, dtype=str(self.dtype).removeprefix("torch."))


def _copied(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """Tensor.__deepcopy__, which copies their mode too."""
    if id(self) not in memo:
        copy = torch.empty_like(self).detach()
        memo[id(self)] = nn.Parameter(copy, self.requires_grad) if isinstance(self, nn.Parameter) else copy
    found: Tensor = memo[id(self)]
    return found


def _backward(outputs: Tensor | Iterable[Tensor], *arguments: Any, **keywords: Any) -> None:
    """torch.autograd.backward without its engine: each weight that an output depends on gets an empty gradient."""
    pending: list[Any] = [each.grad_fn for each in ([outputs] if isinstance(outputs, Tensor) else outputs)]
    seen: set[Any] = {None}
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += [following for following, _ in node.next_functions]
            if hasattr(node, "variable"):
                node.variable.grad = torch.empty_like(node.variable).detach()


def _gradients(outputs: Any, inputs: list[Tensor], *arguments: Any) -> list[Tensor]:
    """torch.autograd.grad without its engine."""
    return [torch.empty_like(each) for each in inputs]


@contextlib.contextmanager
def fake_cuda() -> Iterator[Recorded]:
    """Within, a device `cuda` can be used for tensors without numbers; of a backward pass there are only gradients."""
    auto_augment._policy()  # which keeps what it computes: not with the numbers of fake tensors
    recorded = Recorded()
    waiting = SimpleNamespace(record=lambda: None, query=lambda: False)
    waiting.synchronize = lambda: recorded.waits.append(_caller())
    empty = torch.empty
    about: dict[str, Any] = {
        "is_bf16_supported": lambda *_, **__: True,
        "is_tf32_supported": lambda: True,
        "reset_peak_memory_stats": lambda *_: None,
        "max_memory_allocated": lambda *_: 0,
        "memory_reserved": lambda *_: 0,
        "get_per_process_memory_fraction": lambda *_: 1.0,
        "mem_get_info": lambda *_: (2**37, 2**37),
        "Event": lambda: waiting,
        "get_rng_state": lambda *_: None,
        "set_rng_state": lambda *_: None,
    }
    with contextlib.ExitStack() as stack:
        for name, value in about.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(nn.Module, "_apply", _apply))
        for where, name, instead in (
            (Tensor, "numpy", _numpy),
            (Tensor, "__deepcopy__", _copied),
            (nn.Parameter, "__deepcopy__", _copied),
            (Tensor, "backward", _backward),
            (torch.autograd, "backward", _backward),
            (torch.autograd, "grad", _gradients),
        ):
            stack.enter_context(mock.patch.object(where, name, instead))
        stack.enter_context(
            mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", return_value=False)
        )
        stack.enter_context(mock.patch.object(Tensor, "pin_memory", lambda self, *_: self))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=False))
        pinned = mock.patch.object(torch, "empty", lambda *size, pin_memory=False, **how: empty(*size, **how))
        stack.enter_context(pinned)
        with recorded:
            yield recorded
