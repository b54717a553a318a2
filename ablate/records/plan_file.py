"""PlanFile: the trials that a run of a study planned, and all that judging and reporting need of the study."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from ablate.records.plan_reference import PlanReference, Tuned
from ablate.records.reading import RECORD, Name, valid
from ablate.study.cells.cell import Baseline, Cell, Naming, Scalar


@dataclass(frozen=True)
class PlanAxis:
    """An axis of a study at the profile of the plan."""

    name: str
    values: tuple[Scalar, ...]
    label: str | None = None
    setting: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A cell with a seed. Several can be the same trial and then share its key."""

    cell: Cell
    seed: int
    key: str


_REFERENCE = TypeAdapter(PlanReference)
_NAMING: TypeAdapter[Naming | None] = TypeAdapter(Naming | None)
_BASELINE: TypeAdapter[Baseline | None] = TypeAdapter(Baseline | None)


@dataclass(frozen=True)
class PaperCells:
    """The study's cells at the scale of its paper."""

    axes: tuple[PlanAxis, ...]
    cells: tuple[Cell, ...]
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Key of a cell -> parameters of its encoder, if the chart shows them."""


@dataclass(frozen=True)
class PlanFile:
    """The plan of one run of a study."""

    study: str
    profile: str
    """The profile with the overrides that change trials: `small+loss.temperature=0.3`."""
    design: str
    """Digest of everything that trials depend on except seeds: plans of one design share a table of results."""
    axes: tuple[PlanAxis, ...]
    trials: tuple[PlannedTrial, ...]
    cases: Mapping[str, str] = field(default_factory=dict)
    """Name of a case -> its label."""
    base_profile: str = ""
    """The profile without overrides: `small`."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Dotted setting -> value, for the overrides in `profile`."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """Dotted setting -> value, for the settings of all cells that come from the study, the files it extends, its
    section for the profile, or `--set`."""
    title: str = ""
    question: str = ""
    trainer: str = ""
    """Empty in old plan files: the default trainer."""
    metric: str = "top1"
    paper_profile: str = "imagenet"
    references: tuple[PlanReference, ...] = ()
    claims: tuple[Mapping[str, Any], ...] = ()
    """The claims, with the keys of `[[claims]]` in a study file."""
    chart: Mapping[str, Any] = field(default_factory=dict)
    """The keys of `[chart]` in a study file."""
    paper: PaperCells | None = None
    """None for a study without references."""
    naming: Naming | None = None
    """How the cells of `[design]` are called; None if by their values."""
    baseline: Baseline | None = None
    """The cell to which the others are compared."""
    rule: Mapping[str, Any] = field(default_factory=dict)
    """The keys of `[design]` in a study file."""
    exclude: tuple[Any, ...] = ()
    tuned: Mapping[str, Any] = field(default_factory=dict)  # what each cell chose by [tune]
    size: int = 0
    """The number of cells that the study has at the profile, planned or not."""
    sequential: bool = False
    """Whether seeds were added until claims were decided."""
    most_seeds: int = 0
    """Then: the limit of seeds per cell, at which the last look is taken; 0 in old plan files."""
    seen_at: tuple[int, ...] = ()
    """The seeds per cell at which verdicts were shown before seeds were added by hand: found by `newest_plan`."""
    lower_limits: tuple[int, ...] = ()
    """Smaller limits of earlier plans of the same design whose seeds were added until claims were decided."""
    removable: Mapping[str, int] = field(default_factory=dict)  # as in `Expansion`
    path: str = ""  # of the study file
    text: str = ""  # of the study file and of those that it extends
    created: str = ""
    command: tuple[str, ...] = ()
    number: int = 0  # of the plan file: 3 for plan-3.json

    @property
    def axis_values(self) -> dict[str, tuple[Scalar, ...]]:
        """Axis -> its values in the order of the study."""
        return {axis.name: axis.values for axis in self.axes}

    @property
    def cited(self) -> str | None:
        """The citation of the first reference; None without references."""
        return self.references[0].label if self.references else None

    @property
    def seeds_per_cell(self) -> int:
        """The number of seeds of the cell with the most."""
        counts = Counter(trial.cell for trial in self.trials)
        return max(counts.values(), default=0)

    def title_of(self, cell: Cell) -> str:
        """The title of a cell on pages."""
        if self.naming and cell.case is None:
            return self.naming.name(cell)
        return cell.title(self.cases.get(cell.case or ""))


class _TrialEntry(BaseModel):
    model_config = RECORD

    key: Name
    seed: int = Field(ge=-(2**63), lt=2**63)
    axes: dict[str, Scalar]
    case: str | None


class _AxisEntry(BaseModel):
    model_config = RECORD

    name: str
    values: list[Scalar]
    label: str | None = None
    setting: str | None = None


class _CellEntry(BaseModel):
    model_config = RECORD

    axes: dict[str, Scalar]
    case: str | None
    parameters: int | None = None


class _PaperEntry(BaseModel):
    model_config = RECORD
    axes: list[_AxisEntry]
    cells: list[_CellEntry]


class _Plan(BaseModel):
    """The form of plan-N.json; claims, references and the chart have their own."""

    model_config = RECORD

    study: Name
    profile: str
    design: str
    axes: list[_AxisEntry]
    trials: list[_TrialEntry]
    cases: list[dict[Literal["name", "label"], str]]
    base_profile: str = ""
    overrides: dict[str, str] = {}
    base: dict[str, Any] | None = None
    title: str | None = ""
    question: str | None = ""
    trainer: str | None = ""
    metric: str | None = ""
    paper_profile: str | None = ""
    claims: list[dict[str, Any]] = []
    references: list[dict[str, Any]] = []
    reference: dict[str, Any] | None = None
    chart: dict[str, Any] | None = None
    paper: _PaperEntry | None = None
    naming: dict[str, Any] | None = None
    baseline: dict[str, Any] | None = None
    rule: dict[str, Any] = {}
    removable: dict[str, int] = {}
    exclude: list[Any] = []
    tuned: Tuned = {}
    size: int = 0
    sequential: bool = False
    most_seeds: int = Field(0, ge=0, lt=2**31)
    created: str | None = ""
    command: list[str] = []
    file: dict[Literal["path", "text"], str] = {}


def parse_plan(record: Mapping[str, Any], number: int = 0) -> PlanFile:
    """A plan from the JSON of its file; fields that old files lack are derived or get their defaults.

    Raises ValueError if the JSON has not the form of a plan.
    """
    valid(_Plan, record, "it")
    profile, *overrides = re.split(r"\+(?=[\w.]+=)", record["profile"])
    texts, others = ("title", "question", "created", "trainer", "metric"), ("base", "sequential", "most_seeds", "size")
    return PlanFile(
        study=record["study"],
        profile=record["profile"],
        design=record["design"],
        axes=tuple(map(_axis, record["axes"])),
        trials=tuple(_trials(record["trials"])),
        cases={case["name"]: case["label"] for case in record["cases"]},
        base_profile=record.get("base_profile", profile),
        overrides=record.get("overrides", dict(each.split("=", 1) for each in overrides)),
        exclude=tuple(record.get("exclude", ())),
        command=tuple(record.get("command", ())),
        number=number,
        **record.get("file", {}),
        **{name: record[name] for name in (*texts, *others, "removable") if record.get(name)},
        **parse_declarations(record),
    )


def parse_declarations(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a plan for judging and reporting, from the JSON of a plan file or of `declared`."""
    references = record.get("references", [record["reference"]] if record.get("reference") else [])
    found: dict[str, Any] = {name: record[name] for name in ("paper_profile", "chart", "tuned") if record.get(name)}
    paper = record.get("paper")
    return found | {
        "references": tuple(map(_REFERENCE.validate_python, references)),
        "claims": tuple(record.get("claims", ())),
        "paper": None if paper is None else _paper(paper),
        "naming": _NAMING.validate_python(record.get("naming")),
        "baseline": _BASELINE.validate_python(record.get("baseline")),
        "rule": record.get("rule", {}),
    }


def _trials(records: Sequence[Mapping[str, Any]]) -> Iterator[PlannedTrial]:
    """The trials; those of one cell share the object, so that its key is computed once."""
    cells: dict[str, Cell] = {}
    for each in records:
        text = f"{each['case']} {each['axes']}"
        if (cell := cells.get(text)) is None:
            cell = cells[text] = Cell(each["axes"], each["case"])
        yield PlannedTrial(cell, each["seed"], each["key"])


def _axis(record: Mapping[str, Any]) -> PlanAxis:
    return PlanAxis(record["name"], tuple(record["values"]), record.get("label"), record.get("setting"))


def _paper(record: Mapping[str, Any]) -> PaperCells:
    cells = {Cell(each["axes"], each["case"]): each.get("parameters") for each in record["cells"]}
    parameters = {cell.key: count for cell, count in cells.items() if count is not None}
    return PaperCells(tuple(map(_axis, record["axes"])), tuple(cells), parameters)
