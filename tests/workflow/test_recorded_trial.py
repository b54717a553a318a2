import enum
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ablate
from ablate.errors import UserError
from ablate.records.attempt import environment_of, trial_status
from ablate.records.files import Results
from ablate.study.load import load_study


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.chdir(tmp_path)
    return Results(Path("results"))


def record(lr: float, seed: int, accuracy: float, study: str = "rates") -> str:
    with ablate.trial(study, lr=lr, net="small", seed=seed) as trial:
        trial.log(epoch=1, loss=0.5)
        trial.log({"epoch": 2, "loss": 0.25})
        trial.result(accuracy=accuracy)
    assert trial.key
    return trial.key


def test_runs_of_any_code_become_trials_of_a_study_that_is_judged(results: Results) -> None:
    keys = [record(lr, seed, 0.5 + lr + seed / 100) for lr in (0.1, 0.01) for seed in (0, 1, 2)]
    assert len(set(keys)) == 6
    axes = load_study("rates").study.all_axes
    assert {name: axis.names for name, axis in axes.items()} == {"lr": [0.1, 0.01], "net": ["small"]}
    frame = ablate.results("rates").pl()
    assert sorted(frame["value"].to_list()) == pytest.approx([0.51, 0.52, 0.53, 0.6, 0.61, 0.62])
    (attempt,) = results.trial(keys[0]).attempt_folders()
    rows = [json.loads(line) for line in (attempt / "metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == [0.5, 0.25]
    assert attempt.name == "001-script"
    assert environment_of(attempt)["project"]
    with pytest.raises(UserError, match="has a result already"):
        record(0.1, 0, 0.7)
    with Path("studies/rates.toml").open("a") as file:
        file.write('\n[[claims]]\nid = "c1"\ntext = "A <large> rate is best."\nkind = "best"\nis = "lr == 0.1"\n')
    judged = ablate.results("rates").judge()
    assert len(repr(judged)) < 400
    assert repr(judged.verdicts[0]).startswith("c1 ")
    html = judged._repr_html_()
    assert "c1: A &lt;large&gt; rate is best." in html
    assert html.count("<tr>") == 2


def test_a_run_that_fails_says_why_and_may_be_repeated(results: Results) -> None:
    record(0.1, 0, 0.5)
    trial = ablate.trial("rates", lr=0.1, net="small", seed=1)
    with pytest.raises(ZeroDivisionError), trial:
        1 / 0  # noqa: B018
    assert trial.key
    status = trial_status(results.trial(trial.key), 0)
    assert (status.state, status.cause) == ("failed", "exception")
    with ablate.trial("rates", lr=0.1, net="small", seed=1) as again:
        again.result(acc=1.0)
    status = trial_status(results.trial(trial.key), 0)
    assert (status.state, status.cause) == ("failed", "metric")
    assert record(0.1, 1, 0.5) == trial.key
    assert trial_status(results.trial(trial.key), 0).state == "done"


def test_a_study_of_ones_own_accepts_only_its_cells(tmp_path: Path) -> None:
    record(0.1, 0, 0.5)
    text = (
        Path("studies/rates.toml").read_text().replace('name = "rates"', 'name = "mine"').replace('"imported"', '"t:f"')
    )
    Path("studies/mine.toml").write_text(text.replace('settings.ablate_study = "rates"', "").replace("settings.", ""))
    Path("t.py").write_text(
        "import pydantic\nclass C(pydantic.BaseModel):\n  seed: int = 0\n  lr: float = 1.0\n  net: str = ''\n"
        "def f(config: C, context): ...\n"
    )
    for axes, message in [
        ({"lr": 0.2, "net": "small"}, "lr = 0.2 is not a value of the axis"),
        ({"lr": 0.1, "nett": "small"}, "did you mean 'net'?"),
        ({"lr": 0.1}, "lr=0.1 is not a cell of"),
    ]:
        with pytest.raises(UserError) as error, ablate.trial("mine", **axes):  # type: ignore[arg-type]
            pass
        assert message in str(error.value)
    record(0.1, 0, 0.5, "mine")


def test_scripts_that_begin_together_share_one_study() -> None:
    code = "import ablate, sys\nwith ablate.trial('many', lr=float(sys.argv[1])) as trial:\n  trial.result(acc=1.0)\n"
    Path("train.py").write_text(code)
    running = [subprocess.Popen([sys.executable, "train.py", str(lr)]) for lr in (1, 2, 3)]
    assert [each.wait(60) for each in running] == [0, 0, 0]
    assert sorted(load_study("many").study.all_axes["lr"].names) == [1.0, 2.0, 3.0]  # type: ignore[type-var]
    assert len(ablate.results("many").pl()) == 3


def test_what_no_study_may_contain_is_refused_before_the_code_trains_and_spoils_no_file() -> None:
    values: list[object] = [[1], None, float("nan"), 2**63, b"x"]
    for existing in (False, True):
        for value in values:
            with pytest.raises(UserError, match=r"x = .* cannot be the value of an axis"):
                ablate.trial("odd", x=value)  # type: ignore[arg-type]
        for seed in (-1, 1.5, "0", True, 2**31, None):
            with pytest.raises(UserError, match=r"seed = .* is not a whole number from 0 to 2,147,483,647"):
                ablate.trial("odd", x=1, seed=seed)  # type: ignore[arg-type]
        with ablate.trial("odd", x=2 if existing else 1) as trial:
            trial.result(accuracy=0.5)
    for axes in ({"Lr": 1}, {"study": 1}, {"class": 1}, {"é": 1}, {}):
        with pytest.raises(UserError, match=r"^error: ablate.trial"), ablate.trial("others", **axes):  # type: ignore[arg-type]
            pytest.fail("the code ran")
    assert not Path("studies/others.toml").exists()


class Optimizer(enum.StrEnum):
    SGD = "sgd"


class Depth(enum.IntEnum):
    DEEP = 50


def test_scalars_enumerations_and_any_text_are_values_as_they_were_written() -> None:
    given: list[Any] = [np.float64(0.1), np.float32(0.2), np.int64(3), np.str_("a]b"), "d, label = ]"]
    given += [torch.tensor(0.7), torch.tensor(0.3, dtype=torch.float16), Optimizer.SGD, Depth.DEEP]
    for value in given:
        with ablate.trial("given", x=value, seed=np.int64(0)) as trial:  # type: ignore[arg-type]
            trial.result(accuracy=0.5)
    assert load_study("given").study.all_axes["x"].names == [0.1, 0.2, 3, "a]b", "d, label = ]", 0.7, 0.3, "sgd", 50]
    assert ablate.results("given").pl()["state"].to_list() == ["done"] * 9


def test_what_would_be_recorded_nowhere_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    trial = ablate.trial("lost", lr=0.1)
    with pytest.raises(UserError, match=r"trial.result was called outside of the trial's `with` block"):
        trial.result(accuracy=0.9)
    with trial:
        trial.log(loss=1.0)
    assert "trial.result got no number: the study 'lost' is not recorded" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"trial.log was called outside"):
        trial.log(loss=0.5)
