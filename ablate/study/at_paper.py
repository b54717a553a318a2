"""What pages need of a study to draw it: its chart, and its cells at the paper's scale, as plain values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablate.simclr.config.effort import parameters
from ablate.study.cells import at_paper_scale
from ablate.study.chart import PARAMETERS
from ablate.study.load import LoadedStudy, load_profile


def drawn(loaded: LoadedStudy) -> dict[str, Any]:
    """`chart`: what the file says of it. `paper`: axes and cells at the paper's scale, where numbers of it are given.

    A cell of these has `parameters` where the chart is about them: those of its encoder, as of now.
    """
    study = loaded.study
    plain: dict[str, Any] = {"chart": study.chart.model_dump(mode="json", exclude_unset=True)}
    if study.reference:
        axes, bare = at_paper_scale(study, loaded.source)
        sizes = _parameters(loaded) if study.chart.x == PARAMETERS else {}
        plain["paper"] = {
            "axes": [{"name": name, "values": axis.names, "label": axis.label} for name, axis in axes.items()],
            "cells": [
                {"axes": cell.axes, "case": cell.case}
                | ({"parameters": sizes[_id(cell.axes, cell.case)]} if _id(cell.axes, cell.case) in sizes else {})
                for cell in bare
            ],
        }
    return plain


def _parameters(loaded: LoadedStudy) -> dict[tuple[Any, ...], int | None]:
    """Of each cell's encoder, with every setting that it has at the paper's profile."""
    from ablate.study.expand import expand
    from ablate.study.trainers import find_trainer, without_look

    profile = load_profile(loaded.study.paper_profile, Path(loaded.source.path))
    expansion = expand(loaded, profile, trainer=without_look(find_trainer(loaded.study.trainer)))
    encoders = ((trial, getattr(trial.config, "encoder")) for trial in expansion.trials)  # noqa: B009 - of SimCLR only
    return {_id(trial.axes, trial.case): parameters(encoder) for trial, encoder in encoders}


def _id(axes: Mapping[str, Any], case: str | None) -> tuple[Any, ...]:
    return case, tuple((name, repr(value)) for name, value in axes.items())
