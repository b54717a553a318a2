"""Trials pretrained as one network: each ends as it does alone, whatever happens to the others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ablate.simclr import fusion, group
from ablate.simclr import pretrain as pretraining
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import Config
from ablate.simclr.config import fusion as in_common
from ablate.simclr.data.batches import Stream
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.hooks import likeness
from ablate.simclr.model import make_model
from ablate.simclr.model.fused import Fused
from ablate.simclr.pretrain import contrastive_step, owner, pretrain
from ablate.simclr.training import Run, start
from ablate.study.expansion.trial import identity
from ablate.trainer.contract import Companion, Diverged, Interrupted
from ablate.trainer.world import World
from tests.simclr import cpu_graph
from tests.simclr.conftest import Listener, record_on_cpu, small_config

LONG: dict[str, Any] = {"epochs": 4, "precision": "float64", "fuse_trials": 8}
STEPS = 18
CPU = torch.device("cpu")
NOWHERE = Checkpoints(None, "")


@pytest.fixture(autouse=True)
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU with room for all of them, where it is always worthwhile."""
    monkeypatch.setattr(fusion, "_DEVICE", "cpu")
    monkeypatch.setattr(fusion, "most_that_fit", lambda *_: 100)
    monkeypatch.setattr(fusion, "is_worthwhile", lambda together, members, alone: True)
    monkeypatch.setattr(fusion, "_FEWEST_STEPS", 6)
    monkeypatch.setattr(group, "WARM_UP", 1)
    monkeypatch.setattr(group, "_SOON", 6)


def train(
    data: Dataset, folder: Path, configs: list[Config], stop_after: int | None = None
) -> tuple[Listener, dict[str, Any]]:
    """Pretrain the first of the configs with the others as companions."""
    listener = Listener(stop_after, folder / "0")
    listener.companions = [Companion(f"{n}", each, folder / f"{n}") for n, each in enumerate(configs) if n]
    _, metrics = pretrain(configs[0], data, listener)
    return listener, metrics


def final(folder: Path, number: int, config: Config) -> dict[str, Any] | None:
    return Checkpoints(folder / str(number), owner(config)).final()


def assert_as_alone(
    data: Dataset, folder: Path, number: int, config: Config, whole: bool = True, rows: bool = True
) -> None:
    """The trial ends with what it ends with alone, and logs the same rows. whole: its pretraining is done already."""
    assert (final(folder, number, config) is not None) == whole
    alone, expected = pretrain(config, data, heard := Listener())
    model, metrics = pretrain(config, data, listener := Listener(checkpoints=folder / str(number)))
    for ours, theirs in zip(model.state_dict().values(), alone.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    if rows:
        assert_same_rows(listener.rows, heard.rows)
    for name in expected.keys() - {"pretrain_seconds", "precision"}:
        assert metrics[name] == pytest.approx(expected[name], rel=1e-7)


def assert_same_rows(found: list[Mapping[str, Any]], expected: list[Mapping[str, Any]]) -> None:
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("epoch", "loss", "learning_rate", "gradient_norm"):
            assert (name in ours) == (name in theirs)
            if name in ours:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-7)


def different(**changes: Any) -> list[Config]:
    """Trials that differ in all that fused ones may differ in."""
    return [
        small_config(seed=seed, **(LONG | changes | own))
        for seed, own in enumerate(
            [
                {},
                {},
                {"loss": {"temperature": 0.5}, "online_probe": False},
                {"optimizer": {"name": "lars", "learning_rate": 0.3}, "warmup_epochs": 1},
                {"augment": {"transforms": ("crop", "blur")}, "loss": {"name": "margin", "semi_hard": True}},
            ]
        )
    ]


WAYS: list[dict[str, Any]] = [
    {},
    {"head": {"name": "none"}},
    {"head": {"hidden_layers": 2, "batch_norm": False}},
    {"fixed_batches": True},
]


@pytest.mark.parametrize("changes", WAYS)
def test_each_ends_as_it_does_alone(data: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    configs = different(**changes)
    listener, metrics = train(data, tmp_path, configs)
    assert metrics["fused_trials"] == 5
    (said,) = listener.said
    assert said.startswith("trained with 4 other trials as one network: a step of 5 trials takes ")
    for number, config in enumerate(configs):
        if number:
            assert_as_alone(data, tmp_path, number, config)
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert [row["epoch"] for row in listener.rows] == list(range(1, configs[0].epochs + 1))


def alone_rows(data: Dataset, config: Config) -> list[Mapping[str, Any]]:
    pretrain(config, data, listener := Listener())
    return listener.rows


def test_the_supervised_baseline_is_fused_too(data: Dataset, tmp_path: Path) -> None:
    ways: dict[str, Any] = {"method": "supervised", "evaluate": {"parts": ("classifier",)}}
    configs = [small_config(seed=seed, **LONG, **ways) for seed in range(2)]
    train(data, tmp_path, configs)
    assert_as_alone(data, tmp_path, 1, configs[1])


@pytest.mark.parametrize("epochs", [2, 6])
def test_trainings_may_end_at_different_steps(data: Dataset, tmp_path: Path, epochs: int) -> None:
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | {"epochs": epochs})), small_config(seed=2, **LONG)]
    listener, _ = train(data, tmp_path, configs)
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    for number in (1, 2):
        assert_as_alone(data, tmp_path, number, configs[number], whole=epochs == 2 or number == 2)


@pytest.mark.parametrize("stop_after", [1, 3, 5, 10])
def test_an_interruption_saves_all_of_them(data: Dataset, tmp_path: Path, stop_after: int) -> None:
    configs = different()[:3]
    with pytest.raises(Interrupted):
        train(data, tmp_path, configs, stop_after)
    at = [Checkpoints(tmp_path / f"{n}", owner(each)).newest() for n, each in enumerate(configs)]
    measured = stop_after > 4  # two steps alone and two together: what is lost of the companions before is little
    assert [state and state["done"] for state in at] == [stop_after, *[stop_after - 2 if measured else None] * 2]
    assert all(size(state["model"]) == file_size(state["model"]) for state in at if state)
    train(data, tmp_path, configs)  # which are at different steps now
    for number in (1, 2):
        assert_as_alone(data, tmp_path, number, configs[number])


def size(weights: dict[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in weights.values())


def file_size(weights: dict[str, Tensor]) -> int:
    """What a checkpoint has of the tensors, which may be parts of larger ones."""
    return sum(value.untyped_storage().nbytes() for value in weights.values())


def test_one_that_diverges_leaves_and_the_others_go_on(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = {"optimizer": {"name": "sgd", "learning_rate": 1e200, "scaling": "none"}}
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | wild)), small_config(seed=2, **LONG)]
    listener, metrics = train(data, tmp_path, configs)
    assert sum("trial 1: the loss was no longer a number at step" in said for said in listener.said) == 1
    assert metrics["loss"] == pytest.approx(alone_rows(data, configs[0])[-1]["loss"], rel=1e-7)
    assert final(tmp_path, 1, configs[1]) is None
    assert_as_alone(data, tmp_path, 2, configs[2])
    with pytest.raises(Diverged):
        train(data, tmp_path / "other", [configs[1], configs[0]])


def test_those_trained_already_or_by_another_process_are_left_alone(data: Dataset, tmp_path: Path) -> None:
    configs = [small_config(seed=seed, **LONG) for seed in range(4)]
    pretrain(configs[1], data, Listener(checkpoints=tmp_path / "1"))
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "1").glob("*.pt"))
    with Checkpoints(tmp_path / "2", owner(configs[2])).alone(lambda: False) as held:
        assert held
        _, metrics = train(data, tmp_path, configs)
    assert metrics["fused_trials"] == 2
    assert not list((tmp_path / "2").glob("*.pt"))
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "1").glob("*.pt")) == before
    assert_as_alone(data, tmp_path, 3, configs[3])


def test_where_it_is_not_faster_the_trial_goes_on_alone(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(fusion, "_DEVICE", "cpu")
    monkeypatch.setattr(fusion, "most_that_fit", lambda *_: 100)
    clock = iter([0.0, 3.0, 0.0, 7.2])  # 0.5 s a step alone, then 1.2 s for both
    monkeypatch.setattr(group, "_now", lambda device: next(clock))
    configs = [small_config(seed=seed, **(LONG | {"epochs": 11})) for seed in range(2)]  # 49 steps
    listener, metrics = train(data, tmp_path, configs)
    assert "fused_trials" not in metrics
    assert listener.said == ["fuse_trials = 8 has no effect: a step of 2 trials takes 1.2e+03 ms, of one 500 ms"]
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert not list((tmp_path / "1").glob("*.pt"))


def test_a_short_training_is_not_worth_a_measurement(data: Dataset, tmp_path: Path) -> None:
    configs = [small_config(seed=seed, **(LONG | {"epochs": 1})) for seed in range(2)]
    listener, _ = train(data, tmp_path, configs)
    assert listener.said == ["fuse_trials = 8 has no effect: 4 steps are left, fewer than 6"]
    assert listener.released


def test_times_are_those_of_trials_that_stay(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that leaves or ends in the warm-up leaves no time; the others are measured again."""
    found: list[tuple[float, int, float]] = []

    def is_worthwhile(together: float, members: int, alone: float) -> bool:
        found.append((together, members, alone))
        return True

    monkeypatch.setattr(fusion, "is_worthwhile", is_worthwhile)
    monkeypatch.setattr(group, "WARM_UP", 3)
    configs = [small_config(seed=seed, **(LONG | {"epochs": 6})) for seed in range(3)]
    with pytest.raises(Interrupted):
        pretrain(configs[1], data, Listener(25, tmp_path / "1"))  # 2 of 27 steps are left
    train(data, tmp_path, configs)
    ((together, members, alone),) = found
    assert members == 2
    assert 0 < together < 60
    assert 0 < alone < 60
    for number in (1, 2):
        assert_as_alone(data, tmp_path, number, configs[number], rows=number == 2)


MEMORY: list[tuple[int, str, int]] = [
    (fitting, where, step) for fitting in (0, 1, 3) for where, step in (("backward", 1), ("backward", 2), ("update", 1))
]
MEMORY += [(1, "backward", 4), (-1, "backward", 2)]  # after the end of an epoch, and in the steps alone


@pytest.mark.parametrize(("fitting", "where", "step"), MEMORY)
def test_where_memory_runs_out_fewer_are_trained_together_and_nothing_changes(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitting: int, where: str, step: int
) -> None:
    """At a step that they do together, in the backward pass or once the own weights have changed."""
    monkeypatch.setattr(group, "WARM_UP", 3 if step == 4 else 1)
    backward, close, update, taken = Fused.backward, Fused.close, Run.update, {"members": 0, "steps": 0}

    def fail_if_large(at: str) -> None:
        if at == where and taken["members"] > 1 + fitting and taken["steps"] == step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def counted(self: Fused) -> None:
        taken.update(members=len(self.members), steps=taken["steps"] + 1)
        backward(self)
        fail_if_large("backward")

    def failing(self: Run, *arguments: Any) -> None:
        update(self, *arguments)
        if self.config.seed == 0:
            fail_if_large("update")

    def closed(self: Fused) -> None:
        taken.update(members=0, steps=0)
        close(self)

    monkeypatch.setattr(Fused, "backward", counted)
    monkeypatch.setattr(Fused, "close", closed)
    monkeypatch.setattr(Run, "update", failing)
    configs = [small_config(seed=seed, **LONG) for seed in range(5)]
    listener, metrics = train(data, tmp_path, configs)
    assert metrics.get("fused_trials", 1) == {-1: 1, 0: 1, 1: 2, 3: 3}[fitting]  # 4 companions, then 2, then 1
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert_same_weights(data, tmp_path, configs[0])
    assert_as_alone(data, tmp_path, 1, configs[1], whole=fitting > 0)
    reasons = {
        0: ["the GPU has no memory for a second trial"],
        -1: ["its step fails: OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"],
    }
    begins = "fuse_trials = 8 has no effect: "
    assert [said.removeprefix(begins) for said in listener.said if begins in said] == reasons.get(fitting, [])


def test_a_gpu_that_cannot_compute_their_step_trains_each_alone(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Fused.backward

    def unsupported(self: Fused) -> None:
        backward(self)
        if len(self.members) > 1:
            raise RuntimeError("GET was unable to find an engine to execute this computation\nat Engine.cpp:1")

    monkeypatch.setattr(Fused, "backward", unsupported)
    configs = [small_config(seed=seed, **LONG) for seed in range(3)]
    listener, _ = train(data, tmp_path, configs)
    why = "a step of 3 trials fails: RuntimeError: GET was unable to find an engine to execute this computation"
    assert listener.said == [f"fuse_trials = 8 has no effect: {why}"]
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert_same_weights(data, tmp_path, configs[0])


@pytest.mark.parametrize("others", [1, 2])
def test_one_that_has_a_step_left_is_done_before_the_others_are_measured_again(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    configs = [small_config(seed=seed, **LONG) for seed in range(1 + others)]
    with pytest.raises(Interrupted):
        pretrain(configs[1], data, Listener(STEPS - 1, tmp_path / "1"))
    listener, metrics = train(data, tmp_path, configs)
    assert metrics.get("fused_trials") == (2 if others == 2 else None)
    if others == 1:
        assert listener.said[-1] == "fuse_trials = 8 has no effect: no other trial is left to be trained"
    for number in range(1, 1 + others):
        assert_as_alone(data, tmp_path, number, configs[number], rows=number == 2)


def assert_same_weights(data: Dataset, folder: Path, config: Config) -> None:
    state, (alone, _) = final(folder, 0, config), pretrain(config, data, Listener())
    assert state is not None
    for ours, theirs in zip(state["model"].values(), alone.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("where", ["batch", "rate", "loss", "update", "take", "save", "finish"])
def test_what_goes_wrong_with_a_companion_does_not_reach_the_others(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    configs = [small_config(seed=seed, **(LONG | {"checkpoint_minutes": 0})) for seed in range(3)]
    unlucky = owner(configs[1])

    def failing(original: Any, is_it: Any) -> Any:
        def function(*arguments: Any, **keywords: Any) -> Any:
            if is_it(*arguments):
                raise OSError(122, "Disk quota exceeded")
            return original(*arguments, **keywords)

        return function

    if where == "loss":
        is_it = lambda config, *_: config.seed == 1  # noqa: E731
        monkeypatch.setattr(pretraining, "contrastive_step", failing(contrastive_step, is_it))
    elif where == "take":
        monkeypatch.setattr(group, "make_model", failing(make_model, lambda config, *_: config.seed == 1))
    elif where == "batch":
        monkeypatch.setattr(Stream, "_views", failing(Stream._views, lambda stream, *_: stream.seed == 1))
    elif where == "rate":
        is_it = lambda run, *_: run.config.seed == 1  # noqa: E731
        monkeypatch.setattr(Run, "set_learning_rates", failing(Run.set_learning_rates, is_it))
    elif where == "update":
        monkeypatch.setattr(Run, "update", failing(Run.update, lambda run, *_: run.config.seed == 1))
    else:
        is_it = lambda store, *_: store._owner == unlucky  # noqa: E731
        monkeypatch.setattr(Checkpoints, where, failing(getattr(Checkpoints, where), is_it))
    listener, _ = train(data, tmp_path, configs)
    assert "trial 1: OSError: [Errno 122] Disk quota exceeded" in listener.said
    monkeypatch.undo()
    assert_same_rows(listener.rows, alone_rows(data, configs[0]))
    assert_same_weights(data, tmp_path, configs[0])
    assert_as_alone(data, tmp_path, 2, configs[2])
    assert final(tmp_path, 1, configs[1]) is None
    with Checkpoints(tmp_path / "1", unlucky).alone(lambda: True) as free:
        assert free


def test_a_learning_rate_that_no_number_holds_ends_one_trial_only(data: Dataset, tmp_path: Path) -> None:
    wild = {"optimizer": {"name": "sgd", "learning_rate": 1e300, "scaling": "none"}, "warmup_epochs": 0}
    short = LONG | {"precision": "float32"}
    configs = [small_config(**short), small_config(seed=1, **(short | wild))]
    listener, _ = train(data, tmp_path, configs)
    assert listener.rows[-1]["epoch"] == 4
    assert any(said.startswith("trial 1: ") for said in listener.said)


def test_a_training_that_has_ended_is_saved_before_its_companions_go_on(data: Dataset, tmp_path: Path) -> None:
    """They are the steps behind that the measurement of the trial alone took."""
    configs = [small_config(seed=seed, **LONG) for seed in range(2)]
    with pytest.raises(Interrupted):
        train(data, tmp_path, configs, stop_after=STEPS)
    assert final(tmp_path, 0, configs[0]) is not None
    newest = Checkpoints(tmp_path / "1", owner(configs[1])).newest()
    assert newest is not None
    assert newest["done"] == STEPS - 2
    train(data, tmp_path, configs)
    assert_as_alone(data, tmp_path, 1, configs[1], whole=False)


def test_companions_that_fail_after_the_own_training_has_ended_do_not_fail_it(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Fused.backward

    def out_of_memory(self: Fused) -> None:
        backward(self)
        if final(tmp_path, 0, configs[0]):
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Fused, "backward", out_of_memory)
    configs = [small_config(seed=seed, **LONG) for seed in range(3)]
    listener, metrics = train(data, tmp_path, configs)
    assert metrics["fused_trials"] == 3
    why = "its companions go on when it is their turn: OutOfMemoryError: CUDA out of memory"
    assert listener.said[-1] == why
    monkeypatch.undo()
    assert_as_alone(data, tmp_path, 1, configs[1], whole=False, rows=False)


def test_another_process_may_train_what_has_ended_or_left(data: Dataset, tmp_path: Path) -> None:
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | {"epochs": 2})), small_config(seed=2, **LONG)]
    free: list[tuple[bool, bool]] = []

    class Looking(Listener):
        def progress(self, done: int, total: int, now: Any) -> None:
            super().progress(done, total, now)
            with (
                Checkpoints(tmp_path / "1", owner(configs[1])).alone(lambda: True) as one,
                Checkpoints(tmp_path / "2", owner(configs[2])).alone(lambda: True) as two,
            ):
                free.append((one, two))

    listener = Looking(checkpoints=tmp_path / "0")
    listener.companions = [Companion(f"{n}", each, tmp_path / f"{n}") for n, each in enumerate(configs) if n]
    pretrain(configs[0], data, listener)
    assert free[0] == (True, True)
    assert free[8] == (False, False)
    assert free[14] == (True, False)


def test_a_member_that_leaves_does_not_put_off_checkpoints(data: Dataset, tmp_path: Path) -> None:
    run = start(small_config(**LONG), data.train.images, Listener(), make_model(small_config(), 10, CPU), NOWHERE)
    saved = run._saved
    run.start_clock(3)
    assert run._saved == saved


GIB = 2**30


@pytest.mark.parametrize(("free", "share", "fitting"), [(64, 1.0, 56), (64, 0.125, 5), (3, 1.0, 1), (2, 1.0, 0)])
def test_as_many_are_taken_along_as_fit_into_what_is_free_and_in_the_part_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, free: int, share: float, fitting: int
) -> None:
    """Each takes 1 GiB: what the steps allocate at most, and four times the weights."""
    monkeypatch.undo()
    model = torch.nn.Linear(2**26, 1, bias=False)  # 0.25 GiB
    given = {
        "max_memory_allocated": 3 * GIB,
        "memory_allocated": 3 * GIB,
        "memory_reserved": 4 * GIB,
        "mem_get_info": ((free - 1) * GIB, 80 * GIB),
        "get_per_process_memory_fraction": share,
    }
    for name, value in given.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert fusion.most_that_fit(model, torch.device("cuda"), before=3 * GIB) == fitting  # type: ignore[arg-type]


ENCODERS: list[dict[str, Any]] = [
    {"name": "resnet18", "stem": "imagenet"},
    {"name": "resnet50", "stem": "strided"},
    {"name": "resnet8", "stem": "cifar", "width_multiplier": 2},
]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_step_of_each_network_is_that_of_the_models_alone(encoder: dict[str, Any]) -> None:
    configs = [small_config(seed=seed, precision="float64", encoder=encoder) for seed in range(2)]
    models, alone = ([make_model(each, 10, torch.device("cpu")).train() for each in configs] for _ in range(2))
    views, labels = torch.rand(2, 16, 3, 16, 16, dtype=torch.float64), torch.randint(10, (2, 8))
    network = Fused(models)
    network(views)
    for config, member, own, of_own in zip(configs, network.members, views, labels, strict=True):
        contrastive_step(config, member, own, of_own)  # type: ignore[arg-type]
    network.backward()
    for config, model, expected, own, of_own in zip(configs, models, alone, views, labels, strict=True):
        contrastive_step(config, expected, own, of_own)
        for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-12)
    network.close()
    for model, expected in zip(models, alone, strict=True):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-12, atol=1e-14)
            assert value.untyped_storage().nbytes() == value.numel() * value.element_size(), name


def test_their_step_can_be_a_graph(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = []

    def record(step: Any) -> Any:
        recordings.append(1)
        return cpu_graph.record(step)

    record_on_cpu(monkeypatch, record)
    configs = different(cuda_graph=True)
    listener, _ = train(data, tmp_path, configs)
    assert recordings
    assert all("no effect" not in said for said in listener.said)
    for number, config in enumerate(configs[1:], 1):
        assert_as_alone(data, tmp_path, number, config.model_copy(update={"cuda_graph": False}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"encoder": {"name": "torchvision", "torchvision": "mobilenet_v3_small"}}, "networks of torchvision"),
        ({"micro_batch": 8}, "micro_batch is set"),
        ({"compile": True}, "compile = true"),
        ({"deterministic": True}, "deterministic = true, and which trials are fused depends on measured times"),
    ],
)
def test_where_a_trial_cannot_be_fused_it_says_why(changes: dict[str, Any], why: str) -> None:
    config, listener = small_config(fuse_trials=4, **changes), Listener()
    listener.companions = [Companion("1", config, Path("1"))]
    assert in_common(config) is None
    assert pretraining._offered(config, listener) == []
    assert listener.said[0].startswith(f"fuse_trials = 4 has no effect: {why}")


def test_ranks_that_train_together_do_not_fuse() -> None:
    listener = Listener(world=World(0, 2))
    listener.companions = [Companion("1", small_config(fuse_trials=4, seed=1), Path("1"))]
    assert pretraining._offered(small_config(fuse_trials=4), listener) == []
    assert listener.said[0] == "fuse_trials = 4 has no effect: several ranks train together"


OTHERS: list[dict[str, Any]] = [
    {"encoder": {"name": "resnet8", "stem": "cifar"}},
    {"head": {"output_dimension": 4}},
    {"batch_size": 8},
    {"precision": "float32"},
    {"method": "supervised", "evaluate": {"parts": ("classifier",)}},
    {"data": {"name": "textures", "image_size": 16, "train_images": 80, "test_images": 40}},
    {"fuse_trials": 4},
    {"epochs": 0, "warmup_epochs": 0},
]


@pytest.mark.parametrize("changes", OTHERS)
def test_trials_of_another_architecture_or_other_images_are_not_taken_along(
    data: Dataset, tmp_path: Path, changes: dict[str, Any]
) -> None:
    configs = [small_config(**LONG), small_config(seed=1, **(LONG | changes))]
    listener, metrics = train(data, tmp_path, configs)
    assert "fused_trials" not in metrics
    assert not listener.said


def test_on_a_cpu_trials_train_alone(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    listener, _ = train(data, tmp_path, [small_config(seed=seed, **LONG) for seed in range(2)])
    assert listener.said == ["fuse_trials = 8 has no effect: only a GPU gains from it"]
    assert listener.released


def test_fusion_makes_no_other_trial() -> None:
    alone, together = Config(), Config(fuse_trials=8)
    assert all(each(alone) == each(together) for each in (identity, owner, likeness))
