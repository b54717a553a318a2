"""Records written by hand: a study of a few trials in every state, without training anything."""

import json
import os
import time
from pathlib import Path
from typing import Any

from ablate.records.attempt import AttemptWriter
from ablate.records.files import Results, write_json
from ablate.records.plan_file import parse_plan
from ablate.records.plans import save_plan


def key_of(number: int) -> str:
    """A key that begins with the number's own digits: 1 -> 0001ffff..."""
    return f"{number:04x}".ljust(64, "f")


def write_trial(
    results: Results,
    key: str,
    state: str = "done",
    cause: str | None = None,
    message: str | None = None,
    numbers: dict[str, Any] | None = None,
    losses: tuple[float, ...] = (2.0, 1.0),
    printed: str = "",
    pretrain_key: str | None = None,
    config: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    host: str = "elsewhere",
) -> Path:
    """One attempt more at a trial, ended as `state` says; returns its folder."""
    folder = results.trial(key)
    spec = {"key": key, "pretrain_key": pretrain_key or f"e{key[1:]}", "trainer": "a:b", "recipe_version": 3}
    write_json(folder.trial, spec | {"config": config or {"seed": 0, "epochs": len(losses)}})
    writer = AttemptWriter(folder.new_attempt("local"))
    writer.event("started", host=host, pid=1, device="cpu")
    if environment is not None:
        writer.environment(environment)
    for epoch, loss in enumerate(losses, 1):
        writer.metrics({"phase": "pretrain", "epoch": epoch, "loss": loss})
    (writer.path / "stderr").write_text(printed)
    if state == "done":
        metrics = {"top1": 50.0} if numbers is None else numbers
        write_json(folder.result, {"key": key, "attempt": writer.path.name, "seconds": 3.0, "metrics": metrics})
    if state != "running":
        writer.event("ended", state=state, cause=cause, message=message)
    writer.close()
    return writer.path


def write_plan(
    results: Results,
    cells: dict[str, dict[str, Any]],
    study: str = "mine",
    profile: str = "embedded",
    design: str = "d",
    metric: str | None = None,
) -> None:
    """A plan of these trials: key -> axes, with `case` and `seed` among them where there are such."""
    trials = []
    for key, cell in cells.items():
        axes = {name: value for name, value in cell.items() if name not in ("case", "seed")}
        trials.append({"key": key, "seed": cell.get("seed", 0), "axes": axes, "case": cell.get("case")})
    write_plan_of(results, trials, study, profile, design, metric)


def write_plan_of(
    results: Results,
    trials: list[dict[str, Any]],
    study: str = "mine",
    profile: str = "embedded",
    design: str = "d",
    metric: str | None = None,
) -> None:
    """A plan of trials as plan files have them: two of them may be one key."""
    values: dict[str, dict[str, Any]] = {}
    for trial in trials:
        for name, value in trial["axes"].items():
            values.setdefault(name, {})[json.dumps(value)] = value
    axes = [{"name": name, "values": list(each.values())} for name, each in values.items()]
    cases = [{"name": name, "label": name} for name in {trial["case"]: None for trial in trials if trial["case"]}]
    about = {"study": study, "profile": profile, "design": design, "title": study, "question": "which is best?"}
    about |= {"axes": axes, "cases": cases, "trials": trials}
    save_record(results, study, about | ({"metric": metric} if metric else {}))


def save_record(results: Results, study: str, record: dict[str, Any]) -> Path:
    """A plan file with these fields, as an earlier version may have written it; returns its path."""
    least: dict[str, Any] = {"profile": "embedded", "design": "d", "axes": [], "cases": [], "trials": []}
    return save_plan(results, parse_plan(least | record | {"study": study}))


def make_old(folder: Path, days: float = 2) -> None:
    """Set the times of a file, or of a folder with all in it, back by some days."""
    then = time.time() - days * 86_400
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then))
