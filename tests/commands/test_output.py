import errno
import io
import os
import sys

import pytest
from rich.console import Console

from ablate import cli
from ablate.commands.output import Column, make_table, print_table
from ablate.records.plain import ago

COLUMNS = (Column("key"), Column("label", least=10), Column("host", least=6, rank=2), Column("note", rank=1))
ROW = ("0123456789ab", "first=crop second=color", "node-17.cluster", "a note of twenty-four ch")


def drawn(width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(make_table(COLUMNS, [ROW], width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (90, "0123456789ab  first=crop second=color  node-17.cluster  a note of twenty-four ch"),
        (72, "0123456789ab  first=crop second=color  node-1…  a note of twenty-four ch"),
        (60, "0123456789ab  first=crop …  node-…  a note of twenty-four ch"),
        (40, "0123456789ab  first=crop second=color"),
        (30, "0123456789ab  first=crop seco…"),
        (5, "0123456789ab"),
    ],
)
def test_a_narrow_terminal_shortens_texts_then_drops_columns_and_never_the_key(width: int, row: str) -> None:
    lines = drawn(width)
    assert len(lines) == 2
    if width >= len(ROW[0]) + 12:
        assert lines[1] == row
        assert max(map(len, lines)) <= width
    else:
        assert make_table(COLUMNS, [ROW], width).columns[0].width == len(row)


def test_a_pipe_gets_every_column_in_full_whatever_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [ROW, ("k", "a\tb", None, 0.1 + 0.2)])
    assert capsys.readouterr().out.splitlines() == [
        "key\tlabel\thost\tnote",
        "\t".join(ROW),
        "k\ta\\tb\t\t0.30000000000000004",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (400_000, "5 d"), (None, "")],
)
def test_a_time_is_told_in_the_unit_that_people_would_use(seconds: float | None, told: str) -> None:
    assert ago(seconds) == told


@pytest.mark.parametrize(
    ("number", "help"),
    [
        (errno.EISDIR, "this folder stands where a file belongs: rename or remove it"),
        (errno.ENOTDIR, "a file stands where one of these folders belongs: rename or remove it"),
        (errno.EROFS, "choose a writable folder with --results DIR and --reports DIR"),
    ],
)
def test_an_error_of_the_system_names_the_file_and_what_to_do(
    number: int, help: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "reports/a\x1b.html")

    monkeypatch.setattr(cli, "app", fail)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))  # main guards them
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {os.strerror(number)}: reports/a\\x1b.html\n  help: {help}\n"
