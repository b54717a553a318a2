"""Which rank is blamed when one of a trial's ranks disappears; errors are those of gloo and NCCL of torch 2.x."""

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ablate.records.files import Results
from ablate.run import causes
from ablate.run.causes import failure_of_another_rank, failure_of_lost_rank, first_rank_lost, record_failure_of_rank
from ablate.run.slurm.ranks import _train
from ablate.trainer.world import World
from tests.run.toy import Settings, ask

GLOO = RuntimeError(
    "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:41893"
)
NCCL = RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causes, "_NOTE_SECONDS", 0.0)


@pytest.mark.parametrize("error", [GLOO, NCCL])
def test_the_rank_without_a_note_is_named(tmp_path: Path, error: RuntimeError) -> None:
    for rank in (1, 3):
        record_failure_of_rank(tmp_path, rank, error)
    lost = failure_of_lost_rank(tmp_path, 4)
    assert (lost.cause, lost.message.partition(" ended")[0]) == ("rank_lost", "rank-2")


def test_an_error_of_a_rank_itself_comes_before_the_losses_that_others_noticed(tmp_path: Path) -> None:
    record_failure_of_rank(tmp_path, 1, GLOO)
    record_failure_of_rank(tmp_path, 3, MemoryError())
    os.utime(tmp_path / "rank-1.json", (0, 0))
    for found in (failure_of_lost_rank(tmp_path, 4), failure_of_another_rank(tmp_path)):
        assert found is not None
        assert (found.cause, found.message.partition(":")[0]) == ("out_of_memory", "rank-3")


def test_no_rank_is_blamed_for_what_it_noticed_of_the_first_one(tmp_path: Path) -> None:
    assert first_rank_lost(tmp_path) is None
    record_failure_of_rank(tmp_path, 3, GLOO)
    assert failure_of_another_rank(tmp_path) is None
    lost = first_rank_lost(tmp_path)
    assert lost is not None
    assert lost.message.startswith("rank-0 ended")


def test_an_ordinary_error_says_nothing_about_other_ranks() -> None:
    assert not causes.lost_connection(ValueError("the batch has 7 rows"))


def test_a_rank_notes_also_what_is_no_exception_but_ends_it(tmp_path: Path) -> None:
    (key,) = ask(Results(tmp_path), Settings(does="cancel"))

    class Second(World):
        def announce(self, value: Any = None) -> Any:
            return key, "001-test"

    signals: Any = SimpleNamespace(cause=None)
    with pytest.raises(asyncio.CancelledError):
        _train(Results(tmp_path), torch.device("cpu"), Second(1, 2), signals)
    note = json.loads((tmp_path / "trials" / key / "attempts" / "001-test" / "rank-1.json").read_text())
    assert note == {"cause": "exception", "message": "CancelledError: the loop was closed"}
