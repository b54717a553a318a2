"""Trials in words: what `ablate show`, `diff` and `why` print."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ablate.commands.output import Column
from ablate.errors import visible
from ablate.records.plain import LONGEST, ago, plural
from ablate.study.cells.cell import is_number

if TYPE_CHECKING:
    from ablate.records.compare import Comparison
    from ablate.records.detail import Attempt, Curve, Detail

Facts = list[tuple[str, str]]
_BLOCKS = "▁▂▃▄▅▆▇█"
_NO_NUMBER = "?"
_LONGEST_CURVE = 60


def facts(detail: "Detail") -> Facts:
    """Everything known about a trial, as (what, text)."""
    found: Facts = [("key", detail.key)]
    found += [("cell", f"{cell.study} [{cell.profile}]  {cell.label}") for cell in detail.cells]
    if not detail.cells:
        found.append(("cell", "none: it is in no study's current version"))
    ended = f"{detail.cause}: {detail.message}" if detail.cause else detail.message or ""
    found.append(("state", f"{detail.state}  {ended}".strip()))
    found += [("attempt", attempt_in_words(attempt)) for attempt in detail.attempts]
    found += [("seconds", text(detail.seconds))] if detail.seconds is not None else []
    found += [("result", f"{name} {text(value)}") for name, value in detail.numbers.items()]
    found += [("warning", warning) for warning in detail.warnings]
    if detail.curve.losses:
        found.append(("loss", curve_in_words(detail.curve, detail.key)))
    found += _settings(detail)
    found += [("ran with", line) for line in surroundings_in_words(detail.environment)]
    return found


def attempt_in_words(attempt: "Attempt") -> str:
    """`001-local  done  vm, cpu  began 2026-03-01 14:03  took 12 s`."""
    parts = [attempt.name, f"{attempt.state}: {attempt.cause}" if attempt.cause else attempt.state]
    if where := ", ".join(filter(None, (attempt.host, attempt.device))):
        parts.append(visible(where, LONGEST))
    if attempt.started:
        parts.append(f"began {datetime.fromtimestamp(attempt.started):%Y-%m-%d %H:%M}")
    if attempt.started and attempt.ended:
        parts.append(f"took {ago(attempt.ended - attempt.started)}")
    return "  ".join(parts)


def curve_in_words(curve: "Curve", key: str) -> str:
    """A line of blocks, with the first and the last loss."""
    numbers = [loss for loss in curve.losses if loss is not None]
    ends = f"{numbers[0]:.4g} to {numbers[-1]:.4g}" if numbers else "never a number"
    unit = "epoch" if curve.along == "epoch" and all(place == int(place) for place in curve.at) else "row"
    shared = f" (pretraining shared with {curve.of[:12]})" if curve.of != key else ""
    return f"{sparkline(curve.losses)}  {ends} in {plural(len(curve.at), unit)}{shared}"


def sparkline(values: Sequence[float | None], longest: int = _LONGEST_CURVE) -> str:
    """One block per value, or per few values of a long series; ? for values that are not numbers."""
    count = min(len(values), longest)
    chosen = [values[(2 * place + 1) * len(values) // (2 * count)] for place in range(count)]
    numbers = [value for value in chosen if value is not None]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    low, span = low / 2, high / 2 - low / 2  # halves: the difference of finite numbers may be infinite
    places = [0.0 if value is None or not span else (value / 2 - low) / span for value in chosen]
    blocks = [_BLOCKS[round(place * (len(_BLOCKS) - 1))] for place in places]
    return "".join(_NO_NUMBER if value is None else block for value, block in zip(chosen, blocks, strict=True))


def _project(known: dict[str, Any]) -> str:
    commit, changes = str(known.get("commit") or ""), ", with changes" if known.get("modified") else ""
    return f"trainer {known.get('name')}, commit {commit[:12]}{changes}" if commit else ""


def surroundings_in_words(environment: dict[str, Any]) -> list[str]:
    """The environment of an attempt, one line per subject; subjects without a fact are left out."""
    known = {name: value for name, value in environment.items() if value is not None}
    commit = str(known.get("commit", ""))[:12]
    modified = ", with changes" if known.get("modified") else ""
    lines = [
        ", ".join(str(known[name]) for name in ("host", "device", "processor", "platform") if name in known),
        f"commit {commit}{modified}" if commit else "",
        _project(known.get("project") or {}),
        f"code {known['code']}" if "code" in known else "",
        ", ".join(f"{name} {version}" for name, version in known.get("packages", {}).items() if version),
        f"python {known['python']}" if "python" in known else "",
        f"threads {known['threads']}" if "threads" in known else "",
        f"driver {known['driver']}" if "driver" in known else "",
        f"plan {known['plan']}" if "plan" in known else "",
        ", ".join(f"{known[name]}" for name in ("imported_from", "source_place") if name in known),
        "slurm " + ", ".join(f"{name} {value}" for name, value in known["slurm"].items()) if "slurm" in known else "",
        f"command {' '.join(map(str, known['command']))}" if "command" in known else "",
    ]
    return [line for line in lines if line]


def text(value: Any) -> str:
    """A value as in a study file, with six digits of a number; a long text is cut."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return visible(value if isinstance(value, str) else json.dumps(value, default=str), LONGEST)


DIFFERENCES = (
    Column("part"), Column("what", least=20), Column("left", least=14), Column("right", least=14),
    Column("change", right=True, rank=1),
)  # fmt: skip


def differences(comparison: "Comparison") -> list[tuple[str, Any, Any, Any, Any]]:
    """One row per difference, with the values of both trials."""
    parts = (("setting", comparison.settings), ("result", comparison.numbers), ("ran with", comparison.environments))
    rows: list[tuple[str, Any, Any, Any, Any]] = []
    for part, found in parts:
        for each in found:
            numbers = part == "result" and is_number(each.left) and is_number(each.right)
            change = each.right - each.left if numbers else None
            rows.append((part, each.name, _cell(each.left), _cell(each.right), change))
    return rows


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, float)) else json.dumps(value, default=str)


def _settings(detail: "Detail") -> Facts:
    """The trainer and the settings, one line per table of the configuration."""
    from ablate.records.compare import flat

    plain = {name: value for name, value in detail.config.items() if not isinstance(value, dict)}
    parts = {"": plain, **{name: value for name, value in detail.config.items() if isinstance(value, dict)}}
    found: Facts = []
    if detail.trainer:
        found.append(("trainer", f"{detail.trainer}, recipe version {detail.recipe_version}"))
    for part, settings in parts.items():
        if line := ", ".join(f"{name} {text(value)}" for name, value in flat(settings).items()):
            found.append(("settings", f"{part}: {line}" if part else line))
    return found


_HELP = {
    "done": "set `metric` in the study to a number that the trial returned, or remove the trial's folder: ablate run "
    "then trains it again",
    "diverged": "a number that the trainer computes became NaN or infinite",
    "metric": "have the trainer return the study's metric as a finite number, or set `metric` in the study to a number "
    "that it returns",
    "out_of_memory": "run fewer trials at once (--workers) or use a machine with more memory",
    "disk_full": "free some space on the disk of the results folder: ablate gc --dry-run lists what can be removed",
    "data": "check the data folder named in the settings: it must exist, be complete, and have the expected layout. "
    "ablate data verify DIR checks a pack",
    "trainer": "the trial was planned for another version of the trainer: plan it again with ablate run",
    "config": "the trainer no longer accepts these settings: plan the trial again with ablate run",
    "record": "the trial's trial.json is missing or damaged: ablate run writes it again",
    "damaged": "a file of the trial's record cannot be read. If permission is denied, chmod -R u+rwX its folder. If "
    "the file is damaged: without a result, ablate run STUDY rewrites trial.json; otherwise remove the trial's folder",
    "gpu_error": "CUDA stopped working while the trial ran: with CUDA_LAUNCH_BLOCKING=1 the log names the operation. "
    "If other trials fail alike on the same GPU, its driver or the GPU itself may be at fault: see dmesg",
    "exception": "the end of the log names the line; --inline runs the trial in this process, so that a debugger works",
    "killed": "the operating system killed the process, usually for lack of memory: run fewer trials at once "
    "(--workers) and check dmesg",
    "lost": "the machine or the process disappeared; the same command resumes from the last checkpoint",
    "stopped": "the run was stopped; the same command resumes from the last checkpoint",
    "cancelled": "the trial was cancelled; ablate run or ablate retry resumes it from its last checkpoint",
    "preempted": "the job was preempted; the trial resumes from its last checkpoint when it is started again",
    "node_failure": "the node failed; on a cluster the trial is retried on another node, from its last checkpoint",
    "rank_lost": "a process of the trial was killed, or its node failed: the job's own log has srun's words. On a "
    "cluster the trial is retried on other nodes, from its last checkpoint",
    "requeued": "the job was requeued; the trial resumes from its last checkpoint",
    "not_begun": "the job ended before the trial began: see the job's own log; ablate doctor --on NAME checks whether "
    "jobs find this Python",
    "unsaved": "the time limit was reached before the trial saved anything: allow more time (time in [resources] of "
    "the study, or in ablate.toml), or have the trainer save into context.checkpoints",
    "timeout": "the time limit was reached: the trial resumes from its last checkpoint when it is started again; or "
    "allow more time",
}


def what_helps(detail: "Detail") -> str:
    """Advice for the cause of a failed or interrupted trial; also the trainer's own, if it has any."""
    from ablate.trainer.find import remedy

    cause = detail.state if detail.state == "done" else detail.cause or detail.state
    known = _HELP.get(cause, "see the end of the log; ablate logs TRIAL prints all of it")
    own = remedy(detail.trainer, cause)
    return f"{known}: {own}" if own else known
