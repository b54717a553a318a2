"""torchvision, importable even if its compiled operators do not load.

With a CPU-only torch, PyPI's torchvision fails with "operator torchvision::nms does not exist": its Python code
registers fake kernels for operators that only its compiled part, which needs CUDA's torch, defines. The trainer does
not use these operators, so their schemas are enough. Import torchvision from this module.
"""

import sys

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

try:
    import torchvision
except RuntimeError as error:
    if "operator torchvision::" not in str(error):
        raise
    _schemas = torch.library.Library("torchvision", "FRAGMENT")  # kept: dropping it removes the schemas
    for _schema in _SCHEMAS:
        _schemas.define(_schema)
    for _name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[_name]
    import torchvision

__all__ = ["torchvision"]
