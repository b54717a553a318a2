"""A trainer for the cluster: it is fast, resumes from its own state, and fails as its settings say.

It is copied into a project's folder as `small.py`, where jobs find it like any custom trainer.
"""

import json
import os
import time
from pathlib import Path

from pydantic import BaseModel


class Settings(BaseModel):
    seed: int = 0
    x: int = 0
    does: str = "train"
    seconds: float = 0.0
    """Duration of all steps together."""
    steps: int = 10
    slow_attempts: int | None = None
    """Number of attempts that take that time; later ones are fast. Default: all."""
    diary: Path | None = None
    """Each attempt adds a line: the trial, and the step that it starts with."""


def train(config: Settings, context: object) -> dict[str, float]:
    from ablate.trainer.contract import Interrupted

    context.checkpoints.mkdir(parents=True, exist_ok=True)
    saved = context.checkpoints / "state.json"
    done, value = json.loads(saved.read_text()) if saved.exists() else (0, 0.0)
    if config.diary:
        with config.diary.open("a") as diary:
            diary.write(f"{config.x} {config.seed} {done}\n")
    fast = config.slow_attempts is not None and len(config.diary.read_text().splitlines()) > config.slow_attempts
    while done < config.steps:
        context.progress(done, config.steps, lambda value=value: {"value": value})
        if context.world.agree(context.stopping(), context.device):
            if config.does != "forget":
                saved.write_text(json.dumps([done, value]))
            raise Interrupted
        last = context.world.rank == context.world.size - 1
        if config.does in ("raise", f"raise at {config.x}") or (config.does == "raise on the last rank" and last):
            raise RuntimeError("boom")
        where = {"die on the first rank": 0, "die on the last rank": context.world.size - 1}
        if done == config.steps // 2 and where.get(config.does) == context.world.rank:
            died = context.checkpoints / "died"  # once: the next attempt lives
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), 9)
        if config.does == "die" and done == config.steps // 2:
            os.kill(os.getpid(), 9)
        value = (value * 1.1 + config.x + config.seed) % 17
        done += 1
        time.sleep(0 if fast else config.seconds / config.steps)
    return {"top1": value}
