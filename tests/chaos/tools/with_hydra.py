"""Hydra with submitit's local executor: a sweep of jobs, each a process, four at a time.

https://hydra.cc/docs/plugins/submitit_launcher/
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

COUNT = int(os.environ["CHAOS_COUNT"])
sys.path.insert(0, str(Path(__file__).parent))

if sys.argv[1] == "run":
    sweep = [
        f"+x={','.join(map(str, range(COUNT)))}",
        "hydra/launcher=submitit_local",
        "hydra.sweeper.max_batch_size=4",
    ]
    sys.exit(subprocess.call([sys.executable, __file__, "--multirun", *sweep]))
elif sys.argv[1] == "read":
    from short import value

    right, unreadable = set(), 0
    for path in Path("multirun").glob("*/*/.submitit/*/*_result.pkl"):
        try:
            state, result = pickle.loads(path.read_bytes())
            x = int(result.overrides[0].partition("=")[2])
        except Exception:
            unreadable += 1
            continue
        if state == "success" and result.return_value == value(x):
            right.add(x)
    jobs = {path.name for path in Path("multirun").glob("*/*/.submitit/*") if path.name.isdigit()}
    ended = {path.parent.name for path in Path("multirun").glob("*/*/.submitit/*/*_result.pkl")}
    print(json.dumps({"right": sorted(right), "unreadable": unreadable, "left_running": len(jobs - ended)}))
else:
    import hydra
    from omegaconf import DictConfig
    from short import train

    @hydra.main(version_base=None, config_path=None)
    def job(config: DictConfig) -> float:
        return train(int(config.x))

    job()
