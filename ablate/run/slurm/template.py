"""A cluster to start from, in the cluster file."""

from pathlib import Path

from ablate.errors import UserError
from ablate.run.slurm.clusters import FILE, read_clusters
from ablate.study.mistake import Mistake
from ablate.study.values import identifier
from ablate.study.words import value_text

_TEMPLATE = """\
# What jobs are told. Every key: docs/slurm.md. What is left out is as Slurm has it by default.
[cluster.{name}]
# partition = "gpu"
# account = "lab"
# qos = "normal"
# time = "24h"                      # the longest that a job may take; trials go on in the next
# gpus_per_node = 4                 # what a node has
# most_jobs = 32                    # at once
setup = []                          # lines of bash: "module load cuda/12.4"
# memory_cap = "256GB"              # the most after a trial was killed for want of memory
# on_finish = "mail -s done me"     # or an address, https://..., to which JSON is posted

# Any further option of sbatch, without its dashes.
[cluster.{name}.options]
"""


def new_cluster(name: str, folder: Path = Path()) -> Path:
    """Write a cluster into ablate.toml, behind those that it has; returns the file. Raises UserError."""
    try:
        identifier(name)
    except Mistake as error:
        raise UserError(f"NAME = {value_text(name)}: {error}", help=error.help) from error
    path = folder / FILE
    before = ""
    if path.exists():
        if name in read_clusters(path):
            raise UserError(f"{path} has a cluster '{name}'", help="give another name, or edit it")
        before = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n"
    path.write_text(before + _TEMPLATE.format(name=name), encoding="utf-8")
    return path
