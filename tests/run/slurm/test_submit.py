"""What is submitted for a plan, seen through the scripts that are sent to a scheduler that only takes notes."""

import os
import platform
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import UserError
from ablate.records.attempt import AttemptWriter, read_state, trial_status
from ablate.records.files import Results, TrialFolder
from ablate.run.cluster import Cluster
from ablate.run.options import PlanOptions, RunOptions
from ablate.run.plan import Plan, make_plan, record_plan
from ablate.run.slurm import queue, room, scheduler, submit
from ablate.run.slurm.controller import SlurmError
from ablate.run.slurm.ledger import Submission
from ablate.run.slurm.packing import Group, Room, Share, resources_on, unused_gpus
from ablate.run.slurm.scheduler import Job
from ablate.run.slurm.submit import preview, submit_plan
from ablate.run.slurm.waves import make_wave
from ablate.study.schema.resources import Resources
from ablate.workflow.run import run_study


class Slurm:
    """Accepts every job, and keeps its script; `refuses` is what sbatch says of the next one."""

    def __init__(self) -> None:
        self.scripts: dict[Path, str] = {}
        self.refuses: str | None = None

    def ask(self, command: str, *options: str) -> str:
        if command == "sbatch":
            if self.refuses:
                raise SlurmError(command, self.refuses)
            path = Path(options[-1])
            self.scripts[path] = path.read_text()
            return f"Submitted batch job {len(self.scripts)}\n"
        return "MaxArraySize = 1001\n" if options[:2] == ("show", "config") else ""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Slurm:
    slurm = Slurm()
    for module in (scheduler, room):
        monkeypatch.setattr(module, "ask", slurm.ask)
    monkeypatch.setattr(queue.shutil, "which", lambda name: name)
    return slurm


@pytest.fixture
def plan(project: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(project)
    return make_plan("tiny", "embedded", Results(Path("results")))


CLUSTER = Cluster(name="big", partition="gpu", trials_per_job=2, setup=("module load cuda",))
HOW = RunOptions(cluster=CLUSTER, reports=Path("reports"))


def test_a_preview_is_what_sbatch_receives_except_for_ids_and_writes_nothing(plan: Plan, slurm: Slurm) -> None:
    results = Results(Path("results"))
    shown = preview(plan, results, HOW)
    assert not results.root.exists()
    assert [path.name for path in shown] == ["tiny-ID-1.sh", "tiny-ID-2.sh", "ID-follow.sh"]
    record_plan(plan, results, ["test"])
    submission = submit_plan(plan, results, HOW)
    assert submission is not None
    sent = [text.replace(submission.id, "ID") for text in slurm.scripts.values()]
    *arrays, follow_up = shown.values()
    assert sent == [*arrays, follow_up.replace("afterany:tiny-ID-2", "afterany:2")]  # the canary's id
    assert [path.name.replace(submission.id, "ID") for path in slurm.scripts] == [path.name for path in shown]


def test_a_run_plans_its_study_and_looks_at_each_new_trial_only_once(
    project: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    plans, looks = [], Counter[str]()

    def counted(*arguments: Any, **options: Any) -> Plan:
        plans.append(make_plan(*arguments, **options))
        return plans[-1]

    def looking(function: Callable[[TrialFolder, float], Any]) -> Callable[[TrialFolder, float], Any]:
        def look(folder: TrialFolder, now: float) -> Any:
            looks[folder.path.name] += 1
            return function(folder, now)

        return look

    monkeypatch.setattr("ablate.run.plan.make_plan", counted)
    monkeypatch.setattr("ablate.run.history.read_state", looking(read_state))
    monkeypatch.setattr("ablate.run.slurm.submit.trial_status", looking(trial_status))
    finished = run_study("tiny", PlanOptions(), HOW, Results(Path("results")))
    assert finished.detached
    assert len(plans) == 1
    assert looks == dict.fromkeys(plans[0].distinct, 1)


def test_a_trial_that_was_done_or_begun_since_the_plan_is_not_submitted(plan: Plan, slurm: Slurm) -> None:
    results = Results(Path("results"))
    record_plan(plan, results, ["test"])
    done, running, *others = plan.distinct
    results.trial(done).result.write_text(f'{{"key": "{done}", "metrics": {{}}}}')
    writer = AttemptWriter(results.trial(running).new_attempt("local"))
    writer.event("started", place="local", host=platform.node(), pid=os.getpid())
    submission = submit_plan(plan, results, HOW)
    writer.close()
    assert submission is not None
    assert sorted(submission.keys) == sorted(others)


def test_trials_that_are_queued_are_not_submitted_again(
    plan: Plan, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(Path("results"))
    record_plan(plan, results, ["test"])
    keys, waits = list(plan.distinct), Job("tiny-1", 0, "7_0", "PENDING")
    monkeypatch.setattr(submit, "queued", lambda results, queue: dict.fromkeys(keys[1:], waits))
    submission = submit_plan(plan, results, HOW)
    assert submission is not None
    assert submission.keys == (keys[0],)
    monkeypatch.setattr(submit, "queued", lambda results, queue: dict.fromkeys(keys, waits))
    assert submit_plan(plan, results, HOW) is None
    assert preview(plan, results, HOW) == {}


def test_a_refused_submission_is_reported_and_marked_as_ended(plan: Plan, slurm: Slurm) -> None:
    results = Results(Path("results"))
    record_plan(plan, results, ["test"])
    slurm.refuses = "sbatch: error: invalid partition specified: gpu"
    with pytest.raises(UserError, match="sbatch refuses the jobs of 'tiny': sbatch: error: invalid partition"):
        submit_plan(plan, results, HOW)
    (folder,) = (path for path in (results.root / "slurm").iterdir() if path.is_dir())
    assert (folder / "ended").exists()


def test_a_trial_that_needs_more_gpus_than_a_node_has_is_refused_before_anything_is_sent(
    plan: Plan, slurm: Slurm, project: Path
) -> None:
    profile = project / "studies" / "profiles" / "embedded.toml"
    profile.write_text(f"{profile.read_text()}\n[resources]\ngpus_per_node = 8\n")
    wide = make_plan("tiny", "embedded", Results(Path("results")))
    narrow = CLUSTER.model_copy(update={"gpus_per_node": 4})
    with pytest.raises(UserError, match="trials need 8 GPUs per node, but nodes of 'big' have 4"):
        submit_plan(wide, Results(Path("results")), RunOptions(cluster=narrow))
    assert slurm.scripts == {}


def test_trials_that_leave_the_gpus_of_a_cluster_unused_are_told(
    plan: Plan, slurm: Slurm, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(Path("results"))
    record_plan(plan, results, ["test"])
    has_gpus = CLUSTER.model_copy(update={"gpus_per_node": 4})
    submit_plan(plan, results, RunOptions(cluster=has_gpus))
    told = unused_gpus(Resources(), has_gpus)
    assert told is not None
    assert told.startswith("the trials request no GPU, although nodes of 'big' have 4: gpus_per_node = 1 in")
    assert told in capsys.readouterr().err.splitlines()
    assert unused_gpus(Resources(), has_gpus.model_copy(update={"options": {"gres": "gpu:{gpus}"}})) == told
    assert unused_gpus(Resources(), has_gpus.model_copy(update={"options": {"gres": "gpu:2"}})) is None
    assert unused_gpus(Resources(gpus_per_node=1), has_gpus) is None
    assert unused_gpus(Resources(), CLUSTER) is None


_WHEN = """
[resources]
memory = "1GB"

[[resources.when]]
if = "head == 'none'"
memory = "3GB"
time = "2h"
"""


def test_trials_of_some_cells_get_resources_of_their_own_behind_one_canary(
    plan: Plan, slurm: Slurm, project: Path
) -> None:
    axis = next(iter(plan.expansion.axes))
    value = plan.expansion.axes[axis].names[-1]
    text = _WHEN.replace("head == 'none'", f"{axis} == {value!r}")
    file = project / "studies" / "tiny.toml"
    file.write_text(file.read_text() + text)
    results = Results(Path("results"))
    wide = make_plan("tiny", "embedded", results, seeds=range(3))
    record_plan(wide, results, ["test"])
    submission = submit_plan(wide, results, RunOptions(cluster=CLUSTER.model_copy(update={"trials_per_job": 1})))
    assert submission is not None
    cells = {trial.key: trial.cell.axes.get(axis) for trial in wide.expansion.trials}
    for array in submission.arrays:
        assert {cells[key] == value for share in array.shares for key in share.keys} == {
            array.resources.memory == "3GB"
        }
        assert array.resources.time == ("2h" if array.resources.memory == "3GB" else None)
    assert [array.canary for array in submission.arrays] == [False, False, True]
    assert [array.held for array in submission.arrays] == [True, True, False]
    assert len({array.name for array in submission.arrays}) == 3


@pytest.mark.parametrize(
    ("key", "option", "values"),
    [
        ('memory = "3GB"', "mem", ("1024M", "3072M")),
        ('time = "2h"', "time", ("240", "120")),
        ('partition = "large"', "partition", ("gpu", "large")),
        ('gpu_type = "h100"', "gpus-per-node", ("a100:1", "h100:1")),
        ("cpus = 6", "cpus-per-task", ("2", "6")),
    ],
)
def test_each_key_that_depends_on_a_value_of_an_axis_reaches_the_jobs_of_its_cells_only(
    plan: Plan, slurm: Slurm, project: Path, key: str, option: str, values: tuple[str, str]
) -> None:
    axis = next(iter(plan.expansion.axes))
    value = plan.expansion.axes[axis].names[-1]
    file = project / "studies" / "tiny.toml"
    common = '[resources]\nmemory = "1GB"\ngpus_per_node = 1\ncpus_per_task = 2\n'
    file.write_text(f'{file.read_text()}\n{common}[[resources.when]]\nif = "{axis} == {value!r}"\n{key}\n')
    own = make_plan("tiny", "embedded", Results(Path("results")))
    assert set(own.distinct) == set(plan.distinct)
    cluster = CLUSTER.model_copy(update={"gpu_type": "a100", "trials_per_job": 1})
    scripts = preview(own, Results(Path("results")), RunOptions(cluster=cluster))
    asked = [
        line.rpartition("=")[2]
        for text in scripts.values()
        for line in text.splitlines()
        if line.startswith(f"#SBATCH --{option}=") and "-follow" not in text.partition("--job-name=")[2][:40]
    ]
    assert set(asked) == set(values)


@pytest.mark.parametrize("key", ["nodes", "gpus_per_node", "cpus_per_task"])
def test_what_changes_rounding_is_the_same_for_all_cells_and_the_error_says_why(project: Path, key: str) -> None:
    file = project / "studies" / "tiny.toml"
    file.write_text(f"{file.read_text()}\n[[resources.when]]\nif = \"head == 'none'\"\n{key} = 2\n")
    with pytest.raises(UserError, match=f"{key} must be the same for all cells: .* changes rounding") as error:
        make_plan(str(file), "embedded", Results(project / "results"))
    assert "tiny.toml:" in str(error.value)
    assert "cpus = ..." in str(error.value)


def test_a_type_of_gpus_beside_an_option_that_requests_them_is_refused() -> None:
    by_type, gres = Resources(gpus_per_node=1, gpu_type="a100"), Cluster(options={"gres": "gpu:{gpus}"})
    with pytest.raises(UserError, match=r"of the type 'a100', but options.gres requests GPUs"):
        resources_on(by_type, gres)


def test_trials_that_find_no_room_keep_resources_of_their_own(
    plan: Plan, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    small, large = Resources(memory="1GB"), Resources(memory="3GB")
    groups = [Group(need, (Share(keys=(need.memory or "",)),)) for need in (small, large)]
    base = submit._base(plan, HOW, Path("/code"))
    wave = make_wave(base, groups, "ID", Room(jobs=0))
    assert (wave.left, wave.resources) == (("1GB", "3GB"), small)
    assert wave.needs == {"3GB": large}
    assert Submission.model_validate_json(wave.model_dump_json()) == wave


def test_a_condition_of_resources_that_no_cell_can_satisfy_is_reported_with_its_line(project: Path) -> None:
    file = project / "studies" / "tiny.toml"
    file.write_text(file.read_text() + _WHEN.replace("head ==", "heat =="))
    with pytest.raises(UserError, match=r"resources\.when, if: ") as error:
        make_plan(str(file), "embedded", Results(project / "results"))
    line = file.read_text().splitlines().index("if = \"heat == 'none'\"") + 1
    assert f"tiny.toml:{line}:" in str(error.value)
