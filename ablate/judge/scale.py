"""At what scale a study was run, beside that of its paper."""

from collections.abc import Mapping
from typing import Any

from ablate.study.trainer import SIMCLR


def scale_of(plan: Mapping[str, Any]) -> str | None:
    """At what scale verdicts on a plan are reached, and what they can say; None where no paper is asked."""
    if plan.get("trainer", SIMCLR) != SIMCLR:
        return None
    own = plan["profile"]
    if at_paper_scale(plan):
        return f"At the paper's own scale ({own})"
    return (
        f"At the profile {own}, which is not the paper's scale ({papers_profile(plan)}): verdicts are about order, "
        "sign and place of the optimum, margins of equivalence are in points of this scale, and no value here "
        "reproduces one of the paper"
    )


def at_paper_scale(plan: Mapping[str, Any]) -> bool:
    """Whether margins and values count as they stand; those of a trainer that is not of the paper always do."""
    return plan.get("trainer", SIMCLR) != SIMCLR or str(plan["profile"]) == papers_profile(plan)


def papers_profile(plan: Mapping[str, Any]) -> str:
    """The profile that is the scale of the study's paper."""
    return str(plan.get("paper_profile", "imagenet"))
