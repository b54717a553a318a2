"""Limits of a cluster: a site that refuses what is too much, and how far below it a submission stays."""

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm import room, scheduler, waves
from ablate.run.slurm.controller import SlurmError
from ablate.run.slurm.ledger import Ledger, Submission
from ablate.run.slurm.packing import Group, Room, Share
from ablate.study.schema.resources import Resources

ASSOCIATIONS = "welcome to the site: 3 jobs left | 7\nlab|normal||\nother|high|2|\n"
SERVICES = "normal|5||\nhigh|40||\n"


class Site:
    """A cluster that holds `most` jobs of a user; its accounting prints `limits`."""

    def __init__(self, most: int, array: str = "1001", limits: tuple[str, str] = ("", "")) -> None:
        self.most, self.array, self.limits = most, array, dict(zip(("assoc", "qos"), limits, strict=True))
        self.jobs: dict[str, int] = {}
        """Id -> how many jobs."""
        self.options: list[dict[str, str]] = []

    def ask(self, command: str, *options: str) -> str:
        if command == "sacctmgr":
            return self.limits[options[2]]
        if command == "squeue":
            return "".join(f"{id}_{n}|lab|normal\n" for id, size in self.jobs.items() for n in range(size))
        if command == "scancel":
            for id in options[1:]:
                self.jobs.pop(id)
        return self._submit(Path(options[-1])) if command == "sbatch" else f"MaxArraySize = {self.array}\n"

    def _submit(self, path: Path) -> str:
        given = dict(line[10:].partition("=")[::2] for line in path.read_text().splitlines() if "#SBATCH" in line)
        size = int(given.get("array", "0-0%").partition("-")[2].partition("%")[0]) + 1
        if "array" in given and int(self.array) < 2:
            raise SlurmError("sbatch", "sbatch: error: Batch job submission failed: Invalid job array specification")
        if sum(self.jobs.values()) + size > self.most:
            raise SlurmError("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit\nJob violates accounting policy")
        id = str(100 + len(self.options))
        self.jobs[id] = size
        self.options.append(given)
        return f"Submitted batch job {id}\n"


def sent(
    monkeypatch: pytest.MonkeyPatch, folder: Path, site: Site, trials: int, canary: bool = True, **table: object
) -> Submission:
    for module in (scheduler, room):
        monkeypatch.setattr(module, "ask", site.ask)
    shares = tuple(Share(keys=(f"k{number}",)) for number in range(trials))
    cluster = Cluster.model_validate(table)
    about = {"study": "toy", "profile": "embedded", "by": "me", "created": 0.0, "code": "/code"}
    base = Submission.model_validate({"id": "", "cluster": cluster, "arrays": (), **about})
    return waves.submit_wave(Results(folder), base, [Group(Resources(), shares, canary=canary)])


@pytest.mark.parametrize("most", [2, 3, 4, 5, 8, 13, 50])
@pytest.mark.parametrize("canary", [True, False])
def test_what_a_site_refuses_is_halved_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, canary: bool
) -> None:
    site = Site(most)
    submission = sent(monkeypatch, tmp_path, site, 12, canary)
    assert sorted(submission.keys) == sorted(f"k{number}" for number in range(12))
    assert sum(site.jobs.values()) <= most
    assert submission.arrays
    assert {len(array.shares) for array in submission.arrays} <= set(site.jobs.values())
    assert bool(submission.canary) == canary
    assert site.options[-1]["job-name"].startswith(f"{submission.id}-follow")  # someone looks after them
    assert Ledger(Results(tmp_path)).read(submission.id) == submission


def test_a_site_without_room_for_any_job_is_an_error_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="QOSMaxSubmitJobPerUserLimit"):
        sent(monkeypatch, tmp_path, Site(0), 12)


@pytest.mark.parametrize(("site", "table"), [(Site(99, "0"), {}), (Site(99, "1"), {}), (Site(99), {"arrays": False})])
def test_a_site_without_arrays_gets_single_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site, table: dict[str, object]
) -> None:
    submission = sent(monkeypatch, tmp_path, site, 5, **table)
    assert [len(array.shares) for array in submission.arrays] == [1] * 5
    assert not any("array" in options for options in site.options)
    assert len({array.name for array in submission.arrays}) == 5


@pytest.mark.parametrize(
    ("table", "free"),
    [({}, 2), ({"account": "other"}, 1), ({"account": "lab"}, 2), ({"account": "lab", "qos": "high"}, 39)],
)
def test_the_limits_of_the_association_and_of_the_quality_of_service_are_read(
    monkeypatch: pytest.MonkeyPatch, table: dict[str, str], free: int
) -> None:
    """Two jobs are queued, of lab and normal, and the follow-up job needs room: 5 - 2 - 1; 2 - 0 - 1; 40 - 0 - 1."""
    site = Site(99, limits=(ASSOCIATIONS, SERVICES))
    site.jobs["9"] = 2
    for module in (scheduler, room):
        monkeypatch.setattr(module, "ask", site.ask)
    assert room.room(Cluster.model_validate(table)) == Room(1001, free)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("arrays", [True, False])
@pytest.mark.parametrize("canary", [True, False])
def test_no_more_jobs_run_at_once_than_the_table_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, arrays: bool, canary: bool
) -> None:
    site = Site(99, "4")
    submission = sent(monkeypatch, tmp_path, site, 11, canary, most_jobs=most, arrays=arrays)
    assert sorted(submission.keys) == sorted(f"k{number}" for number in range(11))
    assert places(site, {}) <= most
    if canary and most > 1:
        assert len(site.options) > 2
        assert places(site, room.with_the_canarys_place(submission.arrays)) == most


def places(site: Site, changes: dict[str, str]) -> int:
    """How many of the jobs that were sent may run at once; changes: what the canary's end changes, by an array's name.

    The canary counts as long as it has changed nothing.
    """
    waits: dict[str, int] = {}
    """Id -> how many of its jobs may run at once."""
    for number, options in enumerate(site.options[:-1]):
        what, _, new = changes.get(options["job-name"], "").partition("=")
        width = int(options["array"].partition("%")[2]) if "array" in options else 1
        width = int(new) if what == "arraytaskthrottle" else width
        after = options.get("dependency", "").removeprefix("afterany:") if what != "dependency" else new
        if changes and "hold" not in options:
            continue  # the canary
        waits[str(100 + number)] = width
        if after:
            assert width <= waits.pop(after)  # it takes the place of that one
    return sum(waits.values())
