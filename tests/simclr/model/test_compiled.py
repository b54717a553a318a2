import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset
from ablate.simclr.hooks import likeness
from ablate.simclr.model import Model, make_model
from ablate.simclr.model.compiled import compiled
from ablate.simclr.pretrain import contrastive_step, owner, pretrain
from ablate.study.expansion.trial import identity
from ablate.trainer.contract import Interrupted
from ablate.trainer.world import ALONE, World
from tests.simclr.conftest import Listener, small_config

CPU = torch.device("cpu")
real_compile = torch.compile


def by(backend: str) -> Callable[..., Any]:
    """torch.compile with another compiler, which is quicker than the usual one."""
    return lambda function, **settings: partial(real_compile, backend=backend)(function, **settings)


def one_step(model: Model, config: Config) -> list[Tensor]:
    """Loss and gradients of a step, and batch norm's statistics after it."""
    random = torch.Generator().manual_seed(0)
    views, labels = torch.rand(32, 3, 32, 32, generator=random), torch.arange(16) % 4
    measures = contrastive_step(config, model, views, labels)
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return [measures["loss"], *gradients, *(each.double() for each in model.buffers())]


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 8}])
def test_a_compiled_step_agrees_with_a_plain_one_to_a_ten_thousandth(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(torch, "compile", by("aot_eager"))
    config, said = small_config(precision="float32", **changes), []
    plain, fast = (make_model(config, 4, CPU).train() for _ in range(2))
    wanted = one_step(plain, config)
    with compiled(fast, ALONE, said.append):
        found = one_step(fast, config)
    assert not said
    assert len(found) == len(wanted) > 20
    for ours, theirs in zip(found, wanted, strict=True):
        assert float((ours - theirs).norm()) <= 1e-4 * float(theirs.norm()) + 1e-7


def test_a_compiled_training_resumes_to_the_same_bits_and_its_checkpoint_is_a_plain_ones(
    monkeypatch: pytest.MonkeyPatch, data: Dataset, tmp_path: Any
) -> None:
    monkeypatch.setattr(torch, "compile", by("aot_eager"))
    config = small_config(compile=True)
    whole, _ = pretrain(config, data, Listener())
    with pytest.raises(Interrupted):
        pretrain(config, data, Listener(4, tmp_path))
    resumed, _ = pretrain(config, data, Listener(checkpoints=tmp_path))
    assert list(whole.state_dict()) == list(make_model(small_config(), 4, CPU).state_dict())
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert resumed.network is None


def test_a_network_that_cannot_be_compiled_trains_without_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, data: Dataset
) -> None:
    def broken(*arguments: Any) -> Any:
        raise ValueError("no compiler is here")

    monkeypatch.setattr(torch, "compile", lambda function, **settings: real_compile(function, backend=broken))
    listener = Listener()
    model, _ = pretrain(small_config(compile=True), data, listener)
    (said,) = [each for each in listener.said if "compile" in each]
    assert said.startswith("compile = true has no effect: torch cannot compile the network: ")
    assert "no compiler is here" in said
    plain, _ = pretrain(small_config(), data, Listener())
    assert all(map(torch.equal, model.state_dict().values(), plain.state_dict().values()))
    with compiled(model, ALONE, listener.said.append):
        model(torch.rand(4, 3, 8, 8))
        assert model.network is None, "the plain path, which saves kernels on a GPU"


def test_several_ranks_train_without_and_say_so() -> None:
    model, said = make_model(small_config(), 4, CPU), []
    with compiled(model, World(rank=0, size=2), said.append):
        assert model.network is None
    assert said == ["compile = true has no effect: several ranks train together, whose batch norm is not compiled"]


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # in torch, as it imports inductor
@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs g++")
def test_inductor_compiles_a_projection_head(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Not an encoder, whose C++ takes g++ minutes."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model, said = make_model(small_config(precision="float32"), 4, CPU).train(), []
    model.encoder = torch.nn.Flatten()  # type: ignore[assignment]
    images = torch.rand(16, model.probe.in_features, 1, 1)
    wanted = model(images).z
    with compiled(model, ALONE, said.append):
        found = model(images).z
    assert not said
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_compiled_trial_is_another_trial_and_todays_keys_stay() -> None:
    plain, fast = Config(), Config(compile=True)
    for each in (identity, owner, likeness):
        assert each(plain) != each(fast)
    assert "compile" not in str(identity(plain))
    assert "compile" not in likeness(plain)
