"""A study judged: its newest design at a profile, its claims, and the verdict on each."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ablate.errors import UserError
from ablate.judge.cells import Measured, place
from ablate.judge.measure import measured_cells
from ablate.judge.on_paper import OnPaper, on_paper
from ablate.judge.scale import scale_of
from ablate.judge.verdict import Verdict, judge
from ablate.records.files import Results
from ablate.records.plans import newest_plan
from ablate.records.store import store_of
from ablate.study.at_paper import drawn
from ablate.study.cells import cells as cells_of_study
from ablate.study.cells import design
from ablate.study.claims import plain_claim
from ablate.study.load import LoadedStudy, load_study
from ablate.study.schema import EVALUATION, ProfileOverrides


@dataclass(frozen=True)
class Judged:
    """The verdicts on a study at one profile."""

    plan: Mapping[str, Any]
    """The newest plan file, with the claims that were judged and the chart that is drawn."""
    cells: tuple[Measured, ...]
    """What was measured."""
    verdicts: tuple[Verdict, ...]
    scale: str | None
    """At what scale of the paper's, and what can be said there; None for a trainer that is not of the paper."""
    sequential: bool
    """Whether seeds were added until claims were decided, which the verdicts take into account."""
    cautions: tuple[str, ...]
    text: str | None
    """Of the study's file that was judged by; None where there was none that could be read."""

    @property
    def summary(self) -> str:
        """How many claims have which verdict: `3 supported, 1 pointing to refuted`."""
        kinds = [verdict.kind.replace("points to", "pointing to") for verdict in self.verdicts]  # one or many of them
        return ", ".join(f"{kinds.count(each)} {each}" for each in dict.fromkeys(kinds))


def judge_study(
    results: Results,
    study: str,
    profile: str | None = None,
    sequential: bool = False,
    store: duckdb.DuckDBPyConnection | None = None,
) -> Judged:
    """Judge a study, a file or the name of one, at a profile: by default `embedded`, or the one that was run last.

    The claims are those of its file where there is one, else those that its last run wrote down, with the file's text.
    store: where it is open already.
    """
    plan, cautions, paper = newest_plan(results, study, profile), [], {}
    if (loaded := _file(study, plan)) is not None:
        now = _said(loaded)
        if _varied(loaded) != {each["name"] for each in (*plan["axes"], *plan["cases"])}:
            cautions.append(
                "the study's file varies something else than its last run did, which is judged by the claims of then"
            )
        else:
            if now["claims"] != plan.get("claims", []):
                cautions.append("the claims are those of the study's file now; they were others when it was last run")
            plan, paper = {**plan, **now}, _told_by_paper(loaded)
    with store_of(results, store) as opened:
        cells = measured_cells(opened, plan)
    if loaded is not None and (told := _not_asked_for(loaded, plan["profile"], cells)):
        cautions.append(told)
    sequential = sequential or bool(plan.get("sequential"))
    verdicts = judge(plan, cells, paper, sequential)
    text = loaded.source.whole if loaded else None
    return Judged(plan, cells, verdicts, scale_of(plan), sequential, tuple(cautions), text)


def _said(loaded: LoadedStudy) -> dict[str, Any]:
    """What the judge and a page ask of a study's file, as a plan file holds it."""
    return {
        "claims": [plain_claim(claim) for claim in loaded.study.claims],
        "references": [reference.model_dump(mode="json", exclude_unset=True) for reference in loaded.study.reference],
        "paper_profile": loaded.study.paper_profile,
        **drawn(loaded),
    }


def _told_by_paper(loaded: LoadedStudy) -> dict[str, OnPaper]:
    """What the paper's numbers say of the claims, but for those that compare with the paper: it agrees with itself."""
    with_paper = {claim.id for claim in loaded.study.claims if claim.with_paper}
    return {name: told for name, told in on_paper(loaded).items() if name not in with_paper}


def _not_asked_for(loaded: LoadedStudy, scale: str, cells: Sequence[Measured]) -> str | None:
    """That a run left out cells of the study (`--only`), so that what is the best of all is the best of some."""
    profile = scale.partition("+")[0]  # behind it stands what --set changed
    varied = design(loaded.study, loaded.study.profile.get(profile, ProfileOverrides()), profile)
    whole = {place(cell) for cell in cells_of_study(loaded.study, varied, loaded.source)}
    if missing := len(whole - set(map(place, cells))):
        return (
            f"{missing} of the study's {len(whole)} cells were not asked for, and claims are judged on the others alone"
        )
    return None


def _varied(loaded: LoadedStudy) -> set[str]:
    study = loaded.study
    return {*study.all_axes, *(case.name for case in study.cases), *([EVALUATION] if study.evaluate else [])}


def _file(study: str, plan: Mapping[str, Any]) -> LoadedStudy | None:
    """The study's file: the one named, else the one that was run, else its text of then; None where none is read."""
    file = plan.get("file", {})
    for path in (study, file.get("path", "")):
        if Path(path).is_file() and (loaded := _loaded(path, plan)):
            return loaded
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{plan['study']}.toml"
        path.write_text(file.get("text", ""), encoding="utf-8", errors="replace")
        return _loaded(str(path), plan)


def _loaded(path: str, plan: Mapping[str, Any]) -> LoadedStudy | None:
    try:
        loaded = load_study(path)
    except UserError:
        return None
    return None if loaded.problems or loaded.study.name != plan["study"] else loaded
