"""The profile `paper`: the scale of the paper that a study is about, whatever the file of that profile is called."""

from ablate.study.schema import Study

OF_THE_PAPER = "paper"


def scale(study: Study, profile: str) -> str:
    """The profile that is meant of a study: its `paper_profile` where the paper's own is asked for."""
    return study.paper_profile if profile == OF_THE_PAPER else profile
