"""Ranks are processes of their own, joined by gloo."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ablate.simclr.model.encoder import GlobalBatchNorm
from ablate.trainer.rendezvous import Rendezvous
from ablate.trainer.world import World, _rendezvous

ROOT = Path(__file__).parents[3]
STEPS = 20

RANK = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from ablate.simclr import training
from ablate.simclr.config import Config
from ablate.simclr.data.dataset import load
from ablate.simclr.pretrain import pretrain
from ablate.trainer.contract import Console
from ablate.trainer.world import started
config = Config.model_validate_json(Path(sys.argv[1]).read_text())
rows, gradients = [], []
class Keeping(Console):
    def log(self, metrics): rows.append(dict(metrics))
make = training.make_optimizer
def keeping(*arguments):
    optimizer = make(*arguments)
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.register_step_pre_hook(lambda *_: gradients.append([p.grad.clone() for p in weights]))
    return optimizer
training.make_optimizer = keeping
with started("cpu") as (world, device):
    model, metrics = pretrain(config, load(config.data, device), Keeping(device, world=world))
    if world.first:
        state = {"model": model.state_dict(), "rows": rows, "first": gradients[0], "last": gradients[-1]}
        torch.save({"size": world.size, **state}, sys.argv[2])
"""


def torchrun(ranks: int, *command: str, **options: Any) -> subprocess.Popen[str]:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), *command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(run, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes, **options)


def trained(folder: Path, ranks: int, settings: dict[str, Any]) -> dict[str, Any]:
    config, output, script = folder / "config.json", folder / f"{ranks}.pt", folder / "rank.py"
    config.write_text(json.dumps(settings))
    script.write_text(RANK)
    process = torchrun(ranks, str(script), str(config), str(output))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    state: dict[str, Any] = torch.load(output, weights_only=True)
    assert state["size"] == ranks
    return state


SETTINGS: dict[str, Any] = {
    "precision": "float64",
    "batch_size": 16,
    "epochs": 4,
    "warmup_epochs": 0.5,
    "data": {"name": "textures", "image_size": 16, "train_images": 80, "test_images": 40},
    "encoder": {"name": "resnet8", "stem": "strided"},
    "head": {"output_dimension": 8},
}
LARS = {"learning_rate": 1.0, "scaling": "none"}
SGD = {"name": "sgd", "learning_rate": 0.05, "scaling": "none"}
ALL_OPERATIONS = {"transforms": ["crop", "color", "noise", "blur", "cutout", "rotate"]}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"optimizer": LARS, "augment": ALL_OPERATIONS}, id="lars, nt_xent, six transformations"),
        pytest.param({"optimizer": SGD, "loss": {"name": "margin", "negatives": "one"}}, id="sgd, margin"),
        pytest.param(
            {"optimizer": SGD, "method": "supervised", "evaluate": {"parts": ["classifier"]}}, id="supervised"
        ),
    ],
)
def test_one_two_and_four_ranks_compute_the_same_loss_gradients_and_weights(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    one, *others = (trained(tmp_path, ranks, SETTINGS | changes) for ranks in (1, 2, 4))
    assert one["rows"][-1]["epoch"] == 4  # of five steps each
    for other in others:
        for name, value in one["model"].items():
            torch.testing.assert_close(other["model"][name], value, rtol=1e-9, atol=1e-9, msg=name)
        for which in ("first", "last"):
            ours, theirs = (torch.cat([part.flatten() for part in each[which]]) for each in (other, one))
            assert (ours - theirs).norm() < 1e-9 * theirs.norm()  # rounding starts at 1e-15, and grows with each step
        for mine, first in zip(other["rows"], one["rows"], strict=True):
            for name in {"loss", "contrastive_accuracy", "contrastive_entropy", "train_top1"} & set(first):
                assert mine[name] == pytest.approx(first[name], rel=1e-9)


TOML = """
batch_size = 16
epochs = 12
warmup_epochs = 1
checkpoint_minutes = 0
data = { name = "textures", image_size = 16, train_images = 80, test_images = 41 }
encoder = { name = "resnet8", stem = "strided" }
optimizer = { name = "adamw", learning_rate = 0.01, scaling = "none" }
evaluate.parts = ["linear", "cached_linear", "knn", "finetune"]
evaluate.linear = { epochs = 5, batch_size = 16 }
evaluate.finetune = { epochs = 2, batch_size = 8, label_share = 0.5 }
"""


def test_a_run_on_two_ranks_that_is_told_to_stop_goes_on_on_four_and_ends_with_numbers(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TOML)
    command = ["-m", "ablate.simclr", str(tmp_path / "config.toml"), "--output", str(tmp_path / "out")]
    process = torchrun(2, *command)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # torchrun passes it on to the ranks
    _, errors = process.communicate(timeout=60)
    assert not (tmp_path / "out" / "result.json").exists()
    assert "stopped; run the same command to resume from the last checkpoint" in errors
    again = torchrun(4, *command)
    told, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert "resuming at step" in told
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["finetune_images"] == 40
    for name in ("linear_top1", "cached_linear_top1", "knn_top1", "finetune_top1", "online_test_top1"):
        assert 0 <= result[name] <= 100
    assert result["top1"] == result["linear_top1"]


def test_batch_norm_of_its_own_takes_bfloat16_and_keeps_statistics_in_float32() -> None:
    ours = GlobalBatchNorm(nn.BatchNorm2d(5), World())
    inputs = torch.randn(12, 5, 4, 4)
    output = ours(inputs.bfloat16())
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), nn.BatchNorm2d(5)(inputs), rtol=0.02, atol=0.02)
    assert ours.running_mean.dtype == torch.float32


@pytest.mark.parametrize("shape", [(12, 5), (12, 5, 4, 4)])
def test_batch_norm_of_its_own_is_torchs_on_one_rank(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    local = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5).double()
    with torch.no_grad():
        local.weight.normal_(), local.bias.normal_()
    twin = type(local)(5).double()
    twin.load_state_dict(local.state_dict())
    ours = GlobalBatchNorm(twin, World())
    inputs = [torch.randn(shape, dtype=torch.float64).mul_(3).add_(1).requires_grad_() for _ in range(2)]
    inputs[1].data.copy_(inputs[0].data)
    outputs = [norm(each) for norm, each in zip((local, ours), inputs, strict=True)]
    weights = torch.randn(shape, dtype=torch.float64)
    for output in outputs:
        (output * weights).sum().backward()
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    torch.testing.assert_close(ours.weight.grad, local.weight.grad)
    assert ours.state_dict().keys() == local.state_dict().keys()
    for name, value in local.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    torch.testing.assert_close(ours.eval()(inputs[1]), local.eval()(inputs[0]))


def test_a_process_started_alone_is_a_world_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")  # as in a batch script, outside of srun
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert _rendezvous() is None
    world, values = World(), torch.rand(3, requires_grad=True)
    assert world.gather(values) is values
    assert world.sum(values) is values
    assert world.slice(7) == slice(0, 7)


def test_ranks_that_srun_starts_find_each_other_by_slurms_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$3" = "node[3-4]" ] && printf "node3\\nnode4\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("RANK", raising=False)
    slurm = {"STEP_NUM_TASKS": "8", "PROCID": "5", "LOCALID": "1", "STEP_NODELIST": "node[3-4]"}
    for name, value in {**slurm, "CLUSTER_NAME": "here", "JOB_ID": "123456", "STEP_ID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert _rendezvous() == Rendezvous(5, 1, 8, "node3", "here/123456/0/2")
