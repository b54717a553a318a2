"""Names that a trainer's model lacks are mistakes, also if the model would ignore or keep them."""

from pathlib import Path
from typing import Any

import pydantic
import pytest

from ablate.errors import UserError
from ablate.study.expansion.expand import expand
from ablate.study.load import load_profile, load_study
from ablate.trainer.hooks import Trainer

HEAD = 'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\ntrainer = "mine:train"\n'


class Layer(pydantic.BaseModel):
    width: int = 8


class Optimizer(pydantic.BaseModel):
    rate: float = 0.1


def model(extra: str) -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {
        "seed": (int, 0), "features": (int, 4), "l2": (float, 0.0), "optimizer": (Optimizer, Optimizer()),
        "layers": (list[Layer], []), "either": (Layer | Optimizer, Layer()),
    }  # fmt: skip
    return pydantic.create_model("Config", __config__=pydantic.ConfigDict(extra=extra), **fields)  # type: ignore[no-any-return, call-overload]


@pytest.mark.parametrize("extra", ["ignore", "allow", "forbid"])
@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("[axes]\nfeatures = [1, 2]\n", {"featurs": 10}, "'featurs'; did you mean 'features'?"),
        ("[base]\nl3 = 1.0\n[axes]\nfeatures = [1, 2]\n", {}, "'l3'"),
        ("[axes]\nfeaturez = [1, 2]\n", {}, "'featurez'; did you mean 'features'?"),
        ("[axes]\nfeatures = [1, 2]\n[base]\noptimizer.rat = 1.0\n", {}, "'rat' in optimizer; did you mean 'rate'?"),
        ("[axes]\nfeatures = [1, 2]\n[base]\nlayers = [{ widt = 1 }]\n", {}, "'widt' in layers.0"),
        ('[axes]\nfeatures = [1, 2]\n[[cases]]\nname = "a"\nlabel = "a"\nset.l4 = 1.0\n', {}, "'l4'"),
    ],
)
def test_an_unknown_setting_is_a_mistake_whatever_the_model_does_with_it(
    tmp_path: Path, text: str, overrides: dict[str, Any], message: str, extra: str, shares: bool
) -> None:
    if extra == "forbid" and "layers" in text:
        pytest.skip("the inner model does not forbid, and this is its own case")
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + text)
    trainer = Trainer("tests:train", model(extra), shares_parts=shares)
    with pytest.raises(UserError) as error:
        expand(load_study(str(path)), load_profile("embedded", path), overrides, trainer=trainer)
    assert f"unknown key {message}" in str(error.value)


def test_a_field_that_may_be_one_of_several_models_is_left_to_the_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{HEAD}[axes]\nfeatures = [1, 2]\n[base]\neither.rate = 1.0\n")
    trainer = Trainer("tests:train", model("ignore"))
    assert len(expand(load_study(str(path)), load_profile("embedded", path), trainer=trainer).trials) == 2
