"""What 20,000 jobs cost the controller, in calls and files: the ledger and the follow-up jobs against a scripted Slurm.

Each job trains one trial. Trials write no checkpoint and take no time; jobs end in the order of their arrays. Rates of
failure are assumed, and higher than those of published clusters, so that many waves are needed: 2 % of the jobs lose
their node, 2 % are killed for memory, 1 % are preempted without a requeue, 1 % raise an exception, and 1 % vanish, that
is, neither squeue nor sacct knows them. One follow-up job in ten is lost: the last job of the array
replaces it, or, if jobs of the array have vanished, the next command of a user.
"""

import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm.follow import look_after, mend
from ablate.run.slurm.last import see_to_the_watch
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.packing import Array, Group, Share
from ablate.run.slurm.queue import read_queue
from ablate.run.slurm.watch import unwatched
from ablate.run.slurm.waves import submit_wave
from ablate.study.schema.study import Resources
from tests.run.slurm.scripted import FORGOTTEN, Batch, ScriptedSlurm

JOBS = 20_000
_ENDS = {
    "NODE_FAIL": 0.02, "OUT_OF_MEMORY": 0.02, "PREEMPTED": 0.01, "exception": 0.01, FORGOTTEN: 0.01, "COMPLETED": 0.93,
}  # fmt: skip
_LOST_WATCHERS = 0.1


def measure(jobs: int = JOBS) -> dict[str, Any]:
    """One study from its submission to its end. Raises AssertionError if a trial is neither done nor given up."""
    slurm, chance = ScriptedSlurm(), random.Random(0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as patches:
        for module in ("scheduler", "room"):
            patches.enter_context(patch(f"ablate.run.slurm.{module}.ask", slurm.ask))
        patches.enter_context(patch.object(shutil, "which", lambda name: name))
        patches.enter_context(patch.object(os, "fsync", lambda file: None))  # the disk is not what is measured
        results = Results(Path(folder))
        began, seconds = time.perf_counter(), time.process_time()
        submission = _submit(results, jobs)
        submitted = time.perf_counter() - began
        keys, waves, watchers, given_up = submission.keys, 0, 0, {}
        while True:
            waves += 1
            step, looks = _run(results, submission, slurm, chance)
            watchers += looks
            given_up |= step.given_up or {}
            assert not step.alive, "a follow-up job waits for jobs that are over"
            if step.next is None:
                break
            submission = step.next
        done = {key for key in keys if results.trial(key).result.exists()}
        assert done | given_up.keys() == set(keys), "a trial is neither done nor given up"
        files = [path for path in (Path(folder) / "slurm").rglob("*") if path.is_file()]
        return {
            "jobs of the first wave": jobs,
            "waves": waves,
            "done": len(done),
            "given up": dict(Counter(why.partition(":")[0] for why in given_up.values())),
            "follow-up jobs that ran": watchers,
            "seconds to submit the first wave": round(submitted, 2),
            "CPU seconds in all": round(time.process_time() - seconds, 1),
            "calls": dict(slurm.calls),
            "calls per trial": round(slurm.calls.total() / jobs, 4),
            "files of the queue per trial": round(len(files) / jobs, 4),
        }


def _submit(results: Results, jobs: int) -> Submission:
    shares = tuple(Share(keys=(f"{number:064x}",)) for number in range(jobs))
    for share in shares:
        folder = results.trial(share.keys[0])
        folder.attempts.mkdir(parents=True)
        folder.trial.write_text(json.dumps({"key": share.keys[0], "pretrain_key": share.keys[0], "config": {}}))
    about = {"study": "big", "profile": "embedded", "by": "me", "code": "code", "created": 0.0, "id": ""}
    base = Submission.model_validate({**about, "cluster": Cluster(name="big"), "arrays": ()})
    with Ledger(results).lock():
        return submit_wave(results, base, [Group(Resources(memory="1GB"), shares, canary=True)])


def _run(results: Results, submission: Submission, slurm: ScriptedSlurm, chance: random.Random) -> tuple[Any, int]:
    """Let the jobs of a wave run, and its follow-up jobs; returns the last step, and how many of these there were."""
    looks = 0
    for phase in (True, False) if submission.canary else (False,):
        for array in submission.arrays:
            if array.canary is phase:
                _end(results, submission, array, slurm, chance)
        if chance.random() < _LOST_WATCHERS:
            slurm.forget(slurm.watcher.name)
        last = [array for array in submission.arrays if array.canary is phase][-1]
        with patch.dict(os.environ, {"SLURM_JOB_ID": slurm.batch(last.name).id}):
            see_to_the_watch(results, submission, last)
        with Ledger(results).lock():
            queue = read_queue(results, fresh=True)
            if unwatched(submission, queue):
                mend(results, queue)
        slurm.watcher.states = ["COMPLETED"]
        step, looks = look_after(results, submission.id), looks + 1
    return step, looks


def _end(results: Results, submission: Submission, array: Array, slurm: ScriptedSlurm, chance: random.Random) -> None:
    """End the jobs of an array, each in one of the ways of _ENDS."""
    batch: Batch = slurm.batch(array.name)
    for index, share in enumerate(array.shares):
        state = "COMPLETED" if array.canary else chance.choices(list(_ENDS), list(_ENDS.values()))[0]
        job = f"{batch.id}_{index}" if len(array.shares) > 1 else batch.id
        for key in share.keys if state != FORGOTTEN else ():
            folder = results.trial(key)
            attempt = folder.attempts / f"{len(list(folder.attempts.iterdir())) + 1:03}-slurm-{job}"
            attempt.mkdir()
            events = [{"event": "started", "time": time.time(), "place": f"slurm-{job}"}]
            if state == "exception":
                events.append({"event": "ended", "time": time.time(), "state": "failed", "cause": "exception"})
            (attempt / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
            if state == "COMPLETED":
                folder.result.write_text(json.dumps({"key": key, "metrics": {}}))
        batch.states[index] = "FAILED" if state == "exception" else state
    batch.reason = "None"
