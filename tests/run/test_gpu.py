"""Workers on a GPU, with an imitation of what torch.cuda says: these tests need no GPU."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ablate.records.attempt import events_of
from ablate.records.files import Results, write_json
from ablate.run import gpu
from ablate.run.attempt import run_trial
from ablate.run.causes import GPU_ERROR
from ablate.run.machine import default_workers
from ablate.run.pool import Pool
from ablate.run.slurm.packing import Timing
from ablate.run.slurm.retry import decide
from ablate.run.slurm.waves import timing_of
from tests.run.toy import Settings, ask

TOTAL_MIB = 16_000


class Imitation:
    """A process with one GPU: what it did, and whether CUDA still works."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.ready = self.dead = False
        self.reserved, self.peak = 0, 0

    def init(self) -> None:
        self.ready = True

    def reset_peak_memory_stats(self, device: str) -> None:
        if not self.ready:
            raise RuntimeError("Invalid device argument 0: did you call init?")
        self.peak = self.reserved

    def empty_cache(self) -> None:
        self.reserved = 0

    def synchronize(self, device: str) -> None:
        if self.dead:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Imitation:
    imitation = Imitation()
    about = SimpleNamespace(total_memory=TOTAL_MIB * 2**20)
    for name, value in {
        "init": imitation.init,
        "is_initialized": lambda: imitation.ready,
        "device_count": lambda: 2,
        "set_device": lambda device: imitation.done.append(("device", device)),
        "set_per_process_memory_fraction": lambda share, device: imitation.done.append(("share", share)),
        "get_device_properties": lambda device: about,
        "get_device_name": lambda device: "an imitation",
        "reset_peak_memory_stats": imitation.reset_peak_memory_stats,
        "empty_cache": imitation.empty_cache,
        "max_memory_reserved": lambda device: imitation.peak,
        "synchronize": imitation.synchronize,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr("ablate.records.provenance._driver", lambda: None)
    return imitation


def on_gpu(results: Results, *settings: Settings) -> list[dict[str, Any]]:
    return [run_trial(results, key, "inline", "cuda:0", capture_output=False) for key in ask(results, *settings)]


def test_the_first_trial_of_a_process_sets_cuda_up_before_it_asks_for_its_memory(
    tmp_path: Path, cuda: Imitation
) -> None:
    assert [outcome["state"] for outcome in on_gpu(Results(tmp_path), Settings())] == ["done"]


def test_a_trial_does_not_count_the_memory_of_the_one_before(tmp_path: Path, cuda: Imitation) -> None:
    cuda.reserved = cuda.peak = 900 * 2**20
    on_gpu(Results(tmp_path), Settings())
    (attempt,) = Results(tmp_path).trial("000abc").attempt_folders()
    ended = events_of(attempt)["ended"]
    assert (ended["memory"]["gpu"], ended["memory"]["gpu_total"]) == (0, TOTAL_MIB)


def test_an_exception_after_which_cuda_answers_no_more_is_an_error_of_the_gpu(tmp_path: Path, cuda: Imitation) -> None:
    cuda.dead = True
    (outcome,) = on_gpu(Results(tmp_path), Settings(does="raise"))
    assert outcome["cause"] == GPU_ERROR
    cuda.dead = False
    (outcome,) = on_gpu(Results(tmp_path / "other"), Settings(does="raise"))
    assert outcome["cause"] == "exception"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_worker_ends_with_its_cuda_context_and_the_other_trials_run_in_a_new_one(tmp_path: Path, fresh: bool) -> None:
    results = Results(tmp_path)
    keys = ask(results, Settings(does="illegal access"), Settings(), Settings())
    with Pool(results, 1, 1, "cpu", fresh=fresh) as pool:
        first = pool.workers[0].process.pid
        found = dict(pool.run({key: key for key in keys}, tick=lambda: None))
        assert (pool.workers[0].process.pid == first) == fresh  # a fresh trial has a process of its own anyway
    assert [found[key]["state"] for key in keys] == ["failed", "done", "done"]
    assert found[keys[0]]["cause"] == GPU_ERROR
    assert [len(results.trial(key).attempt_folders()) for key in keys] == [1, 1, 1]


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED; more memory may help", "alone"),
        ("CUBLAS_STATUS_ALLOC_FAILED", "alone"),
        ("MemoryError", "more memory"),
    ],
)
def test_a_trial_that_fills_its_gpu_is_retried_alone_whichever_library_says_so(message: str, action: str) -> None:
    assert decide("out_of_memory", message, {"out_of_memory": 1}, at_once=2) == action


@pytest.mark.parametrize(
    ("named", "workers", "on_each"), [("cuda", 5, [3, 2, 3, 2, 3]), ("auto", 2, [1, 1]), ("cuda:1", 3, [3, 3, 3])]
)
def test_workers_on_one_gpu_are_counted_per_gpu(cuda: Imitation, named: str, workers: int, on_each: list[int]) -> None:
    assert [gpu.workers_on(named, index, workers) for index in range(workers)] == on_each


@pytest.mark.parametrize("workers", [2, 4, 16, 100])
def test_the_parts_of_all_workers_leave_room_for_their_cuda_contexts(cuda: Imitation, workers: int) -> None:
    gpu.use("cuda:1", workers)
    (_, device), (_, share) = cuda.done
    assert device == "cuda:1"
    left = TOTAL_MIB * (1 - workers * share)
    assert left >= min(workers * gpu.CONTEXT_MIB, TOTAL_MIB / 2) - 1
    assert share > 0


def test_a_worker_alone_on_its_gpu_may_use_all_of_it(cuda: Imitation) -> None:
    gpu.use("cuda:0")
    assert cuda.done == [("device", "cuda:0")]


def test_the_time_and_memory_that_decide_how_many_share_a_job_and_a_gpu(tmp_path: Path) -> None:
    folder = Results(tmp_path).trial("k")
    write_json(folder.result, {"seconds": 10.0, "attempt": "001-slurm"})
    events = folder.attempts / "001-slurm" / "events.jsonl"
    events.parent.mkdir(parents=True)
    events.write_text('{"event": "ended", "memory": {"gpu": 960, "gpu_total": 16000}}\n')
    assert timing_of(Results(tmp_path), ["k"]).gpu_memory == (960 + gpu.CONTEXT_MIB) / 16_000
    # One attempt pretrained all eight, the others evaluated only: neither shows what a trial needs.
    write_json(folder.result, {"seconds": 5.0, "attempt": "001-slurm", "metrics": {"fused_trials": 8}})
    assert timing_of(Results(tmp_path), ["k"]) == Timing(5.0, None)


@pytest.mark.parametrize(
    ("listed", "gpus"),
    [
        (None, 4),
        ("0,2", 2),
        ("GPU-1a,GPU-2b,GPU-3c", 3),
        ("MIG-11111111-aaaa,MIG-22222222-bbbb", 1),
        ("MIG-GPU-11111111-aaaa/1/0,MIG-GPU-22222222-bbbb/2/0", 1),
        ("0,-1,1", 1),
        ("-1", 0),
        ("", 0),
        ("0,1,2,3,4,5", 4),
    ],
)
def test_gpus_are_counted_as_cuda_counts_them(monkeypatch: pytest.MonkeyPatch, listed: str | None, gpus: int) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [Path(f"/dev/nvidia{n}") for n in range(4)])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert gpu.visible_gpus() == gpus
    assert default_workers("cuda") == (gpus or len(os.sched_getaffinity(0)))
