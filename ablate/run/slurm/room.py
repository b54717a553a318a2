"""How many jobs a cluster accepts from this user, what to do when it accepts fewer, and the place of a canary."""

import getpass
import re
from collections.abc import Iterable, Sequence

from ablate.run.cluster import Cluster
from ablate.run.slurm.controller import SlurmError, ask, controller_of
from ablate.run.slurm.ledger import Submission
from ablate.run.slurm.packing import Array, Room
from ablate.run.slurm.scheduler import configuration

_FULL = re.compile(r"MaxSubmitJob|GrpSubmitJob|MaxJobCount|submit limit|too many jobs|job limit", re.IGNORECASE)
_ASSOCIATIONS = "format=Account,DefaultQOS,MaxSubmitJobs,GrpSubmitJobs"
_SERVICES = "format=Name,MaxSubmitJobsPerUser,MaxSubmitJobsPerAccount,GrpSubmitJobs"


def room(cluster: Cluster) -> Room:
    """How many jobs the controller and the accounting accept from this user."""
    try:
        configured = configuration(controller_of(cluster)).get("MaxArraySize", "")
    except SlurmError:
        if cluster.arrays is None:
            raise
        configured = ""
    array = int(configured) if configured.isdigit() else Room.array
    if cluster.arrays is False or array < 2:  # 0 and 1 switch arrays off
        array = 1
    return Room(array, _free(cluster))


def _free(cluster: Cluster) -> int | None:
    """How many jobs the association and the quality of service still accept, besides the follow-up job."""
    at, user = controller_of(cluster), getpass.getuser()
    try:
        rows = _rows(ask(*at.command("sacctmgr", "-nP", "show", "assoc", "where", f"user={user}", _ASSOCIATIONS)), 4)
        own = [row for row in rows if cluster.account in (None, row[0])]
        service = cluster.qos or next((row[1] for row in own if row[1]), "")
        services = _rows(ask(*at.command("sacctmgr", "-nP", "show", "qos", _SERVICES)), 4) if service else []
        # without an account in the table, Slurm chooses one of several: sbatch reports the limit of that one
        accounts = [_least(row[2:]) for row in own]
        of_account = None if None in accounts else max(filter(None, accounts), default=None)
        of_service = _least(number for row in services if row[0] == service for number in row[1:])
        if of_account is None and of_service is None:
            return None
        listed = ask(*at.command("squeue", "--noheader", "--array", f"--user={user}", "--format=%i|%a|%q"))
    except SlurmError:  # no accounting: sbatch itself reports its limits
        return None
    jobs = [row for row in _rows(listed, 3) if row[0][:1].isdigit()]
    left = [
        of_account and of_account - sum(cluster.account in (None, account) for _, account, _ in jobs),
        of_service and of_service - sum(name == service for *_, name in jobs),
    ]
    return max(0, min(each for each in left if each is not None) - 1)  # one is for the follow-up job


def _rows(text: str, fields: int) -> list[list[str]]:
    """The lines with that many fields: a banner has others."""
    return [line.split("|") for line in text.splitlines() if line.count("|") == fields - 1]


def _least(numbers: Iterable[str]) -> int | None:
    return min((int(number) for number in numbers if number.isdigit()), default=None)


def is_full(error: SlurmError) -> bool:
    """Whether sbatch refuses a job for want of room, and may accept fewer jobs or later ones."""
    return bool(_FULL.search(error.text))


def half(submission: Submission, array: Array, name: str) -> tuple[Submission, Array]:
    """A submission with the first half of an array's jobs, rounded down, and that half; the others are left.

    name: of the half. No two jobs may have the same name, so it changes if the whole array was sent.
    """
    kept = array.model_copy(update={"name": name, "shares": array.shares[: len(array.shares) // 2]})
    arrays = tuple(kept if each is array else each for each in submission.arrays)
    left = submission.left + _keys(array)[len(_keys(kept)) :]
    return submission.model_copy(update={"arrays": arrays, "left": left}), kept


def without(submission: Submission, arrays: Sequence[Array]) -> Submission:
    """A submission that leaves the trials of some arrays for later."""
    places = {array.name: array.after for array in arrays}
    kept = []
    for each in submission.arrays:
        after = each.after
        while after in places:
            after = places[after]
        kept += [] if each.name in places else [each.model_copy(update={"after": after})]
    left = tuple(key for array in arrays for key in _keys(array))
    return submission.model_copy(update={"arrays": tuple(kept), "left": submission.left + left})


def with_the_canarys_place(arrays: Sequence[Array]) -> dict[str, str]:
    """Array name -> what `scontrol update` changes in it once the canary has ended, so that its place is used.

    For a submission whose cluster limits the jobs at once. The place goes to the lane with most jobs per place: its
    arrays may run one task more at once. A lane of single jobs is cut in two, whose second half waits no longer.
    """
    lanes: dict[str, list[Array]] = {}  # by the name of the last array
    for array in arrays:
        if not array.canary:
            lanes[array.name] = [*lanes.pop(array.after or "", ()), array]
    longest = max(lanes.values(), key=lambda lane: sum(len(each.shares) for each in lane) / (lane[0].most or 1))
    if all(len(each.shares) == 1 for each in longest):
        return {each.name: "dependency=" for each in longest[1:][: len(longest) // 2][-1:]}
    return {each.name: f"arraytaskthrottle={(each.most or 1) + 1}" for each in longest if len(each.shares) > 1}


def _keys(array: Array) -> tuple[str, ...]:
    return tuple(key for share in array.shares for key in share.keys)
