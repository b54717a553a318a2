"""A command as a trial, with all the ways in which it can end: the same record as for a function."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ablate.command.config import Command, Settings
from ablate.command.files import hashes, needed
from ablate.records.files import Results, write_json
from ablate.run.attempt import run_trial
from ablate.run.causes import Outcome
from ablate.run.pool import Pool
from ablate.trainer.find import COMMAND_TRAINER


def ask(
    results: Results,
    words: list[str],
    metrics: str = "stdout",
    key: str = "abc",
    files: Sequence[str] = (),
    **settings: Any,
) -> str:
    command = Command(words=tuple(words), metrics=metrics, environment={"EXTRA": "seed {seed}"})
    command = command.model_copy(update={"files": hashes(Path.cwd(), needed(Path.cwd(), words, files))})
    config = {**Settings(seed=3, command=command).model_dump(mode="json"), **settings}
    spec = {"key": key, "pretrain_key": f"pre-{key}", "trainer": COMMAND_TRAINER, "recipe_version": 1}
    write_json(results.trial(key).trial, {**spec, "config": config})
    return key


Run = Callable[..., Outcome]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.chdir(tmp_path)
    return Results(tmp_path / "results")


@pytest.fixture
def run(results: Results) -> Run:
    """Runs a command in this process and returns how it ended."""

    def run(
        words: list[str], metrics: str = "stdout", stopping: Callable[[], bool] = lambda: False, **settings: Any
    ) -> Outcome:
        return run_trial(results, ask(results, words, metrics, **settings), "test", stopping=stopping)

    return run


def metrics_of(results: Results) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(results.trial("abc").result.read_text())["metrics"]
    return found


def sh(script: str) -> list[str]:
    return ["sh", "-c", script.replace("{", "{{").replace("}", "}}")]


FAILURES = [
    (sh("echo 'no data here' >&2; exit 3"), "stdout", "exit_code", "ended with exit code 3: no data here"),
    (sh("kill -SEGV $$"), "stdout", "signal", "ended by SIGSEGV"),
    (sh("kill -KILL $$"), "stdout", "killed", "killed (SIGKILL)"),
    (sh("exit 137"), "stdout", "killed", "killed (SIGKILL)"),
    (["no-such-program"], "stdout", "not_started", "'no-such-program' cannot be started: No such file"),
    (["/etc/passwd"], "stdout", "not_started", "Permission denied"),
    (sh("true"), "stdout", "metrics_missing", "printed no JSON object"),
    (sh("true"), "{out}/metrics.json", "metrics_missing", "without writing"),
    (sh("true"), "(?P<acc>[0-9]+)", "metrics_missing", "matches metrics"),
    (sh("echo '{' > metrics.json"), "{out}/metrics.json", "metrics_unreadable", "is not valid JSON"),
    (sh("echo '[1]' > metrics.json"), "metrics.json", "metrics_unreadable", "has a list; expected an object"),
    (sh("echo 'CUDA out of memory' >&2; exit 1"), "stdout", "out_of_memory", "CUDA out of memory; more memory may"),
    (sh("echo 'write: No space left on device' >&2; exit 1"), "stdout", "disk_full", "no space left"),
]


@pytest.mark.parametrize(("words", "metrics", "cause", "message"), FAILURES)
def test_each_end_of_a_command_has_its_cause(
    run: Run, words: list[str], metrics: str, cause: str, message: str
) -> None:
    outcome = run(words, metrics)
    assert (outcome["state"], outcome["cause"]) == ("failed", cause)
    assert message in outcome["message"]


@pytest.mark.parametrize(
    ("script", "by_signal"),
    [
        ("kill -KILL $$", True),
        ("exit 139", True),
        ("echo 'out of memory' >&2; kill -ABRT $$", True),
        ("exit 1", False),
        ("exit 255", False),
    ],
)
def test_a_command_that_a_signal_ended_is_known_whatever_the_cause(run: Run, script: str, by_signal: bool) -> None:
    assert run(sh(script)).get("by_signal", False) == by_signal


def test_the_numbers_the_curves_and_the_log_of_a_command_are_recorded(run: Run, results: Results) -> None:
    script = """echo "lr=$1"; echo epoch=1 loss=0.5; echo "epoch: 2 loss: 0.25" >&2; echo '{"acc": 0.9, "note": "x"}'"""
    assert run([*sh(script), "sh", "{lr}"], lr=0.1)["state"] == "done"
    assert metrics_of(results) == {"acc": 0.9, "note": "x"}
    (attempt,) = results.trial("abc").attempt_folders()
    rows = [json.loads(line) for line in (attempt / "metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows if "loss" in row] == [0.5, 0.25]
    assert "epoch=1 loss=0.5" in (attempt / "stdout").read_text()
    assert (attempt / "stderr").read_text() == "epoch: 2 loss: 0.25\n"


def test_a_command_finds_its_settings_and_places_in_words_and_environment(run: Run, results: Results) -> None:
    code = "import os,json,sys; print(json.dumps(dict(os.environ, words=sys.argv[1:], here=os.getcwd())))"
    words = [sys.executable, "-c", code, "{seed}", "{key}", "{out}", "{checkpoints}", "{project}", "{device}"]
    assert run(words, lr=0.1, sizes=[1, 2], model="small", clip=None)["state"] == "done"
    found = metrics_of(results)
    out = results.trial("abc").attempt_folders()[0] / "out"
    places = ["3", "abc", str(out), str(results.pretrained("pre-abc")), str(Path.cwd()), "cpu"]
    assert found["words"] == places
    assert found["here"] == str(out)
    assert (found["ABLATE_LR"], found["ABLATE_SIZES"], found["ABLATE_MODEL"]) == ("0.1", "[1, 2]", "small")
    assert "ABLATE_CLIP" not in found
    assert found["ABLATE_OUT"] == str(out)
    assert found["EXTRA"] == "seed 3"


def test_a_command_that_is_stopped_saves_its_state_and_the_next_attempt_resumes(run: Run, results: Results) -> None:
    script = """
      state="$1/state"
      [ -f "$state" ] && { echo '{"acc": 1}'; exit 0; }
      trap 'echo saved > "$state"; exit 0' TERM
      echo ready=1; while :; do sleep 0.05; done
    """
    words = [*sh(script), "sh", "{checkpoints}"]
    log = results.trial("abc").attempts / "001-test/stdout"
    outcome = run(words, stopping=lambda: log.exists() and "ready" in log.read_text())
    assert (outcome["state"], outcome["cause"]) == ("interrupted", "stopped")
    assert run(words)["state"] == "done"
    assert metrics_of(results) == {"acc": 1}


def test_a_command_lives_on_when_slurm_announces_the_end_of_its_job_to_all_processes(run: Run) -> None:
    assert run(sh("kill -USR2 $$; echo '{\"acc\": 1}'"))["state"] == "done"


@pytest.mark.parametrize("ends", ["kill -TERM $$", "exit 0"])
def test_a_command_that_hears_the_signal_to_stop_by_itself_was_interrupted(
    run: Run, results: Results, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr("ablate.command.trainer._POLL_SECONDS", 60)
    ended = results.root / "ended"
    outcome = run(sh(f"sleep 1; touch {ended}; {ends}"), stopping=ended.exists)
    assert outcome["state"] == "interrupted"


def test_a_command_that_does_not_stop_is_killed_with_all_its_processes(
    run: Run, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.command.trainer.GRACE_SECONDS", 0.3)
    script = "trap '' TERM; sleep 60 & echo child=$!; echo ready=1; wait; sleep 60"
    log = results.trial("abc").attempts / "001-test/stdout"
    outcome = run(sh(script), stopping=lambda: log.exists() and "ready" in log.read_text())
    assert outcome["state"] == "interrupted"
    child = int(log.read_text().partition("=")[2].split()[0])
    until = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)


ARGPARSE = """
import argparse, json, pathlib
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float); p.add_argument("--sizes", type=int, nargs="+")
p.add_argument("--amp", action="store_true")
p.add_argument("--out", type=pathlib.Path)
a = p.parse_args()
(a.out / "metrics.json").write_text(json.dumps({"acc": a.lr * sum(a.sizes) * (2 if a.amp else 1)}))
"""
HYDRA = """
import hydra, json
@hydra.main(version_base=None, config_path="configs", config_name="base")
def main(cfg):
    print(json.dumps({"acc": cfg.lr * cfg.model.width}))
main()
"""
LIGHTNING = """
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import DemoModel, BoringDataModule
import json
cli = LightningCLI(DemoModel, BoringDataModule, run=False, save_config_callback=None)
print(json.dumps({"acc": cli.model.learning_rate}))
"""
PERL = 'use strict; my ($lr, $seed) = @ARGV; printf("accuracy=%g\\n", $lr * $seed);'
R = 'a <- as.numeric(commandArgs(TRUE)); cat(sprintf("accuracy=%g\\n", a[1] * a[2]))'


def test_a_python_script_with_argparse_is_a_trainer(run: Run, results: Results) -> None:
    Path("train.py").write_text(ARGPARSE)
    words = [sys.executable, "train.py", "--lr", "{lr}", "--sizes", "{sizes}", "{amp:--amp}", "--out={out}"]
    assert run(words, "{out}/metrics.json", lr=0.5, sizes=[2, 4], amp=True)["state"] == "done"
    assert metrics_of(results) == {"acc": 6.0}


@pytest.mark.parametrize(("program", "script"), [("perl", PERL), ("Rscript", R)])
def test_a_script_of_another_language_is_a_trainer(run: Run, results: Results, program: str, script: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    Path("train.x").write_text(script)
    assert run([program, "train.x", "{lr}", "{seed}"], r"accuracy=(?P<acc>\S+)", lr=0.5)["state"] == "done"
    assert metrics_of(results) == {"acc": 1.5}


def test_a_hydra_application_is_a_trainer(run: Run, results: Results) -> None:
    pytest.importorskip("hydra")
    Path("configs").mkdir()
    Path("configs/base.yaml").write_text("lr: 0.1\nmodel:\n  width: 1\n")
    Path("train.py").write_text(HYDRA)
    words = [sys.executable, "train.py", "lr={lr}", "model.width={width}", "hydra.run.dir={out}/hydra"]
    assert run(words, files=["configs"], lr=0.5, width=4)["state"] == "done"
    assert metrics_of(results) == {"acc": 2.0}


def test_a_lightning_cli_is_a_trainer(run: Run, results: Results) -> None:
    pytest.importorskip("lightning")
    pytest.importorskip("jsonargparse")
    Path("train.py").write_text(LIGHTNING)
    assert run([sys.executable, "train.py", "--model.learning_rate={lr}"], lr=0.25)["state"] == "done"
    assert metrics_of(results) == {"acc": 0.25}


def test_in_a_pool_a_command_ends_with_the_run_and_leaves_no_process(results: Results) -> None:
    Path("train.sh").write_text("sleep 300 & echo child=$!\necho '{\"acc\": 1}'\n")
    keys = [ask(results, ["sh", "train.sh"], key="one"), ask(results, sh("echo ready=1; sleep 300"), key="two")]
    log = results.trial("two").attempts / "001-local/stdout"
    outcomes: dict[str, Outcome] = {}

    def stop() -> None:
        if log.exists() and "ready" in log.read_text() and pool.workers:
            outcomes.update(pool.stop())

    with Pool(results, 1, 1, "cpu") as pool:
        for key, outcome in pool.run({key: key for key in keys}, tick=stop):
            outcomes[key] = outcome
    assert [outcomes[key]["state"] for key in keys] == ["done", "interrupted"]
    child = int((results.trial("one").attempt_folders()[0] / "stdout").read_text().partition("=")[2].split()[0])
    assert not Path(f"/proc/{child}").exists()
