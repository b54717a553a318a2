"""Values as a study and a command line write them: none, and text with commas."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest

from ablate.errors import UserError
from ablate.records.address import find_trial
from ablate.records.files import Results
from ablate.records.store import open_store
from ablate.run.options import parse_only, parse_settings
from ablate.study.cells.cell import Cell, split_values, texts_of
from ablate.study.expansion.expand import Expansion, expand
from ablate.study.load import load_profile, load_study
from ablate.trainer.hooks import Trainer
from tests.records.by_hand import key_of, write_plan

HEAD = 'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\n'
TEXTS = ["a", "a,b", "a,b,c", "b", "c d", " e", "x=1", "f, seed=0", "line\nend", "1.0", "-"]


class Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    rate: Annotated[float, pydantic.Field(gt=0)] | None = 0.5


class Config(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    seed: int = 0
    clip: float | None = 1.0
    steps: int | bool | None = 3
    items: list[int] | None = None
    text: str = "a"
    name: str | None = "b"
    kind: Literal["none", "one"] | None = None
    must: float = 1.0
    part: Part = Part()


def expanded(folder: Path, text: str, **options: Any) -> Expansion:
    path = folder / "mine.toml"
    path.write_text(HEAD + text)
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / "embedded.toml").write_text('title = "Empty"\ndescription = "No settings."\n[base]\n')
    return expand(load_study(str(path)), load_profile("embedded", path), trainer=Trainer("a:b", Config, 1), **options)


def test_none_in_a_study_is_none_for_a_setting_that_may_be_a_number_or_nothing(tmp_path: Path) -> None:
    trials = expanded(tmp_path, 'axes.clip = ["none", 1.0]\nbase.part.rate = "none"\nbase.steps = "none"\n').trials
    assert [trial.config.clip for trial in trials] == [None, 1.0]
    assert [trial.label for trial in trials] == ["clip=none seed=0", "clip=1.0 seed=0"]
    assert {(trial.config.part.rate, trial.config.steps) for trial in trials} == {(None, None)}
    (case,) = expanded(tmp_path, '[[cases]]\nname = "off"\nlabel = "off"\nset.items = "none"\n').trials
    assert case.config.items is None


def test_none_on_the_command_line_is_none_too_and_one_trial_with_the_same_setting(tmp_path: Path) -> None:
    study = "axes.must = [1.0, 2.0]\n"
    given = expanded(tmp_path, study, overrides=parse_settings(["clip=none", "part.rate=none"]))
    assert given.trials[0].config.clip is None
    in_file = expanded(tmp_path, study + 'base.clip = "none"\nbase.part.rate = "none"\n')
    assert [trial.key for trial in given.trials] == [trial.key for trial in in_file.trials]


def test_none_stays_text_for_a_setting_that_accepts_text_and_is_refused_where_nothing_is_not_allowed(
    tmp_path: Path,
) -> None:
    (trial,) = expanded(tmp_path, 'axes.text = ["none"]\nbase.name = "none"\nbase.kind = "none"\n').trials
    assert (trial.config.text, trial.config.name, trial.config.kind) == ("none", "none", "none")
    with pytest.raises(UserError, match="must = 'none' must be a number"):
        expanded(tmp_path, 'axes.must = ["none", 1.0]\n')


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a", ["a"]), ("a,b", ["a,b"]), ("a,b,c", ["a,b,c"]), ("b,a", ["b", "a"]), ("a,b,b", ["a,b", "b"]),
        ("c d,a", ["c d", "a"]), ("f, seed=0,b", ["f, seed=0", "b"]), ("line\\nend,a", ["line\nend", "a"]),
        ("zz,a", ["zz", "a"]), ("b, zz", ["b", "zz"]), ("-,1.0", ["-", "1.0"]), ("", [""]),
    ],
)  # fmt: skip
def test_known_values_come_first_and_the_longest_wins(given: str, found: list[str]) -> None:
    assert split_values(given, texts_of(TEXTS)) == found


def test_only_takes_a_value_with_a_comma(tmp_path: Path) -> None:
    study = 'axes.text = ["a", "a,b", "b", "c, d"]\n'
    for given, found in (("a,b", ["a,b"]), ("b,a", ["a", "b"]), ("c, d,b", ["b", "c, d"]), ("a", ["a"])):
        trials = expanded(tmp_path, study, only=parse_only([f"text={given}"])).trials
        assert [trial.cell.axes["text"] for trial in trials] == found
    with pytest.raises(UserError, match="--only text=zz: unknown value"):
        expanded(tmp_path, study, only=parse_only(["text=a,zz"]))


def test_the_label_of_a_trial_is_its_address_whatever_its_value(tmp_path: Path) -> None:
    results = Results(tmp_path)
    write_plan(results, {key_of(number): {"text": each, "size": 1} for number, each in enumerate(TEXTS)})
    with open_store(results) as store:
        for number, text in enumerate(TEXTS):
            label = Cell({"text": text, "size": 1}).label
            for name in (label, f"{label} seed=0", f"text={text},size=1,seed=0", f"size=1,text={text}"):
                assert find_trial(store, f"mine:{name}").key == key_of(number)


def test_a_setting_that_is_given_twice_on_the_command_line_is_an_error() -> None:
    with pytest.raises(UserError, match=r"--set epochs = 3: epochs is set twice"):
        parse_settings(["epochs=2", "loss.name=nt_xent", "epochs = 3"])
