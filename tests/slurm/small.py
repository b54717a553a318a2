"""A trainer for the cluster: quick, it goes on from what it saved, and does what its settings say.

It is copied into a project's folder as `small.py`, where jobs find it as they would find anybody's.
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
    """Of all steps together."""
    steps: int = 10
    slow_attempts: int | None = None
    """Only so many attempts take that time; later ones hurry."""
    diary: Path | None = None
    """A line is added to it by each attempt: the trial, and the step that it begins with."""


def train(config: Settings, context: object) -> dict[str, float]:
    from ablate.simclr.context import Interrupted

    context.checkpoints.mkdir(parents=True, exist_ok=True)
    saved = context.checkpoints / "state.json"
    done, value = json.loads(saved.read_text()) if saved.exists() else (0, 0.0)
    if config.diary:
        with config.diary.open("a") as diary:
            diary.write(f"{config.x} {config.seed} {done}\n")
    hurries = config.slow_attempts is not None and len(config.diary.read_text().splitlines()) > config.slow_attempts
    while done < config.steps:
        context.progress(done, config.steps, lambda value=value: {"value": value})
        if context.world.agree(context.stopping(), context.device):
            if config.does != "forget":
                saved.write_text(json.dumps([done, value]))
            raise Interrupted
        last = context.world.rank == context.world.size - 1
        if config.does in ("raise", f"raise at {config.x}") or (config.does == "raise on the last rank" and last):
            raise RuntimeError("boom")
        if config.does == "die" and done == config.steps // 2:
            os.kill(os.getpid(), 9)
        value = (value * 1.1 + config.x + config.seed) % 17
        done += 1
        time.sleep(0 if hurries else config.seconds / config.steps)
    return {"top1": value}
