import threading

import pytest

from ablate.records.together import together


def test_the_waits_of_several_items_overlap_and_a_failure_is_raised() -> None:
    meeting = threading.Barrier(8, timeout=60)  # passed only if eight are at work at once
    together(lambda item: meeting.wait(), range(8))

    def work(item: int) -> None:
        if item == 3:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        together(work, range(20))
