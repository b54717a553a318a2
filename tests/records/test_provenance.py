import json
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.records import provenance as module
from ablate.records.code import snapshot
from ablate.records.files import Results
from ablate.records.provenance import provenance, slurm_job


def test_an_attempts_surroundings_can_be_written_as_json_and_name_what_ran() -> None:
    known = json.loads(json.dumps(provenance(plan="studies/mine/plan-1.json")))
    assert known["plan"] == "studies/mine/plan-1.json"
    assert known["device"] == "cpu"
    assert known["packages"]["pydantic"]
    assert known["command"] == sys.argv
    assert "driver" not in known


def test_a_slurm_job_is_told_with_its_array_and_partition_and_no_job_is_null() -> None:
    variables = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_PARTITION": "g"}
    assert slurm_job(variables) == {"job": "7", "array_job": "5", "array_task": "2", "partition": "g"}
    assert slurm_job({"SLURM_ARRAY_TASK_ID": "2"}) is None


def test_code_of_a_snapshot_is_told_by_its_digest_and_the_commit_that_it_was_made_at(tmp_path: Path) -> None:
    code = snapshot(Results(tmp_path))
    about = json.loads((code.folder / "code.json").read_text())
    script = "import json; from ablate.records.provenance import provenance; print(json.dumps(provenance()))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], env={"PYTHONPATH": str(code.folder)}, capture_output=True, check=True
    )
    known = json.loads(run.stdout)
    assert (known["code"], known["commit"]) == (code.digest, about["commit"])


def test_a_gpu_is_told_by_its_name_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA H100 ({device})")
    monkeypatch.setattr(module, "_driver", lambda: "570.1")
    known = provenance("cuda:1")
    assert (known["device"], known["driver"]) == ("NVIDIA H100 (cuda:1)", "570.1")
