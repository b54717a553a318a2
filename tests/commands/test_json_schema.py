"""Every command with `--json` prints what its JSON Schema says, and the schema names all that it prints."""

import json
import shlex
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import typer.main
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.commands import doctor, json_trials, json_verdicts, plan
from ablate.commands.json_schema import OUTPUTS, output_schema
from ablate.commands.output import print_json
from ablate.errors import TrialsFailed
from ablate.judge import verdict
from ablate.records.status import Status
from ablate.run.machine import Check
from ablate.run.plan import STATES
from ablate.run.slurm.scheduler import Job
from ablate.run.slurm.standing import OnCluster

TRAINER = """
from pydantic import BaseModel


class Config(BaseModel):
    seed: int = 0
    depth: int = 2
    mixup: bool = False
    warm: bool = False


def train(config: Config, context) -> dict[str, float]:
    for epoch in range(2):
        context.log({"epoch": epoch, "loss": 1 / (epoch + 1)})
    if config.depth == 9:
        raise ValueError("too deep")
    return {"accuracy": 0.5 + 0.1 * config.mixup + 0.05 * config.warm + 0.01 * (config.seed * 7 % 3)}
"""
STUDY = """
name = "parts"
title = "Two parts"
question = "Do they help?"
trainer = "own_trainer:train"
metric = "accuracy"
baseline = "mixup=false warm=false"

[axes]
mixup = [false, true]
warm = [false, true]

[[cases]]
name = "deep"
label = "too deep"
set.depth = 9

[[claims]]
id = "c1"
text = "Mixup helps."
kind = "greater"
left = "mixup"
right = "not mixup"
"""
CLUSTER = """
[cluster.big]
partition = "gpu"
"""
OLD_RUNS = "lr,seed,accuracy\n0.1,0,0.5\n0.1,1,0.6\n0.2,0,0.7\n0.2,1,0.9\n"
EXIT_CODES = {"check of mistakes": 2, "verify a paper": 1}
CALLS: dict[str, str] = {
    "check": "check parts",
    "check of mistakes": "check wrong",
    "studies": "studies",
    "plan": "plan parts",
    "plan for a cluster": "plan parts --on big --seeds 5 --assume 100",
    "plan of a suite": "plan both.toml",
    "status": "status",
    "show": "show parts:mixup=true,warm=true,seed=1",
    "diff": "diff parts:mixup=true,warm=true,seed=1 parts:mixup=true,warm=false,seed=1",
    "logs": "logs parts:case=deep,seed=0",
    "why": "why parts:case=deep,seed=0",
    "why of a trial that is done": "why parts:mixup=true,warm=true,seed=1",
    "judge": "judge parts",
    "judge with looks": "judge parts --sequential",
    "attribute": "attribute parts",
    "noise": "noise parts",
    "query": "query 'SELECT * FROM parts'",
    "query without a number": "query \"SELECT 'nan'::DOUBLE AS x, 'inf'::DOUBLE AS y\"",
    "verify a paper": "verify paper.tex",
    "import": "import runs.csv --study old --axis lr --metric accuracy",
    "cancel": "cancel parts",
    "doctor": "doctor --results elsewhere",
    "gc": "gc --dry-run --now",
}
"""What is called -> the command line; the first word of a name is the command. Pages: see test_verify.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a study that ran with three seeds, one cell of which failed."""
    root = tmp_path_factory.mktemp("project")
    (root / "studies").mkdir()
    (root / "own_trainer.py").write_text(TRAINER)
    (root / "studies/parts.toml").write_text(STUDY)
    (root / "studies/wrong.toml").write_text(STUDY.replace("parts", "wrong").replace("greater", "grater"))
    (root / "both.toml").write_text('name = "both"\ntitle = "Both"\nstudies = ["studies/parts.toml"]\n')
    (root / "ablate.toml").write_text(CLUSTER)
    (root / "runs.csv").write_text(OLD_RUNS)
    (root / "paper.tex").write_text("\\input{reports/parts/numbers}\nAn accuracy of \\ablate{nothing}.")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.syspath_prepend(root)
        with pytest.raises(TrialsFailed):
            ablate.load("studies/parts.toml").run(seeds=3, inline=True)
        assert CliRunner().invoke(app, ["report", "parts", "--format", "latex"]).exit_code == 0
    return root


def with_json() -> set[str]:
    """The commands that have `--json`."""
    found = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {name for name, command in found.items() if any("--json" in each.opts for each in command.params)}


def valid(command: str, output: str) -> Any:
    """The output, parsed; fails unless the command's schema allows it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    value = json.loads(output, parse_constant=refuse)
    jsonschema.validate(value, output_schema(command), cls=jsonschema.Draft202012Validator)
    return value


def test_every_command_with_json_has_a_schema_and_is_called_here() -> None:
    assert with_json() == set(OUTPUTS) == {name.partition(" ")[0] for name in CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_a_command_prints_what_its_schema_says(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(plan, "_scripts", lambda *_: {"job.sh": "#!/bin/bash"})  # those of Slurm need Slurm
    monkeypatch.setattr(doctor, "_torch", lambda: iter([Check("torch", "ok", "not imported here")]))
    ran = CliRunner().invoke(app, [*shlex.split(CALLS[name]), "--json"])
    assert name == "doctor" or ran.exit_code == EXIT_CODES.get(name, 0), (ran.output, ran.exception)
    value = valid(name.partition(" ")[0], ran.stdout)
    assert value, "an empty output would satisfy most schemas"


def test_a_status_with_cluster_jobs_and_a_job_of_a_trial_are_as_their_schemas_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What only a cluster can give; tests/slurm has the commands there."""
    print_json(Status((), clusters=(OnCluster("s", "small", "big", {"Priority": 2}, "12", None, 1.5, "GPU-hours"),)))
    assert valid("status", capsys.readouterr().out)["clusters"][0]["asked"] == ""
    job = Job("j", 3, "12_3", "PENDING", reason="Priority", log=Path("x.out"))
    none = dict.fromkeys(("cause", "message", "help", "returned"))
    print_json({"key": "k", "state": "new", "job": job, "last_metrics": {}, "log": [], **none})
    assert valid("why", capsys.readouterr().out)["job"]["log"] == "x.out"


def test_a_schema_allows_no_field_that_it_does_not_name_and_needs_all_that_it_names() -> None:
    validator = jsonschema.Draft202012Validator(output_schema("cancel"))
    whole: dict[str, object] = {"running": [], "waiting": [], "done": [], "jobs": []}
    assert validator.is_valid(whole)
    assert not validator.is_valid({**whole, "more": 1})
    assert not validator.is_valid({"running": [], "waiting": [], "done": []})
    standing = {"study": "s", "profile": "p", "counts": {}, "running": []}  # a dataclass prints its defaults too
    status = jsonschema.Draft202012Validator(output_schema("status"))
    assert not status.is_valid({"standings": [standing], "elsewhere": {}, "damage": [], "clusters": []})


def test_the_schema_knows_every_state_of_a_verdict_and_of_a_trial() -> None:
    assert set(get_args(json_verdicts.State)) == set(get_args(verdict.State))
    assert set(get_args(json_trials.TrialState)) == set(STATES)


def test_schema_prints_the_schema_of_a_command_and_names_those_that_have_one() -> None:
    printed = CliRunner().invoke(app, ["schema", "--json-of", "judge"])
    assert json.loads(printed.stdout) == output_schema("judge")
    wrong = CliRunner().invoke(app, ["schema", "--json-of", "juge"])
    assert "did you mean 'judge'" in str(wrong.exception)
