import errno
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.run.failures import classify
from ablate.simclr.context import Diverged
from ablate.simclr.data.listing import look


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Diverged("the loss was no longer a number"), "diverged"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (FileNotFoundError("train"), "data"),
        (UserError("module cannot be imported"), "trainer"),
        (RuntimeError("boom"), "exception"),
        (ValueError("shapes do not fit"), "exception"),
    ],
)
def test_each_failure_has_its_cause(error: Exception, cause: str) -> None:
    assert classify(error).cause == cause


def test_a_full_disk_is_the_cause_also_of_what_it_led_to() -> None:
    error = RuntimeError("could not save")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify(error).cause == "disk_full"


def test_a_folder_without_images_is_a_failure_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder") as caught:
        look(tmp_path)
    assert classify(caught.value).cause == "data"
