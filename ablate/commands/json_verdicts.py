"""What the commands that read or remove results print with `--json`, as types; see json_schema.py."""

from typing import Any, Literal

from typing_extensions import TypedDict

from ablate.judge.noise import Deviation, NeededSeeds
from ablate.judge.on_paper import OnPaper
from ablate.judge.statistics.formula import Leaning
from ablate.report.verify import Difference

State = Literal["supported", "refuted", "undecided", "withheld", "not measured", "not judged here"]


class Interval(TypedDict):
    """The ends of a confidence interval."""

    low: float
    high: float


class Estimate(TypedDict):
    """A number with its bootstrap interval."""

    value: float
    low: float
    high: float


class Sensitivity(TypedDict):
    """One-sided p values of "the mean is above the bound" under stronger assumptions. They never decide."""

    pooled: float | None
    """If all comparisons have the same variance."""
    moderated: float | None
    """If their variances come from one scaled inverse chi-squared distribution."""


class Posterior(TypedDict):
    """The probability that the true effect lies below, within or above the region of practical equivalence, ±rope."""

    rope: float
    below: float
    within: float
    above: float


class VarianceParts(TypedDict):
    """The variance of a comparison's mean, by source."""

    seeds: float
    images: float
    both: float
    count: int
    """Test images."""
    share_of_test_images: float | None
    wider: float | None
    """How much wider the interval would be if it also covered other test images."""


class Comparison(TypedDict):
    """One comparison of a claim; numbers that do not apply to it are null."""

    label: str
    decides: bool
    within: bool
    """Whether the absolute difference is compared with the bound."""
    effect: float
    bound: float
    n: int
    """The number of seeds."""
    sd: float | None
    p_supports: float | None
    p_refutes: float | None
    interval: Interval | None
    seeds: list[int]
    left_out: list[int]
    """Seeds that only some of the cells have."""
    values: list[float]
    """The difference of each seed."""
    standardized: float | None
    seed_correlation: float | None
    paired_width: float | None
    interquartile_mean: Estimate | None
    improvement: Estimate | None
    posterior: Posterior | None
    sensitivity: Sensitivity | None
    variance: VarianceParts | None


class Decision(TypedDict):
    """The result of a claim; its numbers are those of the comparison that decides."""

    state: Literal["supported", "refuted", "undecided"]
    leaning: Leaning
    """By the means alone."""
    seeds: int
    effect: float
    bound: float
    compared: str
    within: bool
    """Whether the absolute difference is compared with the bound."""
    interval: tuple[float, float] | None
    p: float | None
    """One-sided p value of the favoured side; null if no comparison has 3 seeds."""
    adjusted_p: float | None
    """Adjusted for the study's other claims."""
    permutation_p: float | None
    more_seeds: tuple[int, int | None] | None
    """How many more seeds would settle it: at least, at most."""
    look: int | None
    """With --sequential: the number of seeds at which the claim was decided."""
    look_at: int | None
    """With --sequential: the number of seeds at the next look of an undecided claim."""
    limit: int | None
    """With --sequential: the number of seeds at the last look."""


class ClaimVerdict(TypedDict):
    """The verdict on a claim, with the keys that the study file sets for the claim."""

    state: State
    label: str
    """The state, and the side to which an undecided claim leans."""
    reason: str | None
    """Why there is no decision."""
    notes: list[str]
    decision: Decision | None
    open_cells: list[str]
    """With --sequential: the cells that need more seeds."""
    comparisons: list[Comparison]
    paper: OnPaper | None
    """Whether the claim holds for the published numbers."""


class FromBaseline(TypedDict):
    """The difference of a cell from the study's baseline."""

    cell: str
    difference: float | None
    low: float | None
    high: float | None
    sd: float | None
    seeds: int


class Judged(TypedDict):
    """The verdicts of a study."""

    study: str
    profile: str
    scale: str | None
    """The scale of the results, compared with the paper's; null for a study without a paper."""
    sequential: bool
    cautions: list[str]
    baseline: str | None
    differences: list[FromBaseline]
    verdicts: list[ClaimVerdict]


class Effect(TypedDict):
    """The effect of one part or of several together."""

    kind: str
    parts: list[str]
    effect: float
    low: float | None
    high: float | None
    seeds: int
    sampling_error: float | None


class Attribution(TypedDict):
    """What the parts of a method contribute."""

    study: str
    profile: str
    metric: str
    parts: list[str]
    effects: list[Effect]
    bare: float | None
    """The mean without any part."""
    full: float | None
    """The mean with all parts."""
    notes: list[str]


class NoisyCell(TypedDict):
    """A cell with its standard deviation over seeds."""

    cell: str
    value: float


class Noise(TypedDict):
    """Standard deviations over seeds, and the seeds that effects need."""

    metric: str
    cells: int
    """Cells with two seeds or more."""
    of_cell: Deviation
    of_difference: Deviation | None
    """Null if no two cells share two seeds."""
    largest: NoisyCell
    effects: list[NeededSeeds]


class VerifiedPage(TypedDict):
    """A page compared with its records."""

    page: str
    same: bool
    study: str
    profile: str
    results: int
    """The number of trials with a result."""
    news: list[str]
    """What changed since the page was written."""
    differences: list[Difference]


class VerifiedPaper(TypedDict):
    """The numbers of a LaTeX paper compared with the records."""

    page: str
    same: bool
    differences: list[str]
    """One sentence each."""


class Unneeded(TypedDict):
    """Files that nothing needs."""

    kind: Literal["trial", "pretraining", "checkpoints", "jobs", "code", "picture", "leftover"]
    path: str
    """Below the results folder."""
    why: str
    bytes: int
    removed: bool


class Removed(TypedDict):
    """Files that nothing needs, and how many of these items were removed."""

    items: list[Unneeded]
    bytes: int
    removed: int


Row = dict[str, Any]
"""A row of a query: column -> value."""
