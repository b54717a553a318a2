import errno
import os
import re
import signal
from pathlib import Path

import pytest
import torch

from ablate.errors import UserError
from ablate.records.files import write_json
from ablate.run.causes import classify
from ablate.simclr.data.listing import look
from ablate.trainer.contract import DataError, Diverged


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Diverged("the loss became NaN"), "diverged"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (torch.AcceleratorError("CUDA error: out of memory"), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out_of_memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "out_of_memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "out_of_memory"),
        (RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (RuntimeError("std::bad_alloc"), "out_of_memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: while running XLA"), "out_of_memory"),
        (RuntimeError("CUDNN_STATUS_EXECUTION_FAILED"), "exception"),
        (RuntimeError("the table is allocated twice"), "exception"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "gpu_error"),
        (FileNotFoundError("train"), "data"),
        (DataError("train has no images"), "data"),
        (UserError("module cannot be imported"), "trainer"),
        (RuntimeError("boom"), "exception"),
        (ValueError("shapes do not fit"), "exception"),
    ],
)
def test_each_failure_has_its_cause(error: Exception, cause: str) -> None:
    assert classify(error).cause == cause


class _Killed(torch.utils.data.Dataset[int]):
    """Its first item is the last that its process loads."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_process_that_loaded_data_and_was_killed_lacked_memory() -> None:
    """flux-core#5361: the system kills one process of a job, and the others go on."""
    with pytest.raises(RuntimeError, match="worker") as caught:
        list(torch.utils.data.DataLoader(_Killed(), num_workers=1, multiprocessing_context="fork"))
    assert classify(caught.value).cause == "out_of_memory"


def test_a_full_disk_is_the_cause_also_of_what_it_led_to() -> None:
    error = RuntimeError("could not save")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify(error).cause == "disk_full"


@pytest.mark.parametrize("cause", ["out_of_memory", "gpu_error"])
def test_an_error_of_the_gpu_is_the_cause_also_of_what_it_led_to(cause: str) -> None:
    error = RuntimeError("the epoch failed")
    found = {
        "out_of_memory": torch.OutOfMemoryError("CUDA out of memory"),
        "gpu_error": torch.AcceleratorError("CUDA error"),
    }
    error.__cause__ = found[cause]
    assert classify(error).cause == cause


def test_a_folder_without_images_is_a_failure_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains no images") as caught:
        look(tmp_path)
    assert classify(caught.value).cause == "data"


def test_an_exception_is_known_by_its_class_and_not_by_its_name() -> None:
    namesake = type("Diverged", (Exception,), {})
    assert classify(namesake("the loss became NaN")).cause == "exception"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ModuleNotFoundError("No module named 'mine.local'"), "mine/local.py is not in the snapshot .* add it to git"),
        (ImportError("cannot import name 'local' from 'mine'"), "mine/local.py is not in the snapshot"),
        (
            FileNotFoundError(2, "No such file", "FOLDER/mine/token.txt"),
            "token.txt is not .* pass its path in a setting",
        ),
        (RuntimeError("no data in FOLDER/mine/token.txt"), "token.txt is not in the snapshot .*a secret"),
        (FileNotFoundError(2, "No such file", "FOLDER/data/x.csv"), "without the files around it: pass the path"),
        (FileNotFoundError(2, "No such file", "FOLDER/mine/token.txt.gz"), "without the files around it"),
        (FileNotFoundError(2, "No such file", "/elsewhere/mine/token.txt"), None),
        (ImportError("cannot import name 'other' from 'mine'"), None),
        (ValueError("mine.local"), None),
    ],
)
def test_a_trainer_that_misses_what_its_snapshot_leaves_out_is_told_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, advice: str | None
) -> None:
    left_out = {"mine/local.py": "git ignores it", "mine/token.txt": "its name is that of a secret"}
    write_json(tmp_path / "code.json", {"left_out": left_out})
    monkeypatch.setattr("ablate.run.causes.PACKAGE", tmp_path / "ablate")
    placed = [str(each).replace("FOLDER", str(tmp_path)) if isinstance(each, str) else each for each in error.args]
    if isinstance(error, FileNotFoundError):
        placed.append(str(error.filename).replace("FOLDER", str(tmp_path)))
    message = classify(type(error)(*placed)).message
    assert re.search(advice, message) if advice else "snapshot" not in message
