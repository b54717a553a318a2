"""What a terminal gets: every character of data can be seen, and none controls it."""

import io
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from ablate.cli import app
from ablate.commands.streams import Guarded, guard_streams
from ablate.errors import AblateError, Location, visible, visible_lines
from ablate.records.files import Results
from ablate.records.plain import console, line, unguarded_streams
from tests.records.by_hand import key_of, write_plan, write_trial

DONE, FAILED, LOST = key_of(1), key_of(2), key_of(3)
EVIL = "a\x1b]0;owned\x07b\x1b[35;44mc\x9b31md\u202ee\u200bf\u2066g\rh\ni\tj\x08k[red]l\ud83dm\u2028n\x00o"
SHOWN = r"a\x1b]0;owned\x07b\x1b[35;44mc\x9b31md\u202ee\u200bf\u2066g\rh\ni\tj\x08k[red]l\ud83dm\u2028n\x00o"
LOG = EVIL.replace("\ud83d", "")
OWN = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials of which every text that a trainer or a machine can choose is hostile."""
    folder = tmp_path_factory.mktemp("module") / "results"
    results = Results(folder)
    numbers = {"top1": 50.0, EVIL: 1.0, "note": EVIL}
    environment = {"host": EVIL, "platform": EVIL, "packages": {EVIL: EVIL}, "command": [EVIL], "slurm": {EVIL: EVIL}}
    config = {"seed": 0, EVIL: EVIL, "part": {EVIL: [EVIL]}}
    write_trial(results, DONE, numbers=numbers, environment=environment, config=config, host=EVIL, printed=LOG)
    write_trial(results, FAILED, "failed", EVIL, f"{EVIL}\n{EVIL}", host=EVIL, printed=LOG, config=config)
    write_trial(results, LOST, "interrupted", "lost", EVIL, host=EVIL)
    write_plan(results, {key: {"text": LOG + key[:4]} for key in (DONE, FAILED, LOST)})
    return folder


def printed(monkeypatch: pytest.MonkeyPatch, arguments: list[str], terminal: bool) -> str:
    """What a command writes to standard output and error, guarded as by `ablate`."""
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    guard_streams()
    try:
        app(arguments, standalone_mode=False)
    except AblateError as error:
        print(error, file=sys.stderr)
    return OWN.sub("", stream.getvalue()) if terminal else stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        ["status"], ["status", "mine"], ["show", DONE], ["show", FAILED], ["why", FAILED], ["why", LOST],
        ["diff", DONE, FAILED], ["judge", "mine"], ["query", "SELECT * FROM mine"], ["query", "SELECT * FROM attempts"],
        ["query", "SELECT numbers, config, message FROM trials"], ["query", f"SELECT '{EVIL[:70]}' AS \"{EVIL[:70]}\""],
        ["query", EVIL], ["show", f"mine:text={EVIL}"], ["show", f"mine:{EVIL}"], ["show", EVIL], ["status", EVIL],
        ["report", EVIL], ["judge", EVIL], ["check", EVIL], ["cancel", EVIL], ["cancel", "--where", EVIL],
        ["verify", LOG.replace("\x00", "")], ["export", EVIL],
    ],
    ids=lambda arguments: " ".join(arguments[:2])[:12].encode("ascii", "replace").decode().strip(),
)  # fmt: skip
def test_no_command_sends_what_data_has_to_a_terminal(
    arguments: list[str], terminal: bool, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(
        monkeypatch, [*arguments, *([] if arguments[0] == "check" else ["--results", str(records)])], terminal
    )
    assert text
    assert {each for each in text if visible_lines(each) != each} == set()


def test_a_text_that_tears_no_line_stays_on_its_line(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["query", "SELECT text FROM mine ORDER BY text", "--results", str(records)]
    text = printed(monkeypatch, arguments, terminal=False)
    assert text.splitlines() == ["text", *(visible(LOG) + key[:4] for key in (DONE, FAILED, LOST))]


def test_an_export_is_whole_in_a_pipe_and_visible_on_a_terminal(
    records: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ["export", "mine", "--results", str(records)]
    assert "\\x1b]0;owned" in printed(monkeypatch, arguments, terminal=True)
    monkeypatch.undo()
    app(arguments, standalone_mode=False)
    sys.stdout.flush()
    assert b"\x1b]0;owned" in capfdbinary.readouterr().out


def test_a_log_is_raw_in_a_pipe_and_has_only_colors_on_a_terminal(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Results(records).trial(LOST).attempts / "001-local" / "stderr"
    log.write_text("\x1b[1;32mok\x1b[0m \x1b[8mhidden\x1b[2Jgone\x1b]0;t\x07\r50%\r100%\r\nend", newline="")
    arguments = ["logs", LOST, "--results", str(records)]
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    guard_streams()
    app(arguments, standalone_mode=False)
    assert log.read_bytes().decode() in stream.getvalue()
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    guard_streams()
    app(arguments, standalone_mode=False)
    expected = "\x1b[1;32mok\x1b[0m \\x1b[8mhidden\\x1b[2Jgone\\x1b]0;t\\x07\n50%\n100%\nend\n"
    assert stream.getvalue().endswith(expected)


@pytest.mark.parametrize("command", [["show", DONE], ["why", FAILED]])
def test_a_long_text_is_cut_for_people_and_whole_in_json(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, long = Results(tmp_path), "x" * 1_000_000
    write_trial(results, DONE, numbers={"top1": 1.0, "note": long}, config={"seed": 0, "text": long})
    write_trial(results, FAILED, "failed", "exception", long, printed=long)
    write_plan(results, {DONE: {"text": long}, FAILED: {"text": f"{long}y"}})
    arguments = [*command, "--results", str(tmp_path)]
    assert len(printed(monkeypatch, arguments, terminal=True)) < 20_000
    assert len(printed(monkeypatch, arguments, terminal=False)) < 20_000
    assert long in printed(monkeypatch, [*arguments, "--json"], terminal=False)


def test_every_control_and_format_character_and_half_of_one_is_shown_as_an_escape() -> None:
    hidden = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    assert [each for each in hidden if not visible(each).isascii()] == []
    assert visible("".join(hidden)).isprintable()
    for text in ("plain", "äöü ≥ 0.5 漢字 עברית 😀", "C:\\x"):
        assert visible(text) == text
    assert visible(EVIL) == SHOWN
    assert visible("x" * 50, 10) == f"{'x' * 10}... (50 characters)"


def test_output_keeps_its_own_lines_tabs_and_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    guard_streams()
    print("a\tb\nc")
    console().print("[bold]x[/bold]\x1b[2J", style="bold")
    assert stream.getvalue() == "a\tb\nc\n\x1b[1m[bold]x[/bold]\\x1b[2J\x1b[0m\n"
    with unguarded_streams():
        sys.stdout.write("\x1b[2J")
    assert stream.getvalue().endswith("\x1b[2J")
    assert isinstance(sys.stdout, Guarded)


def test_a_path_that_is_not_utf_8_is_printed_and_located() -> None:
    path = Path(os.fsdecode(b"r\xff\n/x.toml"))
    assert str(Location(path, 1, 1, "a")).splitlines()[0] == r"  --> r\udcff\n/x.toml:1:1"
    assert line([path, {"a": "\x1b"}]) == 'r\\udcff\\n/x.toml\t{"a": "\\u001b"}'


def test_the_command_itself_guards_its_output(ablate: Any) -> None:
    ended = ablate("show", "\x1b]0;owned\x07\u202e", "--results", "no\x1bwhere")
    assert ended.returncode == 2
    assert "\x1b" not in ended.stderr
    assert "\\x1bwhere" in ended.stderr


def test_both_streams_in_one_pipe_keep_their_order() -> None:
    program = (
        "import sys; from ablate.commands.streams import guard_streams; guard_streams();"
        "print('a'); print('b', file=sys.stderr); print('c'); print('d', file=sys.stderr)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert run.stdout.split() == ["a", "b", "c", "d"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, a disk that is full")
def test_a_full_disk_under_the_output_is_one_error() -> None:
    command = [sys.executable, "-m", "ablate", "studies"]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, text=True, stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 1
    assert [line.split(":")[0].strip() for line in run.stderr.splitlines()] == ["error", "help"]


def test_a_closed_output_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m ablate studies >&-"
    run = subprocess.run(["sh", "-c", command], text=True, stderr=subprocess.PIPE)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_reader_that_stops_reading_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([sys.executable, "-m", "ablate", "studies"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert run.stderr == b""
