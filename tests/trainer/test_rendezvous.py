"""The ranks of a job meet each other, and nobody else who listens where they look."""

import os
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import torch.distributed as dist

from ablate.trainer.rendezvous import Rendezvous, meet

SOON = timedelta(seconds=20)
NAME = f"of this test/{os.getpid()}"


def of_rank(rank: int, name: str = NAME) -> Rendezvous:
    return Rendezvous(rank, rank, 2, "127.0.0.1", name)


def met(name: str) -> tuple[dist.Store, dist.Store]:
    """The stores of two ranks."""
    found: list[dist.Store] = []
    first = threading.Thread(target=lambda: found.append(meet(of_rank(0, name), SOON)))
    first.start()
    second = meet(of_rank(1, name), SOON)
    first.join()
    return found[0], second


def test_two_jobs_meet_apart() -> None:
    stores = {name: met(name) for name in (f"{NAME}/one", f"{NAME}/two")}
    for name, (first, _) in stores.items():
        first.set("key", name)
    assert [second.get("key").decode() for _, second in stores.values()] == list(stores)


def test_a_rank_that_meets_another_job_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rendezvous, "port", of_rank(0).port)
    listening = meet(of_rank(0, "of another job"), SOON)
    with pytest.raises(RuntimeError, match=f"is used by another job, of another job; this one is {NAME}"):
        meet(of_rank(1), SOON)
    with pytest.raises(RuntimeError, match="in use"):
        meet(of_rank(0), SOON)
    assert listening.num_keys()


def test_jobs_that_differ_in_one_character_meet_at_other_ports() -> None:
    numbers = {of_rank(0, f"{cluster}/7/{restart}").port for cluster in "ab" for restart in range(5)}
    assert len(numbers) == 10
    assert all(20_000 <= port < 32_000 for port in numbers)


_RANK = """
import os, sys, time
from datetime import timedelta
from torch.distributed import distributed_c10d
from ablate.trainer.rendezvous import Rendezvous
from ablate.trainer.world import started
with started("cpu", Rendezvous(int(sys.argv[1]), 0, 2, "127.0.0.1", sys.argv[2])) as (ours, _):
    distributed_c10d._set_pg_timeout(timedelta(seconds=5))
    for trial in "ab":
        if ours.first and trial == "b":
            time.sleep(7)
        print(ours.announce(trial if ours.first else None), os.environ["RANK"], os.environ["WORLD_SIZE"])
"""


def test_ranks_wait_for_the_next_trial_for_as_long_as_the_first_trains_one_alone() -> None:
    """As it does a command; its variables are those of torchrun."""
    command = [sys.executable, "-c", _RANK]
    ranks = [
        subprocess.Popen([*command, str(rank), f"{NAME}/announced"], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    assert [rank.communicate(timeout=100)[0] for rank in ranks] == ["a 0 2\nb 0 2\n", "a 1 2\nb 1 2\n"]
