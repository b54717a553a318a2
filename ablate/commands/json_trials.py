"""What the commands about plans and trials print with `--json`, as types; see json_schema.py."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ablate.records.compare import Difference
from ablate.records.detail import Attempt, Curve
from ablate.records.status import Standing
from ablate.run.slurm.scheduler import Job
from ablate.study.schema.resources import Resources

TrialState = Literal["done", "running", "queued", "failed", "interrupted", "damaged", "stale", "new"]


class PlannedTrial(TypedDict):
    """One trial of a plan."""

    key: str
    label: str
    axes: dict[str, Any]
    case: str | None
    seed: int
    state: TrialState
    why: str | None
    """Why it is stale."""
    cause: str | None
    """Why it failed."""
    pretrain_key: str


class PlanCost(TypedDict):
    """The cost of what is left to run, estimated from similar trials that are done; null if there are none."""

    unit: Literal["worker-hours", "GPU-hours"]
    hours: float | None
    low: float | None
    high: float | None
    samples: int
    """The number of done trials that it is estimated from."""
    devices: list[str]
    unknown: int
    """Trials whose cost is unknown."""
    disk_bytes: float | None


class Assumed(TypedDict):
    """The cost of trials that only `--assume` gives."""

    images_per_second: float
    trials: int
    gpu_hours: float
    words: str


class Largest(TypedDict):
    """The most expensive trial."""

    key: str
    label: str
    hours: float | None


class StudyPlan(TypedDict):
    """The plan of a study."""

    study: str
    profile: str
    design: str
    """Digest of everything but the seeds: results with the same digest can be compared."""
    counts: dict[str, int]
    """State -> number of trials."""
    to_run: list[str]
    """Keys."""
    trials: list[PlannedTrial]
    shared: dict[str, int]
    """Study -> number of trials that both have."""
    pretrainings: int
    resources: Resources
    cost: PlanCost
    assumed: Assumed | None
    largest: Largest | None
    warnings: list[str]
    then: NotRequired["StudyPlan"]
    """With `[tune]`: the comparison that follows."""
    scripts: NotRequired[dict[str, str]]
    """With `--on`: path -> job script."""


class PlanOfSuite(TypedDict):
    """A study in the plan of its suite."""

    study: str
    profile: str
    trials: int
    done: int
    to_run: int
    unit: Literal["worker-hours", "GPU-hours"]
    hours: float | None
    assumed: Assumed | None
    unknown: int


class PlanTotal(TypedDict):
    """The sum over a suite; trials that studies share count once."""

    trials: int
    done: int
    to_run: int
    hours: dict[str, float]
    """Unit -> hours."""
    assumed_gpu_hours: float
    unknown: int


class SuitePlan(TypedDict):
    """The plan of a suite."""

    suite: str
    studies: list[PlanOfSuite]
    left_out: dict[str, str]
    """Study -> why it cannot be planned."""
    total: PlanTotal
    notes: list[str]


class OnCluster(TypedDict):
    """One study on one cluster, as long as its submission has not ended."""

    study: str
    profile: str
    cluster: str
    waiting: dict[str, int]
    """What trials wait for, in Slurm's words -> number of trials."""
    watched_by: str | None
    """The follow-up job."""
    unwatched: str | None
    """Why no follow-up job watches over its trials; null if one does."""
    hours: float
    """The cost of its trials so far."""
    unit: str
    asked: str
    """The name to give to commands, if it differs from `study`."""


class Status(TypedDict):
    """All studies, and the trials that belong to none."""

    standings: list[Standing]
    elsewhere: dict[str, int]
    """State -> number of trials that no current version of a study contains."""
    damage: list[str]
    clusters: list[OnCluster]


class Cancelled(TypedDict):
    """Keys of trials by their state, and the ids of the cluster jobs that were cancelled."""

    running: list[str]
    waiting: list[str]
    done: list[str]
    jobs: list[str]


class Imported(TypedDict):
    """What an import did."""

    study: str
    """The study file."""
    written: bool
    """Whether the import wrote it."""
    new: int
    changed: int
    runs: int
    failed: int
    ignored: list[str]
    """Columns left out."""
    ends: list[float]
    """The least and the greatest last step, if runs have steps."""
    shorter: str | None
    """The run that ends first among those whose cell has a longer one, and where both end."""


class CellOfTrial(TypedDict):
    """A cell with a seed; several studies may share its trial."""

    study: str
    profile: str
    axes: dict[str, Any]
    case: str | None
    seed: int


class Shown(TypedDict):
    """Everything recorded about a trial."""

    key: str
    cells: list[CellOfTrial]
    pretrain_key: str | None
    trainer: str | None
    recipe_version: int | None
    state: TrialState
    cause: str | None
    message: str | None
    seconds: float | None
    """Duration of the attempt that finished."""
    numbers: dict[str, Any]
    """What the trainer returned."""
    warnings: list[str]
    config: dict[str, Any]
    attempts: list[Attempt]
    finished_by: str | None
    curve: Curve


class Differences(TypedDict):
    """Two trials by their keys, and where they differ."""

    left: str
    right: str
    settings: list[Difference]
    numbers: list[Difference]
    environments: list[Difference]
    same_pretraining: bool


class Logs(TypedDict):
    """The output of one attempt."""

    key: str
    attempt: str
    stderr: str
    stdout: str


class Why(TypedDict):
    """Why a trial has no result."""

    key: str
    state: TrialState
    cause: str | None
    message: str | None
    job: Job | None
    help: str | None
    returned: dict[str, Any] | None
    """What the trainer returned, if the study's metric is not among it."""
    last_metrics: dict[str, Any]
    log: list[str]
    """The last lines."""
