"""`ablate new --function`: a study of a Python function, or one clear error."""

from pathlib import Path

import pytest

import ablate
from ablate.errors import UserError
from ablate.study.check import check_files
from ablate.study.from_function import new_function_study
from ablate.study.load import load_study

CODE = """
from pydantic import BaseModel, Field


class Optimizer(BaseModel):
    name: str = "sgd"
    lr: float = Field(0.1, gt=0)


class Config(BaseModel):
    seed: int = 0
    state: str = "on"
    width: int = 8
    optimizer: Optimizer = Optimizer()


class Needy(BaseModel):
    seed: int = 0
    depth: int


def train(config: Config, context) -> dict[str, float]:
    return {"val_loss": config.optimizer.lr + config.seed}


def needy(config: Needy, context) -> dict[str, float]:
    return {"accuracy": 1.0 * config.depth}


def plain(lr=0.1, seed=0):
    return {"accuracy": lr}


number = 3
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of a name that no other test imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "code_of_from_function.py").write_text(CODE)
    return tmp_path


def new(function: str, *vary: str, metric: str | None = None) -> Path:
    return new_function_study("mine", f"code_of_from_function:{function}", vary, metric, None)


def test_the_study_of_a_function_is_right_and_runs() -> None:
    path = new("train", "optimizer.lr=0.2,0.1", "state=on,off", "optimizer.name=sgd,adam")
    study = load_study(str(path)).study
    found = {axis.setting: axis.values for axis in study.axes.values()}
    assert found == {"optimizer.lr": [0.2, 0.1], "state": ["on", "off"], "optimizer.name": ["sgd", "adam"]}
    assert set(study.axes) == {"lr", "state_", "optimizer_name"}  # the store has a column `state`
    assert study.metric == "val_loss"
    assert "lowest = true" in path.read_text()
    (checked,) = check_files([str(path)], [])
    assert (checked.problems, checked.trials) == ((), {"embedded": 8})
    results = ablate.load(path).run(only={"state_": ["on"], "optimizer_name": ["sgd"]}, seeds=1, inline=True)
    assert sorted(results.pl()["val_loss"].drop_nulls()) == [0.1, 0.2]


def test_settings_with_the_same_last_part_are_axes_of_their_own(project: Path) -> None:
    (project / "code_of_three.py").write_text(CODE.replace('state: str = "on"', "lr: float = 1.0"))
    path = new_function_study("mine", "code_of_three:train", ["optimizer.lr=0.2,0.1", "lr=1.0,2.0"], None, None)
    axes = load_study(str(path)).study.axes
    assert {name: axis.setting for name, axis in axes.items()} == {"optimizer_lr": "optimizer.lr", "lr": "lr"}


def test_a_metric_may_be_named_and_a_setting_without_a_default_varied() -> None:
    assert load_study(str(new("needy", "depth=1,2", metric="score"))).study.metric == "score"


@pytest.mark.parametrize(
    ("function", "vary", "message"),
    [
        ("train", ["optimizer.lrr=1,2"], "'optimizer.lrr' is not a setting of code_of_from_function:train; did you"),
        ("train", ["width=8"], "--vary width=8 needs at least two values"),
        ("train", ["width=wide,narrow"], "width"),
        ("train", ["optimizer.lr=0.1,-1"], "optimizer.lr"),
        ("train", ["seed=1,2"], "seeds are not an axis"),
        ("train", [], "which setting shall vary? The settings of code_of_from_function:train are state, width"),
        ("trian", ["width=1,2"], "has no such function; did you mean 'train'?"),
        ("number", ["width=1,2"], "has no such function"),
        ("needy", [], "which setting shall vary"),
        ("plain", ["lr=1,2"], "its first argument is not annotated with a pydantic model"),
    ],
)
def test_what_cannot_become_a_study_is_told_once(function: str, vary: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        new(function, *vary)
    assert message in str(error.value)
    assert len(error.value.problems) == 1
    assert error.value.problems[0].help
    assert not Path("studies").exists()


def test_a_module_that_is_missing_and_a_required_setting_are_named() -> None:
    with pytest.raises(UserError, match="no_such_module cannot be imported"):
        new_function_study("mine", "no_such_module:train", ["lr=1,2"], None, None)
    Path("code_of_two.py").write_text(CODE.replace("    depth: int\n", "    depth: int\n    more: int\n"))
    with pytest.raises(UserError, match="Needy has no default for more"):
        new_function_study("mine", "code_of_two:needy", ["depth=1,2"], None, None)


def test_a_function_of_plain_arguments_is_told_the_model_that_would_hold_them() -> None:
    with pytest.raises(UserError) as error:
        new("plain", "lr=1,2")
    help = error.value.problems[0].help
    assert "class Config(BaseModel): seed: int = 0; lr: float = 0.1 and def plain(config: Config, context)" in str(help)
