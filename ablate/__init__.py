"""Ablation studies: a question in TOML, trials anywhere, evidence in DuckDB, a page that judges.

    import ablate
    ablate.load("studies/temperature.toml").plan().run()
    ablate.results("temperature").pl()

The layers, each importing only those below it: cli, commands, api, report, judge, run, records, study, paper, simclr.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.api import PlannedStudy, StudyFile, StudyResults, load, results

__all__ = ["PlannedStudy", "StudyFile", "StudyResults", "load", "results"]


def __getattr__(name: str) -> Any:
    """The functions of ablate.api, imported when they are first used: `ablate --help` needs none of them."""
    if name in __all__:
        from ablate import api

        return getattr(api, name)
    raise AttributeError(f"module 'ablate' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
