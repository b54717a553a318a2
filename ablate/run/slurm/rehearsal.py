"""Every kind of job that a run sends, shown to sbatch without being submitted: what a site rejects is found before."""

import re
from collections.abc import Iterator
from pathlib import Path

from ablate.records.files import Results, write_text
from ablate.run.cluster import GPUS, Cluster
from ablate.run.cluster_file import FILE
from ablate.run.machine import Check
from ablate.run.slurm.controller import SlurmError, ask, controller_of
from ablate.run.slurm.ledger import Submission, Watch
from ablate.run.slurm.packing import Array, Group, Share, fixed_gpus, pack, resources_on
from ablate.run.slurm.retry import with_more_memory
from ablate.run.slurm.room import room
from ablate.run.slurm.script import FOLLOW_UP, array_script, follow_up_script
from ablate.study.schema.resources import Resources

_FOLLOW_UP = "the follow-up job"
_ADVICE = (
    (r"unable to open file|no such file", "paths says under which path the cluster sees a folder of this machine"),
    (r"invalid (partition|account|qos|feature)|partition name|time limit", None),
    (r"requeue", "requeue = false drops --requeue"),
    (r"array", "arrays = false submits each job by itself"),
    (r"follow-up job.*gpu|gpu.*follow-up job", "follow_up.options = { gpus-per-node = 1 } or follow_up.partition"),
    (r"gres|gpu", "gpu_type names the type of the GPUs; options.gres = \"gpu:TYPE:{gpus}\" uses the site's own words"),
    (r"mem", 'memory = "per_cpu", "per_gpu" or "none" requests memory in another way'),
    (r"cpu", "cpus_per_gpu sets the CPUs per GPU"),
    (r"whole|exclusive", "whole_nodes = true requests whole nodes"),
)  # fmt: skip
"""Words of a refusal -> the key that may satisfy the site; None where a value of the table is wrong."""


def rehearse(cluster: Cluster, folder: Path, resources: Resources) -> Iterator[Check]:
    """Whether sbatch accepts the first trial's job, the held jobs, the same with more memory, and the follow-up job.

    folder: for the scripts. resources: of one trial; those of a study if there is one.
    """
    scripts = _scripts(cluster, Results(folder), resources)
    refused: dict[str, list[str]] = {}
    at = controller_of(cluster)
    for number, (what, script) in enumerate(scripts.items()):
        path = folder / (FOLLOW_UP if what == _FOLLOW_UP else f"{number}.sh")
        write_text(path, script)
        try:
            ask(*at.command("sbatch", "--test-only", at.seen(path)))
        except SlurmError as error:
            refused.setdefault(words_of(error), []).append(what)
    for words, kinds in refused.items():
        yield Check("sbatch", "problem", f"refuses {', '.join(kinds)}: {words}", advice(f"{kinds[0]}: {words}"))
    if not refused:
        yield Check("sbatch", "ok", f"accepts {', '.join(scripts)}")


def fixed_number(cluster: Cluster) -> Iterator[Check]:
    """Whether an option requests the same number of GPUs for every study."""
    if fixed := fixed_gpus(cluster):
        message = f"options.{fixed[0]} requests {fixed[1]} GPUs for every trial, whatever its study needs"
        yield Check("gpus", "warning", message, f"write {{{GPUS}}} in place of the number")


def _scripts(cluster: Cluster, results: Results, resources: Resources) -> dict[str, str]:
    """What a job is for -> its script."""
    own = resources_on(resources, cluster)
    shares = tuple(Share(keys=(key,), at_once=own.at_once or 1) for key in "abc")
    arrays, _ = pack([Group(own, shares, canary=True)], "ablate-doctor", room(cluster))
    *held, canary = arrays
    about = {"study": "ablate-doctor", "profile": "", "created": 0.0, "by": "", "code": str(results.root)}
    submission = Submission.model_validate({"id": "doctor", "cluster": cluster, "arrays": arrays, **about})
    kinds: dict[str, Array] = {"the first trial's job": canary, "the jobs that wait for it": held[0]}
    larger = with_more_memory(own, cluster.memory_cap) if own.memory and cluster.memory != "none" else None
    if larger:
        kinds[f"a retry with {larger.memory}"] = canary.model_copy(update={"resources": larger})
    scripts = {what: array_script(results, submission, array) for what, array in kinds.items()}
    return scripts | {_FOLLOW_UP: follow_up_script(results, submission, [], Watch())}


def words_of(error: SlurmError) -> str:
    """What sbatch says, on one line."""
    lines = [line.strip() for line in error.text.splitlines() if line.strip()]
    plain = [line.removeprefix("sbatch: error: ").removeprefix("allocation failure: ") for line in lines]
    return "; ".join(dict.fromkeys(plain))


def advice(words: str) -> str:
    """The key that may satisfy a site that refuses a job with these words."""
    if words.startswith("a retry with"):
        return f"set memory_cap in {FILE} to what a node has"
    found = next((key for pattern, key in _ADVICE if re.search(pattern, words, re.IGNORECASE)), None)
    return f"in {FILE}, {found}" if found else f"correct {FILE}"
