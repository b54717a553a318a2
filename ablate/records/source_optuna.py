"""Optuna's SQLite files as sources, read by Optuna."""

from pathlib import Path
from typing import Any

from ablate.records.source import RUN_COLUMN, STEP_COLUMN, Source, digest_of, needs, of_runs


def read_optuna(path: Path) -> Source:
    """The complete trials of all studies: parameters, user attributes, values, and intermediate values by step.

    The objective is called `value`, several `values_0` and so on, unless the study names its metrics. Raises UserError
    without Optuna.
    """
    try:
        import optuna
    except ImportError as error:
        raise needs("optuna", f"{path} is a storage of Optuna: reading it") from error
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    rows: list[dict[str, Any]] = []
    settings, metrics = set[str](), set[str]()
    for name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        several = len(study.directions) > 1
        objectives = study.metric_names or (
            [f"values_{n}" for n in range(len(study.directions))] if several else ["value"]
        )
        metrics |= set(objectives)
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
            run = f"{name}/{trial.number}"
            settings |= trial.params.keys()
            values = dict(zip(objectives, trial.values or (), strict=True))
            rows.append({RUN_COLUMN: run, **trial.user_attrs, **trial.params, **values})
            if not several:
                steps = sorted(trial.intermediate_values.items())
                rows += ({RUN_COLUMN: run, STEP_COLUMN: step, objectives[0]: value} for step, value in steps)
    return of_runs(path, digest_of([path]), rows, settings=settings, metrics=metrics)
