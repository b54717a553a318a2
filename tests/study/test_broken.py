"""Broken study files, as a careless user writes them: what is told of each, to the letter.

Those that are text lie in `broken/`, each with what is told beside it; `approve.py` writes that.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.study.check import check_files
from tests.study.approve import BROKEN, told, told_of

Write = Callable[..., Path]
HEAD = b'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\n'
AXES = b'[axes]\ntemperature = { setting = "loss.temperature", values = [0.1, 0.5] }\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file into an empty working folder; a study called mine unless told otherwise."""
    monkeypatch.chdir(tmp_path)

    def write(content: bytes, name: str = "mine.toml") -> Path:
        Path(name).write_bytes(content)
        return Path(name)

    return write


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_broken_study_is_told_as_it_was_approved(path: Path) -> None:
    assert told_of(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_at_least_a_hundred_broken_studies_are_approved_and_each_message_has_a_file() -> None:
    studies = {path.stem for path in BROKEN.glob("*.toml")}
    assert len(studies) >= 100
    assert studies == {path.stem for path in BROKEN.glob("*.txt")}


def test_no_message_on_a_broken_study_is_empty_and_each_names_the_file() -> None:
    for path in BROKEN.glob("*.txt"):
        for problem in path.read_text(encoding="utf-8").split("\n\n"):
            assert problem.startswith("error: ")
            assert f"{path.stem}.toml" in problem


def test_bytes_that_are_not_utf_8_are_told_with_their_line(write: Write) -> None:
    path = write(HEAD + b"# Schl\xfcssel\n" + AXES)
    assert told(path) == ("error: mine.toml:4 is not UTF-8: byte 0xfc\n  help: save the file as UTF-8\n")


def test_an_image_is_told_to_be_no_text(write: Write) -> None:
    path = write(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert told(path) == ("error: mine.toml:1 is not UTF-8: byte 0x89\n  help: save the file as UTF-8\n")


def test_a_file_of_nulls_is_told_where_they_begin(write: Write) -> None:
    path = write(HEAD + b"\0\0\0")
    assert told(path) == (
        "error: invalid TOML: this line is neither KEY = VALUE, nor [TABLE], nor a # comment\n"
        "  --> mine.toml:4:1\n"
        "  |\n"
        "4 | \ufffd\ufffd\ufffd\n"
        "  | ^\n"
    )


def test_a_file_of_windows_with_a_byte_order_mark_and_tabs_is_right(write: Write) -> None:
    text = (HEAD + AXES).replace(b"\n", b"\r\n").replace(b"temperature =", b"\ttemperature\t=")
    assert told(write(b"\xef\xbb\xbf" + text)) == ""


def test_a_mistake_behind_tabs_and_wide_letters_is_marked_where_it_stands(write: Write) -> None:
    path = write(HEAD + '[axes]\n\tx = { label = "温度", setting = "epochs", valeus = [1, 2] }\r\n'.encode())
    assert told(path).splitlines()[1:10] == [
        "  --> mine.toml:5:2",
        "  |",
        '5 | \tx = { label = "温度", setting = "epochs", valeus = [1, 2] }',
        "  | \t^",
        '  help: for example values = [0.1, 0.5], or values = { weak = ["crop"], strong = ["crop", "color"] }',
        "",
        "error: unknown key 'valeus' in axes.x; did you mean 'values'?",
        "  --> mine.toml:5:42",
        "  |",
    ]
    assert told(path).splitlines()[11] == "  | \t" + " " * 42 + "^^^^^^"


def test_colors_of_a_terminal_in_a_file_are_not_printed(write: Write) -> None:
    path = write(HEAD + b'x = "\x1b[31m"\n')
    assert told(path) == (
        "error: invalid TOML: the character '\\x1b' is not allowed here\n"
        "  --> mine.toml:4:6\n"
        "  |\n"
        '4 | x = "\ufffd[31m"\n'
        "  |      ^\n"
    )


def test_five_megabytes_of_nesting_are_told_by_their_size(write: Write) -> None:
    path = write(HEAD + b"x = " + b"[" * 5_000_000)
    assert told(path) == (
        "error: mine.toml has 5,000,051 bytes, too many for a study or profile\n"
        "  help: check that this is the right file\n"
    )


@pytest.mark.parametrize("opening", [b"[", b"{a=", b"[{a="])
def test_nesting_is_told_with_its_key(write: Write, opening: bytes) -> None:
    closing = opening.replace(b"a=", b"").translate(bytes.maketrans(b"[{", b"]}"))[::-1]
    for depth in (30, 40_000):
        path = write(HEAD + b"[base]\nepochs = " + opening * depth + b"1" + closing * depth + b"\n")
        first, place, *_ = told(path).splitlines()
        assert first == "error: nested more than 20 levels deep"
        assert place.startswith("  --> mine.toml:5:")


def test_a_key_of_a_hundred_thousand_parts_is_told(write: Write) -> None:
    path = write(HEAD + b"base." + b"a." * 100_000 + b"a = 1\n")
    first, place, *_ = told(path).splitlines()
    assert first == "error: a key of more than 20 parts"
    assert place == "  --> mine.toml:4:1"


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "-9223372036854775809"])
def test_a_number_of_thousands_of_digits_is_told_with_its_key(write: Write, number: str) -> None:
    path = write(HEAD + f"[base]\nepochs = {number}\n".encode() + AXES)
    first, place, _, line, marks = told(path).splitlines()
    assert first == "error: a whole number of more than 64 bits, which TOML does not allow"
    assert (place, marks) == ("  --> mine.toml:5:1", "  | ^^^^^^")
    assert len(line) < 160


def test_a_line_of_thousands_of_characters_is_shown_around_its_mistake(write: Write) -> None:
    values = ", ".join(str(number) for number in range(5000))
    path = write(HEAD + f"[axes]\nepochs = [{values}, 4999]\n".encode())
    assert told(path) == (
        "error: axes.epochs.values lists 4999 twice\n"
        "  --> mine.toml:5:28901\n"
        "  |\n"
        "5 | ... 4990, 4991, 4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999, 4999]\n"
        "  |                                                                 ^^^^\n"
        "  help: each value makes one cell; to train a cell several times, use seeds\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "seeds = [" + "1, " * 100_000 + "]",
        "axes.epochs = [" + ", ".join(f"'{number}'" for number in range(80_000)) + "]",
        "[axes]\n" + "\n".join(f"a{number} = [1, 2]" for number in range(20_000)),
        "\n".join(f'[[cases]]\nname = "c{number}"\nlabel = ""\nset.epochs = 0' for number in range(15_000)),
        "\n".join(f"key{number} = 1" for number in range(40_000)),
        "exclude = [" + "'epochs == 1', " * 40_000 + "]",
    ],
    ids=["seeds", "values", "axes", "cases", "keys", "exclude"],
)
def test_a_megabyte_of_mistakes_is_told_soon_and_in_less_than_a_thousand_lines(write: Write, line: str) -> None:
    message = told(write(HEAD + line.encode() + b"\n"))
    assert 0 < len(message.splitlines()) < 1000


def test_a_folder_called_like_a_study_is_told(write: Write) -> None:
    Path("mine.toml").mkdir()
    assert told(Path("mine.toml")).splitlines()[0] == "error: mine.toml is a folder, not a study file"


def test_a_file_that_may_not_be_read_is_told(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(HEAD + AXES)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert told(path) == "error: mine.toml cannot be read: Permission denied\n"


def test_a_study_that_extends_itself_is_told(write: Write) -> None:
    path = write(b'extends = "mine"\n' + HEAD + AXES)
    assert told(path) == (
        "error: extends is circular: mine.toml -> mine.toml\n"
        "  --> mine.toml:1:1\n"
        "  |\n"
        '1 | extends = "mine"\n'
        "  | ^^^^^^^\n"
        "  help: remove one of these references\n"
    )


def test_studies_that_extend_one_another_are_told_with_the_whole_circle(write: Write) -> None:
    write(b'extends = "third"\n', "second.toml")
    write(b'extends = ["mine"]\n', "third.toml")
    path = write(b'extends = "second"\n' + HEAD + AXES)
    assert told(path) == (
        "error: extends is circular: mine.toml -> second.toml -> third.toml -> mine.toml\n"
        "  --> third.toml:1:12\n"
        "  |\n"
        '1 | extends = ["mine"]\n'
        "  |            ^^^^^^\n"
        "  help: remove one of these references\n"
    )


def test_a_chain_of_more_than_ten_studies_is_told(write: Write) -> None:
    for number in range(12):
        write(f'extends = "s{number + 1}"\n'.encode(), f"s{number}.toml")
    write(b"", "s12.toml")
    assert told(Path("s0.toml")).startswith("error: extends chains more than 10 files: s0.toml -> s1.toml -> ")


def test_extending_what_is_not_there_is_told_with_the_nearest_name(write: Write) -> None:
    write(HEAD, "temperature.toml")
    path = write(HEAD + b'extends = ["temperature", "temprature"]\n' + AXES)
    assert told(path) == (
        "error: extends = 'temprature': there is no file temprature.toml; did you mean 'temperature'?\n"
        "  --> mine.toml:4:27\n"
        "  |\n"
        '4 | extends = ["temperature", "temprature"]\n'
        "  |                           ^^^^^^^^^^^^\n"
        "  help: files in that folder: temperature\n"
    )


@pytest.mark.parametrize("name", ["folder.toml", "", "\\u0000", "x" * 5000])
def test_extending_what_is_no_file_is_told(write: Write, name: str) -> None:
    Path("folder.toml").mkdir()
    path = write(HEAD + f'extends = "{name}"\n'.encode() + AXES)
    assert told(path).startswith("error: extends = ")
    assert "there is no file" in told(path)


def test_a_mistake_in_an_extended_file_is_told_there(write: Write) -> None:
    write(b"[base]\nepohcs = 3\n", "other.toml")
    path = write(HEAD + b'extends = "other"\n' + AXES)
    assert told(path).startswith(
        "error: unknown key 'epohcs'; did you mean 'epochs'?\n  --> other.toml:2:1\n  |\n2 | epohcs = 3\n  | ^^^^^^\n"
    )


def test_an_extended_file_that_is_not_toml_is_told_there(write: Write) -> None:
    write(b"[base\n", "other.toml")
    assert "--> other.toml:1:6\n" in told(write(HEAD + b'extends = "other"\n' + AXES))


def test_a_mistake_in_a_profile_file_is_told_there(write: Write) -> None:
    Path("profiles").mkdir()
    write(b'title = "T"\ndescription = "D"\n[base]\nloss.temperature = 0\n', "profiles/embedded.toml")
    assert told(write(HEAD + b"axes.epochs = [1, 2]\n")) == (
        "error: loss.temperature = 0 must be greater than 0\n"
        "  --> profiles/embedded.toml:4:1\n"
        "  |\n"
        "4 | loss.temperature = 0\n"
        "  | ^^^^^^^^^^^^^^^^\n"
        "  help: for example temperature = 0.1\n"
    )


def test_a_mistake_in_the_base_is_told_once_however_many_cells_and_profiles_there_are(write: Write) -> None:
    axes = b"[axes]\nepochs = [11, 12, 13]\nbatch_size = [16, 32]\n"
    checked = check_files([str(write(HEAD + b"[base]\nhead.nane = 1\n" + axes))], [])
    assert [problem.message for problem in checked[0].problems] == ["unknown key 'nane' in head; did you mean 'name'?"]


def test_the_command_prints_all_mistakes_and_a_summary_and_exits_with_2(write: Write) -> None:
    name = "many_mistakes_at_once.toml"
    command = [sys.executable, "-m", "ablate", "check", "--profile", "embedded", name]
    run = subprocess.run(command, cwd=BROKEN, capture_output=True, text=True, timeout=60, check=False)
    approved = (BROKEN / name).with_suffix(".txt").read_text(encoding="utf-8")
    assert run.stdout == f"{approved}\n{name}: 8 errors\n"
    assert run.stderr == ""
    assert run.returncode == 2


@pytest.mark.parametrize("command", ["plan", "run"])
def test_other_commands_print_the_mistakes_to_standard_error_and_exit_with_2(command: str, tmp_path: Path) -> None:
    name = "hidden_layer_of_a_linear_head.toml"
    arguments = [sys.executable, "-m", "ablate", command, name, "--results", str(tmp_path)]
    run = subprocess.run(arguments, cwd=BROKEN, capture_output=True, text=True, timeout=60, check=False)
    assert run.stderr == (BROKEN / name).with_suffix(".txt").read_text(encoding="utf-8")
    assert run.stdout == ""
    assert run.returncode == 2
