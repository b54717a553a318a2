"""Optuna: a grid in a journal file, by two processes of one study, as its documentation has it.

https://optuna.readthedocs.io/en/stable/reference/generated/optuna.storages.JournalStorage.html
https://optuna.readthedocs.io/en/stable/reference/samplers/generated/optuna.samplers.GridSampler.html
"""

import json
import subprocess
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from short import train, value

COUNT = int(sys.argv[2])


def study() -> optuna.Study:
    storage = JournalStorage(JournalFileBackend("journal.log"))
    sampler = optuna.samplers.GridSampler({"x": list(range(COUNT))})
    return optuna.create_study(study_name="short", storage=storage, sampler=sampler, load_if_exists=True)


def objective(trial: optuna.Trial) -> float:
    return train(trial.suggest_categorical("x", list(range(COUNT))))


if sys.argv[1] == "run":
    others = [subprocess.Popen([sys.executable, __file__, "work", str(COUNT)]) for _ in range(2)]
    sys.exit(max(other.wait() for other in others))
elif sys.argv[1] == "work":
    study().optimize(objective)
else:
    trials = study().get_trials()
    done = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    right = {trial.params["x"] for trial in done if trial.value == value(trial.params["x"])}
    left = sum(trial.state == optuna.trial.TrialState.RUNNING for trial in trials)
    print(json.dumps({"right": sorted(right), "unreadable": 0, "left_running": left}))
