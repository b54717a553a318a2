"""What the kernel for color distortion computes and what it compiles to, for `test_color_kernel`.

    TRITON_INTERPRET=1 python -m tests.simclr.augment.kernel computes FOLDER
    python -m tests.simclr.augment.kernel compiles

Triton reads the variable while it is imported, so each has a process of its own.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch


def computes(folder: Path) -> None:
    """Distort each file of images and draws in a folder; write the result beside it."""
    from ablate.simclr.base.color_kernel import distort

    for path in sorted(folder.glob("*.npz")):
        given = dict(np.load(path))
        images, additive, tensorflow = torch.from_numpy(given["images"]), *given["ways"].tolist()
        np.save(path.with_suffix(".npy"), distort(images, given, additive, tensorflow).numpy())


def compiles() -> None:
    """Compile the kernel for two generations of GPUs; print the sizes of their machine code."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from ablate.simclr.base.color_kernel import _BLOCK, _distort

    sizes = {}
    for additive, tensorflow in ((True, True), (False, False)):
        signature = {"images": "*fp32", "result": "*fp32", "draws": "*fp32", "pixels": "i32"}
        constants = {"additive": additive, "tensorflow": tensorflow, "block": _BLOCK}
        source = ASTSource(_distort, signature | dict.fromkeys(constants, "constexpr"), constants)
        for capability in (80, 90):
            built = compile(source, target=GPUTarget("cuda", capability, 32))
            sizes[f"{capability} {additive}"] = len(built.asm["cubin"])
    print(json.dumps(sizes))


if __name__ == "__main__":
    computes(Path(sys.argv[2])) if sys.argv[1] == "computes" else compiles()
