"""ablate: a study with a custom trainer, on two workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

COUNT = int(sys.argv[2])
HERE = Path(__file__).parent
TRAINER = """
from pydantic import BaseModel
from short import train as train_short

class Settings(BaseModel):
    seed: int = 0
    x: int = 0

def train(config: Settings, context):
    return {"top1": train_short(config.x)}
"""
STUDY = f"""
name = "short"
title = "Short trials"
question = "What does a kill cost?"
trainer = "short_trainer:train"
metric = "top1"

[axes]
x = {list(range(COUNT))}
"""

if sys.argv[1] == "run":
    if not Path("studies").exists():
        Path("short_trainer.py").write_text(TRAINER)
        Path("short.py").write_text((HERE / "short.py").read_text())
        Path("studies").mkdir()
        Path("studies/short.toml").write_text(STUDY)
    command = [sys.executable, "-m", "ablate", "run", "short", "--workers", "2", "--device", "cpu"]
    sys.exit(subprocess.call(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
else:
    from short import value

    right, unreadable = set(), 0
    for path in Path("results").glob("trials/*/result.json"):
        try:
            result = json.loads(path.read_text())
            x = json.loads((path.parent / "trial.json").read_text())["config"]["x"]
        except (OSError, ValueError, KeyError):
            unreadable += 1
            continue
        if (result.get("metrics") or result)["top1"] == value(x):
            right.add(x)
    command = [sys.executable, "-m", "ablate", "status", "short", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    left = sum(each["counts"]["running"] for each in told["standings"])
    print(json.dumps({"right": sorted(right), "unreadable": unreadable, "left_running": left}))
