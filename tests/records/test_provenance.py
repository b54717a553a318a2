import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ablate.records import provenance as module
from ablate.records.code import snapshot
from ablate.records.files import Results
from ablate.records.provenance import provenance, slurm_job
from ablate.records.reading import believable


def test_the_environment_of_an_attempt_is_valid_json_and_names_the_code() -> None:
    known = json.loads(json.dumps(provenance(plan="studies/mine/plan-1.json")))
    assert known["plan"] == "studies/mine/plan-1.json"
    assert known["device"] == "cpu"
    assert known["packages"]["pydantic"]
    assert known["command"] == sys.argv
    assert "driver" not in known


def test_a_slurm_job_is_recorded_with_its_array_and_partition_and_no_job_is_null() -> None:
    variables = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_PARTITION": "g"}
    assert slurm_job(variables) == {"job": "7", "array_job": "5", "array_task": "2", "partition": "g"}
    assert slurm_job({"SLURM_ARRAY_TASK_ID": "2"}) is None


def test_code_of_a_snapshot_is_recorded_by_its_digest_and_commit(tmp_path: Path) -> None:
    code = snapshot(Results(tmp_path))
    about = json.loads((code.folder / "code.json").read_text())
    script = "import json; from ablate.records.provenance import provenance; print(json.dumps(provenance()))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], env={"PYTHONPATH": str(code.folder)}, capture_output=True, check=True
    )
    known = json.loads(run.stdout)
    assert (known["code"], known["commit"]) == (code.digest, about["commit"])


def test_a_gpu_is_recorded_by_its_name_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA H100 ({device})")
    monkeypatch.setattr(module, "_driver", lambda: "570.1")
    known = provenance("cuda:1")
    assert (known["device"], known["driver"]) == ("NVIDIA H100 (cuda:1)", "570.1")


def test_no_variable_of_the_environment_is_recorded_but_those_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUSH_TOKEN", "PIP_INDEX_URL", "PYTHONPATH", "SLURM_JWT", "USER"):
        monkeypatch.setenv(name, "hush-4711")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    known = provenance()
    assert known["slurm"] == {"job": "7"}
    assert "hush-4711" not in json.dumps(known)


def test_of_a_damaged_environment_only_entries_of_the_right_form_are_believed() -> None:
    known = json.loads(json.dumps(provenance(trainer="tests.run.toy:train")))
    assert believable(known) == known
    wrong: dict[str, list[Any]] = {
        "commit": [5, ["a"], {}],
        "packages": ["torch", ["torch"], {"torch": {"a": 1}}],
        "project": [[], "mine", {"commit": [1]}],
        "command": ["ablate", {"a": 1}, [["a"]]],
        "threads": ["1", [1]],
        "slurm": [True, [1]],
        "of a later version": [[], [[1]]],
    }
    for name, values in wrong.items():
        kept = [value for value in values if believable({name: value, "host": "here"}) != {"host": "here"}]
        assert kept in ([], [[]]), name
    assert believable([]) == believable(None) == {}
