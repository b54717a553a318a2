"""Trainers of someone's own: what a study needs of them, and what is told where they lack it."""

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.expansion.expand import expand
from ablate.study.expansion.trial import Expansion
from ablate.study.load import load_profile, load_study
from ablate.trainer.find import DEFAULT_TRAINER, find_trainer, limits_of, sources_of

HEADER = "import pydantic\n\nclass Settings(pydantic.BaseModel):\n    model_config = {'extra': 'forbid'}\n"
GOOD = (
    HEADER
    + "    seed: int = 0\n    depth: int = pydantic.Field(3, gt=0)\n\ndef train(config: Settings, context): ...\n"
)
Write = Callable[[str], str]
_numbers = itertools.count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module into the working folder; gives its name, new each time, as imports are kept."""
    monkeypatch.chdir(tmp_path)
    before = list(sys.path), set(sys.modules)

    def write(text: str) -> str:
        name = f"trainer_of_a_test_{next(_numbers)}"
        Path(f"{name}.py").write_text(text)
        return name

    yield write
    sys.path[:] = before[0]
    for name in set(sys.modules) - before[1]:
        if name.startswith("trainer_of_a_test_"):
            del sys.modules[name]


def expansion(module: str, text: str = "axes.depth = [1, 2]\n") -> Expansion:
    path = Path("mine.toml")
    path.write_text(f'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\ntrainer = "{module}:train"\n{text}')
    return expand(load_study(str(path)), load_profile("embedded", path))


def told(module: str, text: str = "axes.depth = [1, 2]\n") -> str:
    with pytest.raises(UserError) as caught:
        expansion(module, text)
    return str(caught.value)


def test_a_module_in_the_working_folder_is_a_trainer_and_its_settings_are_varied(write: Write) -> None:
    found = expansion(write(GOOD), "seeds = 2\naxes.depth = [1, 2]\n")
    assert [(trial.config.depth, trial.seed) for trial in found.trials] == [(1, 0), (1, 1), (2, 0), (2, 1)]  # type: ignore[attr-defined]
    assert len({trial.key for trial in found.trials}) == 4


def test_settings_of_a_profile_are_not_for_a_custom_trainer(write: Write) -> None:
    assert "batch_size" not in expansion(write(GOOD)).trials[0].config.model_dump()


def test_a_mistake_in_its_settings_is_told_with_the_value_of_the_axis(write: Write) -> None:
    message = told(write(GOOD), "axes.depth = [1, 0]\nbase.detph = 4\n")
    assert message.startswith("error: unknown key 'detph'; did you mean 'depth'?\n  --> mine.toml:6:1\n")
    assert "error: depth = 0 must be greater than 0\n  --> mine.toml:5:18\n" in message


def test_a_new_recipe_version_gives_new_keys(write: Write) -> None:
    text = GOOD.replace("import pydantic\n", "import pydantic\nRECIPE_VERSION = 2\n", 1)
    first, second = write(GOOD), write(text)
    assert find_trainer(f"{first}:train").recipe_version == 1
    assert find_trainer(f"{second}:train").recipe_version == 2
    assert expansion(first).trials[0].key != expansion(second).trials[0].key


def test_its_prepare_fills_in_what_its_files_hold(write: Write) -> None:
    module = write(GOOD + "def prepare(config):\n    return config.model_copy(update={'depth': 10 * config.depth})\n")
    assert [trial.config.depth for trial in expansion(module).trials] == [10, 20]  # type: ignore[attr-defined]


def test_a_valueerror_of_its_prepare_is_told_in_its_words(write: Write) -> None:
    module = write(GOOD + "def prepare(config):\n    raise ValueError('no file for this depth')\n")
    assert told(module) == "error: no file for this depth"


def test_any_other_error_of_its_prepare_is_told_as_a_mistake_of_the_trainer(write: Write) -> None:
    module = write(GOOD + "def prepare(config):\n    return {}['depth']\n")
    assert told(module) == (
        f"error: prepare() of trainer = '{module}:train' raised KeyError: 'depth'\n"
        "  help: it should raise ValueError for invalid settings"
    )


def test_an_error_in_a_validator_of_its_settings_is_told(write: Write) -> None:
    check = "    @pydantic.field_validator('depth')\n    def check(cls, depth):\n        return {}[depth]\n"
    module = write(GOOD.replace("def train", f"{check}\ndef train", 1))
    assert "error: Settings raised KeyError while validating its settings: 1\n" in told(module)


def test_a_setting_that_no_key_can_hold_is_told(write: Write) -> None:
    module = write(GOOD.replace("gt=0)", "gt=0)\n    rate: float = float('inf')"))
    assert "cannot be part of a trial's key" in told(module)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "    depth: int = 3\ndef train(config: Settings, context): ...\n", "Settings has no field 'seed'"),
        (GOOD.replace("config: Settings", "config"), "its first argument is not annotated with a pydantic model"),
        (GOOD.replace("config: Settings", "config: int"), "its first argument is not annotated with a pydantic model"),
        (GOOD.replace("config: Settings, context", ""), "its first argument is not annotated with a pydantic model"),
        (GOOD.replace("config: Settings", "config: 'Setings'"), "its annotations cannot be read"),
        (GOOD.replace("def train", "def trian"), "has no such function; did you mean 'trian'?"),
        (GOOD + "train = 3\n", "has no such function"),
        (GOOD + "RECIPE_VERSION = 'two'\n", "RECIPE_VERSION = 'two' is not a whole number"),
        (GOOD + "1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero"),
        (GOOD + "raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
        ("def train(:\n", "cannot be imported: SyntaxError"),
        ("import nothing_that_is_installed\n", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_a_trainer_lacks_is_told_with_the_line_of_the_study(write: Write, text: str, message: str) -> None:
    module = write(text)
    shown = told(module)
    assert message in shown
    assert shown.startswith(f"error: trainer = '{module}:train': ")
    assert "--> mine.toml:4:1\n" in shown


@pytest.mark.parametrize("name", ["", ":", "a", "a:", ":b", ".:x", "..a:b", "a b:c", "\0:x", "os.path.:x"])
def test_a_name_that_is_no_function_is_told(write: Write, name: str) -> None:
    with pytest.raises(UserError, match="trainer = "):
        find_trainer(name)


def test_the_code_of_a_trainer_is_its_top_level_package_or_module(write: Write, tmp_path: Path) -> None:
    module = write(GOOD)
    assert sources_of(f"{module}:train") == [tmp_path / f"{module}.py"]


def test_modules_beside_a_trainer_are_its_code_if_anything_in_it_imports_them(write: Write, tmp_path: Path) -> None:
    later = "def later():\n    from own_parts.layers import Layer\n"
    module = write(f"import os, own_helpers as helpers\n{GOOD}{later}")
    (tmp_path / "own_helpers.py").write_text("import own_base\n")
    for name in ("own_base.py", "own_other.py"):
        (tmp_path / name).write_text("")
    for name in ("own_parts/layers.py", "own_parts/__init__.py", "os/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = {path.name for path in sources_of(f"{module}:train")}
    assert found == {f"{module}.py", "own_helpers.py", "own_base.py", "own_parts"}


WRITES_INTO_ITS_PARTS = """
from typing import Any
import pydantic

class Data(pydantic.BaseModel):
    sha: str | None = None

class Options(pydantic.BaseModel):
    warmup: float = 0.0

class Settings(pydantic.BaseModel):
    seed: int = 0
    data_seed: int | None = None
    epochs: int = 10
    data: Data = Data()
    options: Options = Options()

    @pydantic.model_validator(mode="after")
    def _derived(self) -> "Settings":
        self.options.warmup = self.epochs / 10
        if self.data_seed is None:
            self.data_seed = 100 + self.seed
        return self

def prepare(config: Settings) -> Settings:
    config.data.sha = f"sha of {config.epochs}"
    return config

def train(config: Settings, context: Any) -> dict[str, float]:
    return {}
"""


def test_what_a_validator_or_prepare_writes_into_a_part_stays_in_its_own_cell(write: Write) -> None:
    trials = expansion(write(WRITES_INTO_ITS_PARTS), "axes.epochs = [10, 20, 30]\n").trials
    plain = [trial.config.model_dump() for trial in trials]
    assert [each["options"]["warmup"] for each in plain] == [1.0, 2.0, 3.0]
    assert [each["data"]["sha"] for each in plain] == ["sha of 10", "sha of 20", "sha of 30"]


def test_every_seed_is_validated_for_itself(write: Write) -> None:
    trials = expansion(write(WRITES_INTO_ITS_PARTS), "seeds = [0, 7]\naxes.epochs = [10]\n").trials
    assert [trial.config.model_dump()["data_seed"] for trial in trials] == [100, 107]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("secret: str = pydantic.Field('', exclude=True)", "Settings.secret is excluded from serialization"),
        ("rate: float = pydantic.Field(0.1, alias='lr')", "Settings.rate has an alias, but settings go by field names"),
        ("rate: float = 1", "the default of Settings.rate is 1; write 1.0"),
    ],
)
def test_a_setting_that_a_record_could_not_hold_is_refused(write: Write, field: str, words: str) -> None:
    assert words in told(write(GOOD.replace("    seed: int = 0\n", f"    seed: int = 0\n    {field}\n")))


LISTS = HEADER.replace("pydantic\n", "pydantic\nfrom typing import Any\n", 1) + (
    "    seed: int = 0\n    layers: list[int] = [8]\n    milestones: dict[str, float] = {}\n\n"
    "def train(config: Settings, context: Any): ...\n"
)


def test_a_number_picks_an_item_of_a_list_of_the_config_itself(write: Write) -> None:
    text = "base.layers = [1, 2, 3]\naxes.first = { setting = 'layers.0', values = [7, 9] }\n"
    trials = expansion(write(LISTS), text).trials
    assert [trial.config.model_dump()["layers"] for trial in trials] == [[7, 2, 3], [9, 2, 3]]


def test_numbers_are_names_in_a_table_that_is_no_list(write: Write) -> None:
    text = "base.milestones = { 10 = 0.1, 20 = 0.01 }\naxes.layers = { values = { a = [1] }, setting = 'layers' }\n"
    assert expansion(write(LISTS), text).trials[0].config.model_dump()["milestones"] == {"10": 0.1, "20": 0.01}


def test_a_field_that_does_not_count_is_left_out_inside_lists_too(write: Write) -> None:
    module = write(
        "import pydantic\nfrom typing import Any\n\nclass Item(pydantic.BaseModel):\n    size: int = 1\n"
        "    where: str = pydantic.Field('', json_schema_extra={'identity': False})\n\n"
        "class Settings(pydantic.BaseModel):\n    seed: int = 0\n    items: list[Item] = []\n\n"
        "def train(config: Settings, context: Any): ...\n"
    )
    keys = [
        expansion(module, f"axes.items = {{ setting = 'items', values = {{ a = [{{ where = '{place}' }}] }} }}\n")
        .trials[0].key
        for place in ("here", "there")
    ]  # fmt: skip
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("setting", "limits"),
    [
        ("loss.margin", (0, 2)),
        ("epochs", (0, math.inf)),
        ("augment.transforms.0", (-math.inf, math.inf)),
        ("no.such", (-math.inf, math.inf)),
    ],
)
def test_the_limits_of_a_setting_are_those_that_the_trainer_checks(setting: str, limits: tuple[float, float]) -> None:
    assert limits_of(DEFAULT_TRAINER, setting) == limits
    assert limits_of("no.such:trainer", setting) == (-math.inf, math.inf)
