"""Ablation studies: a question in a TOML file, trials on any machine, and a page that judges its claims.

    import ablate
    ablate.load("studies/temperature.toml").plan().run()
    ablate.results("temperature").pl()

The layers, each importing only those below it: cli, commands, api, workflow, report, judge, run, records, study,
simclr, command, trainer, paper, errors.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.api import (
        PlannedStudy,
        PlannedSuite,
        StudyFile,
        StudyResults,
        SuiteFile,
        compare,
        gc,
        load,
        load_suite,
        results,
        trial,
    )  # fmt: skip

__all__ = [
    "PlannedStudy", "PlannedSuite", "StudyFile", "StudyResults", "SuiteFile",
    "compare", "gc", "load", "load_suite", "results", "trial",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The names of ablate.api, imported on first use: `ablate --help` needs none of them."""
    if name in __all__:
        from ablate import api

        return getattr(api, name)
    raise AttributeError(f"module 'ablate' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
