"""Declared: the parts of a study that its plan files record for judging and reporting, as plain values."""

from pathlib import Path
from typing import Any

from ablate.study.claims import plain_claim
from ablate.study.expansion.baseline import baseline_of
from ablate.study.expansion.design import cells, design
from ablate.study.expansion.tune import recorded_choices
from ablate.study.schema.chart import PARAMETERS
from ablate.study.schema.study import LoadedStudy


def declared(loaded: LoadedStudy) -> dict[str, Any]:
    """The study's claims, references, chart and scale; axes and cells at the paper's scale if it has references.

    A cell at the paper's scale has `parameters` if the chart shows them: those of its encoder.
    """
    study = loaded.study
    plain: dict[str, Any] = {
        "paper_profile": study.paper_profile,
        "references": [reference.model_dump(mode="json", exclude_unset=True) for reference in study.reference],
        "claims": [plain_claim(claim) for claim in study.claims],
        "chart": study.chart.model_dump(mode="json", exclude_unset=True),
    }
    if choices := recorded_choices(loaded):
        plain["tuned"] = choices
    if called := design(study).naming:
        plain["naming"] = called.plain()
    if baseline := baseline_of(study):
        plain["baseline"] = baseline.plain()
    if study.design:
        plain["rule"] = study.design.model_dump(mode="json", exclude_unset=True)
    if study.reference:
        varied = design(study, study.paper_profile)
        of_paper = [each.cell for each in cells(study, varied, loaded.source)]
        sizes = _parameters(loaded) if study.chart.x == PARAMETERS else {}
        plain["paper"] = {
            "axes": [{"name": name, "values": axis.names, "label": axis.label} for name, axis in varied.axes.items()],
            "cells": [{"axes": cell.axes, "case": cell.case, "parameters": sizes.get(cell.key)} for cell in of_paper],
        }
    return plain


def _parameters(loaded: LoadedStudy) -> dict[str, int | None]:
    """Key of a cell -> its parameters, with all settings that it has at the paper's profile."""
    # Imported here since only charts over parameters need an expansion at the paper's scale.
    from ablate.study.expansion.command import trainer_of
    from ablate.study.expansion.expand import expand
    from ablate.study.load import load_profile
    from ablate.trainer.find import without_files

    profile = load_profile(loaded.study.paper_profile, Path(loaded.source.path))
    trainer = without_files(trainer_of(loaded.study))
    count = trainer.count_parameters or (lambda settings: None)
    trials = expand(loaded, profile, trainer=trainer).trials
    return {trial.cell.key: count(trial.config.model_dump(mode="json")) for trial in trials}
