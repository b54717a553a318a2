"""The scripts that sbatch receives, as whole texts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results
from ablate.run.cluster import Cluster
from ablate.run.slurm.ledger import Submission, Watch
from ablate.run.slurm.packing import Array, Share
from ablate.run.slurm.scheduler import make_script
from ablate.run.slurm.script import array_script, follow_up_script, job_parameters, probe_script
from ablate.study.schema.resources import Resources

RESULTS = Results(Path("/shared/my results"))
TRIALS = (Share(keys=("a", "b"), at_once=2), Share(keys=("c",)))


def submission(cluster: Cluster, *arrays: Array) -> Submission:
    about: dict[str, Any] = {"study": "toy", "profile": "embedded", "by": "me", "created": 0.0, "path": ("/home/me/p",)}
    return Submission(id="ID", cluster=cluster, arrays=arrays, code="/shared/code", **about)


def script_of(array: Array, **cluster: Any) -> str:
    return array_script(RESULTS, submission(Cluster.model_validate(cluster), array), array)


def options_of(script: str) -> dict[str, str | bool]:
    flags = [line.removeprefix("#SBATCH --").partition("=") for line in script.splitlines() if "#SBATCH" in line]
    return {name: value if equals else True for name, equals, value in flags}


def test_an_array_has_the_options_of_its_cluster_and_of_its_trials() -> None:
    array = Array(name="toy-ID-1", resources=Resources(memory="2GB", time="1h"), shares=TRIALS, held=True, most=1)
    text = script_of(array, partition="gpu", setup=["module load cuda"], options={"mail-type": "FAIL"})
    assert text == (
        "#!/bin/bash\n"
        "\n"
        "# Parameters\n"
        "#SBATCH --array=0-1%1\n"
        "#SBATCH --cpus-per-task=2\n"
        "#SBATCH --hold\n"
        "#SBATCH --job-name=toy-ID-1\n"
        "#SBATCH --mail-type=FAIL\n"
        "#SBATCH --mem=4096M\n"
        "#SBATCH --nodes=1\n"
        "#SBATCH --ntasks-per-node=1\n"
        "#SBATCH --open-mode=append\n"
        "#SBATCH --output='/shared/my results/slurm/ID/log/%A_%a_0_log.out'\n"
        "#SBATCH --partition=gpu\n"
        "#SBATCH --requeue\n"
        "#SBATCH --signal=B:USR2@120\n"
        "#SBATCH --time=60\n"
        "\n"
        "# setup\n"
        "module load cuda\n"
        '[ -z "$(find /shared/code ! -type l \\( ! -user "$(id -u)" -o -perm /022 \\) -print -quit)" ] || '
        "{ echo 'others own or can change files of the snapshot /shared/code; remove it and submit again' >&2; "
        "exit 1; }\n"
        "(cd /shared/code && sha256sum --quiet --check files.sha256) || "
        "{ echo 'the snapshot /shared/code was damaged or moved; submit again, which uses another copy' >&2; "
        "exit 1; }\n"
        'export PYTHONPATH=/shared/code:/home/me/p"${PYTHONPATH:+:$PYTHONPATH}"\n'
        "\n"
        "# command\n"
        "export SUBMITIT_EXECUTOR=slurm\n"
        f"exec {sys.executable} -u -P -B -m ablate.run.slurm.job '/shared/my results' ID toy-ID-1\n"
    )


def test_a_trial_on_several_ranks_is_started_by_srun_which_ends_all_of_them_together() -> None:
    array = Array(name="toy-ID-1", resources=Resources(nodes=2, gpus_per_node=4), shares=TRIALS[1:])
    text = script_of(array)
    assert options_of(text)["ntasks-per-node"] == "4"
    assert options_of(text)["signal"] == "USR2@120"
    assert "array" not in options_of(text)
    assert "--kill-on-bad-exit=1" in text.rstrip().splitlines()[-1]
    assert text.rstrip().splitlines()[-1].endswith("-m ablate.run.slurm.ranks '/shared/my results' ID toy-ID-1")


def test_a_cluster_that_requests_gpus_in_its_own_way_is_not_asked_for_their_number() -> None:
    array = Array(name="toy-ID-1", resources=Resources(gpus_per_node=2), shares=TRIALS[1:])
    assert options_of(script_of(array))["gpus-per-node"] == "2"
    assert "gpus-per-node" not in options_of(script_of(array, options={"gres": "gpu:a100:2"}))


@pytest.mark.parametrize(
    ("after", "option"), [(["7", "8"], ("dependency", "afterany:7:8")), ([], ("begin", "now+10minutes"))]
)
def test_the_follow_up_job_needs_no_gpu_and_waits_for_jobs_or_for_room(
    after: list[str], option: tuple[str, str]
) -> None:
    cluster = Cluster.model_validate({"options": {"gres": "gpu:1", "mail-type": "FAIL"}, "partition": "gpu"})
    text = follow_up_script(RESULTS, submission(cluster), after, Watch(number=1))
    assert options_of(text).items() >= {option, ("partition", "gpu"), ("mail-type", "FAIL"), ("time", "30")}
    assert "gres" not in options_of(text)
    assert text.endswith(" -m ablate follow ID --results '/shared/my results'\n")


def test_the_probe_of_the_doctor_has_the_options_of_a_job_that_trains() -> None:
    about = {"partition": "gpu", "account": "lab", "gpus_per_node": 4, "options": {"exclude": "node9"}}
    cluster = Cluster.model_validate(about)
    probe = options_of(probe_script(cluster, Path("/shared/probe"), Path("/home/me/ablate"), "print()"))
    made = make_script("true", Path("/tmp"), job_parameters(cluster, Resources(gpus_per_node=1), minutes=5))
    own = {"job-name", "output", "chdir", "time"}
    assert {name: value for name, value in options_of(made).items() if name not in own}.items() <= probe.items()
    array = Array(name="toy-ID-1", resources=Resources(gpus_per_node=1), shares=TRIALS[1:])
    trains = options_of(script_of(array, **about))
    own |= {"signal"}  # a job that trains says when it needs it
    assert {name: value for name, value in probe.items() if name not in own}.items() <= trains.items()


def test_every_script_is_valid_bash() -> None:
    array = Array(name="toy-ID-1", resources=Resources(), shares=TRIALS)
    for script in (
        script_of(array, setup=["module load 'cuda'"]),
        follow_up_script(RESULTS, submission(Cluster(), array.model_copy(update={"held": True})), ["7"], Watch()),
        probe_script(Cluster(), Path("/tmp/a b"), Path("/home/me"), "print('it\\'s')\n"),
    ):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
