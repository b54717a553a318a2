"""From a folder with nothing but a script to a judged page, in three commands."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablate.command.words import filled
from ablate.errors import UserError
from ablate.study.check import check_files
from ablate.study.from_command import new_command_study, parsed
from ablate.study.load import load_study

TRAIN = '''"""Guesses."""

import argparse
import random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--use-aug", action="store_true")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
noise = random.Random(arguments.seed)
for epoch in range(3):
    accuracy = 0.5 + arguments.lr + 0.01 * noise.random()
    print(f"epoch {epoch}: accuracy={accuracy:.4f}")
'''


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def test_three_commands_lead_from_a_script_to_a_judged_page(project: Path) -> None:
    def ablate(*arguments: str) -> str:
        command = [sys.executable, "-m", "ablate", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout

    began = time.monotonic()
    line = "python train.py --lr 0.1 --seed 0"
    assert "wrote studies/mine.toml" in ablate("new", "mine", "--command", line, "--vary", "lr=0.1,0.01")
    assert "page: reports/mine.html" in ablate("run", "mine", "--seeds", "3", "--workers", "1")
    ablate("report", "mine")
    assert time.monotonic() - began < 180
    page = (project / "reports/mine.html").read_text()
    assert "lr = 0.1 gives the highest accuracy." in page
    assert "supported" in page


@pytest.mark.parametrize(
    ("line", "words", "settings"),
    [
        (
            "python train.py --lr 0.1 --use-aug --seed 3 --output-dir runs/x --device cuda",
            ["python", "train.py", "--lr", "{lr}", "{use_aug:--use-aug}", "--seed", "{seed}", "--output-dir", "{out}",
             "--device", "{device}"],
            {"lr": 0.1, "use_aug": True},
        ),
        (
            "python -m pkg.train model.width=4 seed=0 +opt.name='a b' -b 32 --wd=-1e-4",
            ["python", "-m", "pkg.train", "model.width={model_width}", "seed={seed}", "+opt.name={opt_name}", "-b",
             "{b}", "--wd={wd}"],
            {"model_width": 4, "opt_name": "a b", "b": 32, "wd": "-1e-4"},
        ),
        ("python train.py --beta1 0.9 --beta2 0.999 --opt.lr 1 --opt-lr 2 --top-5",
         ["python", "train.py", "--beta1", "{beta1}", "--beta2", "{beta2}", "--opt.lr", "{opt_lr}", "--opt-lr",
          "{opt_lr_2}", "{top_5:--top-5}"],
         {"beta1": 0.9, "beta2": 0.999, "opt_lr": 1, "opt_lr_2": 2, "top_5": True}),
        ("python train.py --layer 64 --layer 32 --data there --data there layer=1 layer=2 -v -v",
         ["python", "train.py", "--layer", "64", "--layer", "32", "--data", "{project}/there", "--data",
          "{project}/there", "layer=1", "layer=2", "{v:-v}", "{v:-v}"], {"v": True}),
        ("./run.sh fit --Lambda 1 --loss x {a}",
         ["./run.sh", "fit", "--Lambda", "{lambda_}", "--loss", "{loss}", "{{a}}"], {"lambda_": 1, "loss": "x"}),
        ("python train.py --config train.py --data there", ["python", "train.py", "--config", "train.py", "--data",
         "{project}/there"], {}),
    ],
)  # fmt: skip
def test_options_become_placeholders_and_files_stay(
    project: Path, line: str, words: list[str], settings: dict[str, object]
) -> None:
    (project / "there").mkdir()
    found = parsed(line, project)
    assert (found.words, found.settings) == (words, settings)


def new(line: str, vary: list[str], answer: str | None = None, metric: str | None = None) -> Path:
    ask = None if answer is None else (lambda question: answer)
    return new_command_study("mine", line, vary, metric, ask, Path("studies"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python train.py --lr 0.1 --text '$(x) `y` > z; \\'", ["--text", "$(x) `y` > z; \\"]),
        ('python train.py --lr 0.1 --text "it\'s 5 & more"', ["--text", "it's 5 & more"]),
        ("bash -c 'echo $A > b' --lr 0.1", ["-c", "echo $A > b"]),
        (r"""python train.py --lr 0.1 --text "\$5 \` \\\$ \n" """, ["--text", r"$5 ` \$ \n"]),
        ('bash -c "echo $A > b" --lr 0.1', ["-c", "echo $A > b"]),
    ],
)
def test_what_is_quoted_is_an_argument_and_not_for_a_shell(line: str, words: list[str]) -> None:
    study = load_study(str(new(line, ["lr=1,2"]))).study
    assert study.command
    given = [study.defaults.get(word.strip("{}"), word) for word in study.command]
    assert [word for word in given if word in words] == words


@pytest.mark.parametrize(
    ("word", "value"),
    [("007", "007"), ("3.10", "3.10"), ("1_000", "1_000"), ("nan", "nan"), ("9" * 20, "9" * 20), ("True", "True"),
     ("true", True), ("0.5", 0.5), ("-3", -3), ("1e-05", 1e-05), ("1e-4", "1e-4"), ("1e5", "1e5"),
     ("1e20", "1e20"), ("1e999", "1e999")],
)  # fmt: skip
def test_the_program_gets_every_word_as_it_was_typed(word: str, value: object) -> None:
    path = new(f"python train.py --lr 0.1 --word {word}", ["lr=1,2"])
    study = load_study(str(path)).study
    found = study.defaults["word"]
    assert (found, type(found)) == (value, type(value))
    assert study.command
    assert filled(study.command, study.defaults | {"lr": 1})[-1] == word
    assert check_files([str(path)], [])[0].problems == ()


def test_a_number_with_an_exponent_is_varied_as_a_number_and_the_claim_is_about_the_one_of_the_command() -> None:
    study = load_study(str(new("python train.py --lr 1e-4", ["lr=1e-3,1e-4"]))).study
    assert (study.axes["lr"].values, study.claims[0].text[:11]) == ([0.001, 0.0001], "lr = 0.0001")


def test_true_and_false_of_an_option_are_varied_as_they_are_spelled_and_those_of_a_flag_are_switches() -> None:
    path = new("python train.py --aug True --flag", ["aug=True,False", "flag=True,False"])
    assert {name: axis.values for name, axis in load_study(str(path)).study.axes.items()} == {
        "aug": ["True", "False"], "flag": [True, False],
    }  # fmt: skip


def test_a_new_study_of_a_command_is_right_and_asks_what_to_vary() -> None:
    line = "python train.py --lr 0.1 --use-aug --batch-size 32 --seed 0"
    path = new(line, [], answer="use_aug=true,false batch-size=32,64", metric="val_loss")
    study = load_study(str(path)).study
    assert {name: axis.values for name, axis in study.axes.items()} == {
        "use_aug": [True, False], "batch_size": [32, 64],
    }  # fmt: skip
    assert study.defaults == {"lr": 0.1}
    assert check_files([str(path)], [])[0].problems == ()
    assert "lowest = true" in path.read_text()


@pytest.mark.parametrize(
    ("line", "vary", "message"),
    [
        ("python train.py --lr 0.1", [], "which setting shall vary? The command has lr = 0.1"),
        ("python train.py --lr 0.1", ["lrr=1,2"], "did you mean 'lr'?"),
        ("python train.py --lr 0.1", ["lr=1"], "needs at least two values"),
        ("python train.py --lr 0.1", ["lr=1,0.5,1"], "--vary lr=1,0.5,1 lists 1 twice"),
        ("python train.py --lr 3.9", ["lr=3.9,3.10"], "is 3.10 a version, or the number 3.1?"),
        ("python train.py --lr 3.9", ["lr=3.10,3.11"], "is 3.10 a version, or the number 3.1?"),
        ("python train.py --lr 0.9", ["lr=0.9,0.10"], "is 0.10 a version, or the number 0.1?"),
        ("python train.py --lr 0.1", ["lr=1,2", "lr=3,4"], "--vary lr=3,4: 'lr' is given twice"),
        ("python 'train.py", ["lr=1,2"], "No closing quotation"),
        ("", ["lr=1,2"], "--command is empty"),
        ("python train.py --lr 0.1 > out.txt", ["lr=1,2"], "'>' is for a shell"),
        ("python train.py --lr 0.1 2>&1 | tee log", ["lr=1,2"], "'2>&1' is for a shell"),
        ("python train.py --lr 0.1 >out.txt", ["lr=1,2"], "'>out.txt' is for a shell"),
        ("python train.py --lr 0.1 2>err.log", ["lr=1,2"], "'2>err.log' is for a shell"),
        ("python train.py --lr 0.1; echo hi", ["lr=1,2"], "'0.1;' is for a shell"),
        ("python train.py --lr 0.1 --now `date +%s`", ["lr=1,2"], "'`date' is for a shell"),
        ('python train.py --lr 0.1 --out "$HOME/my runs"', ["lr=1,2"], """'"$HOME/my runs"' is for a shell"""),
        ("cd there && python train.py --lr 0.1", ["lr=1,2"], "'&&' is for a shell"),
        ("CUDA_VISIBLE_DEVICES=0 python train.py --lr 0.1", ["lr=1,2"], "'CUDA_VISIBLE_DEVICES=0' is for a shell"),
        ("python train.py --lr 0.1 --data ${HOME}/data", ["lr=1,2"], "'${HOME}/data' is for a shell"),
    ],
)
def test_what_cannot_become_a_study_is_told(line: str, vary: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        new(line, vary)
    assert message in str(error.value)
    assert not Path("studies").exists()
