"""Who watches over a submission, after each way in which its follow-up job can be refused, lost or fail."""

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ablate.records.attempt import AttemptWriter
from ablate.records.coordination import cancel_requested, request_cancel
from ablate.records.files import Results
from ablate.records.store import open_store
from ablate.run.cluster import Cluster
from ablate.run.options import RunOptions
from ablate.run.plan import make_plan, record_plan
from ablate.run.slurm import last, queue, room, scheduler, waiting
from ablate.run.slurm.ends import unfinished_trials
from ablate.run.slurm.follow import look_after, mend
from ablate.run.slurm.last import see_to_the_watch
from ablate.run.slurm.ledger import ON_LOGIN, Ledger, Submission, Watch
from ablate.run.slurm.queue import Queue, cancel_jobs, queued, read_queue
from ablate.run.slurm.standing import SENDING, OnCluster, on_clusters, waiting_trials
from ablate.run.slurm.submit import submit_plan
from ablate.run.slurm.watch import next_delay, unwatched
from ablate.workflow.follow import follow_submission, watch_submissions
from tests.run.slurm.scripted import Batch, ScriptedSlurm

Submit = Callable[..., Submission]
RESULTS = Results(Path("results"))


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> ScriptedSlurm:
    slurm = ScriptedSlurm()
    for module in (scheduler, room):
        monkeypatch.setattr(module, "ask", slurm.ask)
    monkeypatch.setattr(
        "ablate.run.slurm.submit.snapshot", lambda *anything: SimpleNamespace(folder=Path("code"), notes=())
    )
    monkeypatch.setattr(scheduler.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(queue.shutil, "which", lambda name: name)
    return slurm


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The study and the profile of each page that was written; the real function loads a second of libraries."""
    pages: list[tuple[str, str]] = []
    module = SimpleNamespace(write_report=lambda results, *study: pages.append(study[:2]) or study[2])
    monkeypatch.setitem(sys.modules, "ablate.report.formats", module)
    return pages


@pytest.fixture
def submit(project: Path, slurm: ScriptedSlurm, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Submits the study `tiny`: a canary, and one array of held jobs."""
    monkeypatch.chdir(project)
    Path("code").mkdir()

    def submit(**keys: object) -> Submission:
        cluster = Cluster.model_validate({"name": "big", "trials_per_job": 1, **keys})
        plan = make_plan("tiny", "embedded", RESULTS)
        record_plan(plan, RESULTS, ["test"])
        submission = submit_plan(plan, RESULTS, RunOptions(cluster=cluster, reports=Path("reports")))
        assert submission is not None
        return submission

    return submit


def read() -> Queue:
    return read_queue(RESULTS, fresh=True)


def mended(**corrected: object) -> None:
    cluster = Cluster.model_validate({"name": "big", "trials_per_job": 1, **corrected})
    with Ledger(RESULTS).lock():
        assert mend(RESULTS, read(), cluster)


def attempt(key: str, job: str, **end: str) -> None:
    writer = AttemptWriter(RESULTS.trial(key).new_attempt(f"slurm-{job}"))
    writer.event("started", place=f"slurm-{job}")
    if end:
        writer.end(**end)
    writer.close()


def done(key: str) -> None:
    RESULTS.trial(key).result.write_text(json.dumps({"key": key, "metrics": {}}))


def canary_of(submission: Submission) -> str:
    assert submission.canary is not None
    return submission.canary.shares[0].keys[0]


def canary(slurm: ScriptedSlurm, submission: Submission) -> Batch:
    assert submission.canary is not None
    return slurm.batch(submission.canary.name)


def started_and_failed(submission: Submission, batch: Batch) -> None:
    """The job has begun and ended without Python."""
    batch.states = ["FAILED"]
    log = Ledger(RESULTS).log(submission.id) / f"{batch.id}_0_log.out"
    log.write_text("python: not found\n")


def test_a_submission_whose_results_were_moved_is_left_to_the_next_one(slurm: ScriptedSlurm, submit: Submit) -> None:
    """Its scripts name the folder of before, so its follow-up jobs would fail for ever."""
    first = submit()
    for batch in slurm.batches.values():
        batch.states = ["FAILED"] * len(batch.states)
    mended()
    assert len(Ledger(RESULTS).open()) == 1, "its code is where it was"
    slurm.watcher.states = ["FAILED"]
    Path("code").rename("elsewhere")
    second = submit()
    assert set(second.keys) == set(first.keys)
    assert [each.id for each in Ledger(RESULTS).open()] == [second.id]


def nobody_is_left_waiting(slurm: ScriptedSlurm) -> bool:
    """Whether every job that waits is waited for by a follow-up job that does not depend on held jobs alone."""
    held = {each.id for each in slurm.batches.values() if each.reason == "JobHeldUser" and not each.over}
    watchers = [each for each in slurm.batches.values() if "follow" in each.name and not each.over]
    depend = [set(each.options.get("dependency", "x").removeprefix("afterany:").split(":")) for each in watchers]
    return not held or any(not ids <= held for ids in depend)


def test_a_canary_that_fails_with_its_watcher_is_seen_and_the_held_jobs_go_on_once_the_file_is_corrected(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    submission = submit()
    started_and_failed(submission, canary(slurm, submission))
    started_and_failed(submission, slurm.watcher)
    assert (unwatched(submission, read()) or "").startswith("follow-up job")
    mended(setup=["module load python"])
    assert slurm.batch(f"{submission.id}-1").over, "they would fail alike"
    assert "module load python" in (Ledger(RESULTS).log(submission.id) / f"{submission.id}-follow-2.sh").read_text()
    assert unwatched(submission, read()) is None
    step = look_after(RESULTS, submission.id)
    assert step.next is not None
    assert step.next.canary is not None, "these trials were never tried"
    assert set(step.next.keys) == set(submission.keys)


def test_after_scancel_of_the_watcher_and_the_canary_the_others_end_as_well(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    submission = submit()
    slurm.ask("scancel", slurm.watcher.id)
    attempt(canary_of(submission), canary(slurm, submission).id)
    slurm.ask("scancel", canary(slurm, submission).id)
    assert "was CANCELLED" in (unwatched(submission, read()) or "")
    mended()
    assert slurm.batch(f"{submission.id}-1").over
    assert nobody_is_left_waiting(slurm)
    given_up = look_after(RESULTS, submission.id).given_up or {}
    assert {why.partition(":")[0] for why in given_up.values()} == {"cancelled"}


def test_after_ablate_cancel_of_the_canarys_trial_the_others_are_trained(slurm: ScriptedSlurm, submit: Submit) -> None:
    submission = submit()
    array = slurm.batch(f"{submission.id}-1")
    request_cancel(RESULTS.trial(canary_of(submission)))
    cancel_jobs(RESULTS)
    assert canary(slurm, submission).over
    assert (array.reason, array.over) == ("Priority", False), "at once, as the request may be withdrawn"
    array.reason = "JobHeldUser"  # the controller was busy
    look_after(RESULTS, submission.id)
    assert (array.reason, array.over) == ("Priority", False)


@pytest.mark.parametrize("seen_by", ["follow-up job", "a command of the user"])
@pytest.mark.parametrize(
    ("reason", "then"),
    [
        ("launch failed requeued held", "Priority"),
        ("JobHoldMaxRequeue", "Priority"),
        ("job requeued in held state", "job requeued in held state"),  # somebody wanted that
    ],
)
def test_a_job_that_slurm_holds_because_a_node_could_not_launch_it_is_released(
    slurm: ScriptedSlurm, submit: Submit, seen_by: str, reason: str, then: str
) -> None:
    """Nothing else ends it, and the follow-up job would wait for it for ever."""
    submission = submit()
    started_and_failed(submission, canary(slurm, submission))
    array = slurm.batch(f"{submission.id}-1")
    array.reason = reason
    if seen_by == "follow-up job":
        look_after(RESULTS, submission.id)
    else:
        assert unwatched(submission, read()) is None, "its follow-up job waits"
        with Ledger(RESULTS).lock():
            mend(RESULTS, read())
    assert (array.reason, array.over) == (then, False)


def test_trials_whose_jobs_still_end_after_ablate_cancel_are_submitted_by_the_next_run(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    first = submit()
    for key in first.keys:
        request_cancel(RESULTS.trial(key))
    for batch in slurm.batches.values():
        batch.states = ["COMPLETING"] * len(batch.states)
    assert queued(RESULTS, read()) == {}
    assert set(submit().keys) == set(first.keys)


def test_a_run_withdraws_the_request_to_cancel_a_trial_whose_job_waits_with_others(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    key = submit().keys[0]
    request_cancel(RESULTS.trial(key))
    plan = make_plan("tiny", "embedded", RESULTS, queued=queued(RESULTS, read()))
    record_plan(plan, RESULTS, ["test"])
    assert not cancel_requested(RESULTS.trial(key))


def test_a_controller_that_forgot_the_canary_and_the_watcher_leaves_no_job_held(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    submission = submit()
    slurm.forget(f"tiny-{submission.id}-2", f"{submission.id}-follow")
    assert "has disappeared" in (unwatched(submission, read()) or "")
    mended()
    array = slurm.batch(f"{submission.id}-1")
    assert array.reason == "Priority"
    assert slurm.watcher.options["dependency"] == f"afterany:{array.id}"
    assert nobody_is_left_waiting(slurm)


def test_jobs_that_stay_held_because_the_controller_is_busy_are_no_dependency_of_the_watcher(
    slurm: ScriptedSlurm, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = submit()
    canary(slurm, submission).states = ["COMPLETED"]
    done(canary_of(submission))
    monkeypatch.setattr("ablate.run.slurm.follow.release", lambda name: False)
    for _ in range(3):
        follow_submission(RESULTS, submission.id, Path("reports"))
        assert "dependency" not in slurm.watcher.options
    begins = [each.options["begin"] for each in slurm.batches.values() if "begin" in each.options]
    assert begins == ["now+60", "now+120", "now+240"]


def test_once_the_canary_has_ended_its_place_is_used_where_the_number_of_jobs_is_limited(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    submission = submit(most_jobs=3)
    canary(slurm, submission).states = ["RUNNING"]
    look_after(RESULTS, submission.id)
    assert slurm.changed == []
    canary(slurm, submission).states = ["COMPLETED"]
    done(canary_of(submission))
    look_after(RESULTS, submission.id)
    array = slurm.batch(f"{submission.id}-1")
    assert array.options["array"].endswith("%2")
    assert slurm.changed == [(f"jobid={array.id}", "arraytaskthrottle=3")]


def test_a_watcher_that_sbatch_accepted_unheard_is_found_by_its_name(slurm: ScriptedSlurm, submit: Submit) -> None:
    submission = submit()
    canary(slurm, submission).states = ["COMPLETED"]
    slurm.watcher.states = ["COMPLETED"]
    slurm.lost = 1
    follow_submission(RESULTS, submission.id, Path("reports"))
    assert [each.name for each in slurm.batches.values() if "follow" in each.name and not each.over] == [
        f"{submission.id}-follow-2"
    ]
    assert Ledger(RESULTS).watch(submission.id).job == slurm.watcher.id
    assert unwatched(submission, read()) is None


def test_options_that_sbatch_rejects_for_the_watcher_are_left_out(slurm: ScriptedSlurm, submit: Submit) -> None:
    slurm.refuse[r"(?s)mail-type=NEVER.*ablate follow"] = "sbatch: error: Invalid --mail-type specification"
    submission = submit(options={"mail-type": "NEVER"})
    assert Ledger(RESULTS).watch(submission.id).job == slurm.watcher.id
    assert canary(slurm, submission).options["mail-type"] == "NEVER"


def test_a_refused_watcher_is_told_and_the_last_job_of_each_array_does_its_work(
    slurm: ScriptedSlurm, submit: Submit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "sbatch: error: QOSMinGRES"
    slurm.refuse["ablate follow"] = words
    submission = submit()
    assert f"sbatch refuses the follow-up job: {words}; the last job of each" in capsys.readouterr().err
    assert unwatched(submission, read()) == f"sbatch refused the follow-up job: {words}"
    commands: list[list[str]] = []
    monkeypatch.setattr(last.subprocess, "run", lambda command, check: commands.append(command))
    array = submission.arrays[1]
    monkeypatch.setenv("SLURM_JOB_ID", canary(slurm, submission).id)
    see_to_the_watch(RESULTS, submission, array)
    assert commands == [], "its trial has not ended"
    attempt(canary_of(submission), canary(slurm, submission).id, state="failed", cause="exception")
    see_to_the_watch(RESULTS, submission, array, stopping=True)
    assert commands == [], "it has no time"
    see_to_the_watch(RESULTS, submission, array)
    assert commands[0][-5:-4] == [submission.id]
    follow_submission(RESULTS, submission.id, Path("reports"))  # what that command does, within the canary's job
    assert slurm.batch(f"{submission.id}-1").over, "its trials would fail like the canary's"


def test_the_last_job_of_an_array_replaces_a_watcher_that_disappeared_and_asks_slurm_once(
    slurm: ScriptedSlurm, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = submit()
    array = submission.arrays[0]
    number = slurm.batch(f"{submission.id}-1").id
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", number)
    slurm.forget(f"{submission.id}-follow")
    before = slurm.calls["squeue"]
    for index, share in enumerate(array.shares):
        attempt(share.keys[0], f"{number}_{index}", state="failed", cause="exception")
        see_to_the_watch(RESULTS, submission, array)
    assert slurm.calls["squeue"] == before + 1
    assert slurm.watcher.options["dependency"] == f"afterany:{number}"
    assert unwatched(submission, read()) is None


def test_while_squeue_fails_each_watcher_waits_longer_than_the_one_before(slurm: ScriptedSlurm, submit: Submit) -> None:
    submission = submit()
    slurm.squeue_answers = False
    for _ in range(8):
        follow_submission(RESULTS, submission.id, Path("reports"))
    begins = [int(each.options["begin"][4:]) for each in slurm.batches.values() if "begin" in each.options]
    assert begins == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert len(queued(RESULTS, read())) == len(submission.keys), "so nothing is submitted twice"


def test_the_usual_two_watchers_do_not_wait() -> None:
    assert [next_delay(Watch(number=number, sent=0), calm=True) for number in (0, 1, 9)] == [0, 0, 0]


@pytest.mark.parametrize("of", ["ablate.run.slurm.job", "."], ids=["trials", "every job: the account has expired"])
def test_a_refused_wave_is_given_up_with_sbatchs_words_and_the_study_ends_with_its_page_and_notice(
    of: str,
    slurm: ScriptedSlurm,
    submit: Submit,
    tmp_path: Path,
    pages: list[tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    submission = submit(on_finish=["sh", "-c", f"echo $ABLATE_FAILED > {tmp_path}/notice"])
    for batch in list(slurm.batches.values()):
        batch.states, batch.reason = ["NODE_FAIL"] * len(batch.states), "None"
    words = "sbatch: error: Invalid account or account/partition combination specified"
    slurm.refuse[of] = words
    follow_submission(RESULTS, submission.id, Path("reports"))
    given_up = Ledger(RESULTS).end_of(submission.id).given_up
    assert given_up == dict.fromkeys(submission.keys, f"refused: {words}")
    assert pages == [("tiny", "embedded")]
    assert (tmp_path / "notice").read_text().strip() == str(len(submission.keys))
    assert Ledger(RESULTS).open() == []
    assert f"will not be retried: refused: {words}" in capsys.readouterr().out


def test_a_full_disk_is_told_to_the_user_and_the_next_command_watches_again(
    slurm: ScriptedSlurm, submit: Submit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    submission = submit(on_finish=["touch", f"{tmp_path}/notice"])
    for batch in list(slurm.batches.values()):
        batch.states = ["COMPLETED"] * len(batch.states)

    def full(*anything: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        for name in ("ledger.write_json", "scheduler.write_text"):
            patch.setattr(f"ablate.run.slurm.{name}", full)
        with pytest.raises(OSError, match="No space left"):
            follow_submission(RESULTS, submission.id, Path("reports"))
    assert (tmp_path / "notice").exists()
    assert "was COMPLETED" in (unwatched(submission, read()) or "")
    mended()
    assert unwatched(submission, read()) is None


def test_without_accounting_a_forgotten_job_that_was_cancelled_is_not_retried(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    submission = submit()
    first = canary(slurm, submission)
    attempt(canary_of(submission), first.id, state="interrupted", cause="stopped")
    slurm.forget(first.name)
    slurm.batch(f"{submission.id}-1").states = ["CANCELLED"] * len(submission.arrays[0].shares)
    step = look_after(RESULTS, submission.id)
    assert step.next is None
    given_up = step.given_up or {}
    assert set(given_up) == set(submission.keys)
    assert given_up[canary_of(submission)].startswith(
        f"cancelled: job {first.id} was ended by SIGTERM, as scancel does"
    )


def test_the_accounting_says_who_cancelled(slurm: ScriptedSlurm, submit: Submit, pages: list[tuple[str, str]]) -> None:
    submission = submit()
    first = canary(slurm, submission)
    slurm.accounting[first.name] = f"{first.id}|CANCELLED by 0|node1|0:15"
    first.states = ["CANCELLED"]
    attempt(canary_of(submission), first.id)
    look_after(RESULTS, submission.id)
    (path,) = RESULTS.trial(canary_of(submission)).attempt_folders()
    assert "was CANCELLED on node1 (by root)" in (path / "events.jsonl").read_text()
    slurm.batch(f"{submission.id}-1").states = ["CANCELLED"] * len(submission.arrays[0].shares)
    follow_submission(RESULTS, submission.id, Path("reports"))
    why = Ledger(RESULTS).why_given_up(canary_of(submission))
    assert why == f"cancelled: job {first.id} was CANCELLED on node1 (by root)"


@pytest.mark.parametrize(
    ("state", "cause"), [("NODE_FAIL", "node_failure"), ("OUT_OF_MEMORY", "out_of_memory"), ("FAILED", "rank_lost")]
)
def test_what_slurm_knows_of_a_job_comes_before_the_lost_rank_that_it_explains(
    slurm: ScriptedSlurm, submit: Submit, state: str, cause: str
) -> None:
    submission = submit()
    key, first = canary_of(submission), canary(slurm, submission)
    attempt(key, first.id, state="failed", cause="rank_lost", message="rank-1 ended without a note")
    first.states = [state]
    (unfinished,) = [each for each in unfinished_trials(RESULTS, submission, read()) if each.key == key]
    assert unfinished.cause == cause


def test_a_waiting_run_replaces_a_watcher_that_was_lost(
    slurm: ScriptedSlurm, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = submit()
    canary(slurm, submission).states = ["RUNNING"]
    slurm.forget(slurm.watcher.name)
    followed: list[str] = []
    waiting._watch(RESULTS, submission, followed.append)
    assert unwatched(submission, read()) is not None, "it has just been submitted: squeue may not show it yet"
    later = Ledger(RESULTS).watch(submission.id).sent + 121
    monkeypatch.setattr(waiting.time, "time", lambda: later)
    waiting._watch(RESULTS, submission, followed.append)
    assert unwatched(submission, read()) is None
    assert followed == []
    slurm.forget(slurm.watcher.name)
    slurm.refuse["-follow"] = "sbatch: error: no more jobs"
    later += 1000
    waiting._watch(RESULTS, submission, followed.append)
    assert followed == [submission.id], "where sbatch refuses the job, the waiting process does its work"


def test_a_killed_trial_gets_no_more_memory_than_a_node_has(slurm: ScriptedSlurm, submit: Submit) -> None:
    submission = submit()
    key = canary_of(submission)
    attempt(key, canary(slurm, submission).id, state="failed", cause="out_of_memory", message="")
    for batch in list(slurm.batches.values()):
        batch.states = ["COMPLETED"] * len(batch.states)
    for share in submission.arrays[0].shares:
        done(share.keys[0])
    step = look_after(RESULTS, submission.id)
    assert step.next is None, "8 GB were assumed before, and the largest node has 4,000 MiB"
    assert (step.given_up or {}).keys() == {key}


def test_status_says_what_trials_wait_for_who_watches_and_what_it_cost(slurm: ScriptedSlurm, submit: Submit) -> None:
    submission = submit()
    first = canary(slurm, submission)
    first.states, first.reason = ["RUNNING"], "None"
    attempt(canary_of(submission), first.id, state="interrupted", cause="preempted")
    others = len(submission.keys) - 1

    def standing() -> OnCluster:
        queue = read()
        with open_store(RESULTS) as store:
            (found,) = on_clusters(store, RESULTS, queue, waiting_trials(RESULTS, queue))
        return found

    found = standing()
    assert found.waiting == {"JobHeldUser": others, "RUNNING": 1}
    assert found.watched_by == f"job {slurm.watcher.id} is PENDING (Priority)"
    assert (found.unit, 0 < found.hours < 1) == ("node-hours", True)
    slurm.watcher.states = ["FAILED"]
    assert standing().text.endswith(
        f"nobody is watching: follow-up job {slurm.watcher.id} was FAILED (Priority); "
        f"ablate run tiny --on big repairs that; {found.hours:.3g} node-hours so far"
    )


def test_status_is_silent_about_a_study_whose_results_are_complete_and_whose_page_is_being_written(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    for key in submit().keys:
        done(key)
    slurm.watcher.states = ["RUNNING"]
    with open_store(RESULTS) as store:
        assert on_clusters(store, RESULTS, read(), {}) == ()
        slurm.watcher.states = ["FAILED"]
        assert len(on_clusters(store, RESULTS, read(), {})) == 1


def test_trials_of_jobs_that_are_being_submitted_are_queued_and_not_new(
    slurm: ScriptedSlurm, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    send = slurm.ask

    def ask(command: str, *options: str) -> str:
        if command == "sbatch":
            seen.append(waiting_trials(RESULTS, read()))
        return send(command, *options)

    monkeypatch.setattr(scheduler, "ask", ask)
    submission = submit()
    assert [len(waiting) for waiting in seen] == [len(submission.keys)] * 3
    assert set(seen[0].values()) == {SENDING}


def test_where_nodes_cannot_submit_no_job_watches_and_ablate_watch_does_the_work(
    slurm: ScriptedSlurm, submit: Submit, pages: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    first = submit(follow_up={"by": "login"})
    assert "keep ablate watch running on a login node" in capsys.readouterr().err
    assert unwatched(first, read()) == ON_LOGIN
    canary(slurm, first).states = ["NODE_FAIL"]
    watch_submissions(RESULTS, Path("reports"), once=True)
    array = slurm.batch(f"{first.id}-1")
    assert array.reason == "Priority", "the canary is over, through no fault of its trial"
    array.states = ["NODE_FAIL"] * len(array.states)
    sent = slurm.calls["sbatch"]
    see_to_the_watch(RESULTS, first, first.arrays[0])
    assert slurm.calls["sbatch"] == sent, "a job on a node would be refused"
    watch_submissions(RESULTS, Path("reports"), once=True)
    (second,) = Ledger(RESULTS).open()
    assert set(second.keys) == set(first.keys)
    for batch in slurm.batches.values():
        batch.states = ["COMPLETED"] * len(batch.states)
    for key in second.keys:
        done(key)
    watch_submissions(RESULTS, Path("reports"), once=False)  # returns, since nothing is left
    assert Ledger(RESULTS).open() == []
    assert pages == [("tiny", "embedded")]
    assert not any("follow" in batch.name for batch in slurm.batches.values())


def test_a_second_run_of_a_study_waits_behind_the_jobs_of_the_first_if_their_number_is_limited(
    slurm: ScriptedSlurm, submit: Submit
) -> None:
    first = submit(most_jobs=2)
    running = {each.id for each in slurm.batches.values() if "follow" not in each.name}
    plan = make_plan("tiny", "embedded", RESULTS, seeds=range(2))
    record_plan(plan, RESULTS, ["test"])
    table = first.cluster
    second = submit_plan(plan, RESULTS, RunOptions(cluster=table))
    assert second is not None
    assert not set(second.keys) & set(first.keys)
    for array in second.arrays:
        waits = set(slurm.batch(array.name).options["dependency"].removeprefix("afterany:").split(":"))
        assert waits == running
    third = submit_plan(make_plan("tiny", "embedded", RESULTS, seeds=range(3)), RESULTS, RunOptions(cluster=Cluster()))
    assert third is not None
    assert third.behind == (), "another cluster has limits of its own"


@pytest.fixture
def both(slurm: ScriptedSlurm, submit: Submit) -> tuple[str, str]:
    """Two submissions of one study whose jobs have ended."""
    first = submit()
    second = first.model_copy(update={"id": f"{first.id}-second"})
    Ledger(RESULTS).write(second)
    for key in first.keys:
        done(key)
    for batch in slurm.batches.values():
        batch.states = ["COMPLETED"] * len(batch.states)
    return first.id, second.id


def test_of_submissions_of_a_study_that_end_at_the_same_moment_one_writes_the_page(
    both: tuple[str, str], pages: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    end, slowly = Ledger.end, threading.Event()
    monkeypatch.setattr(Ledger, "end", lambda ledger, *how: (slowly.wait(0.5), end(ledger, *how)))
    jobs = [threading.Thread(target=follow_submission, args=(RESULTS, id, Path("reports"))) for id in both]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert Ledger(RESULTS).open() == []
    assert pages == [("tiny", "embedded")]


def test_a_page_is_written_again_if_another_submission_of_the_study_has_ended_meanwhile(
    both: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = both
    record = RESULTS.submissions / second / "submission.json"
    text = record.read_text()
    record.unlink()
    pages = []

    def write_report(results: Results, study: str, profile: str, reports: Path) -> Path:
        pages.append(study)
        if len(pages) == 1:
            record.write_text(text)
            record.chmod(0o644)
            follow_submission(RESULTS, second, Path("reports"))
        return reports

    monkeypatch.setitem(sys.modules, "ablate.report.formats", SimpleNamespace(write_report=write_report))
    follow_submission(RESULTS, first, Path("reports"))
    assert len(pages) == 2
