import signal
from pathlib import Path

import pytest

from tests.study.approve import told
from tests.study.fuzz import main, mutant
from tests.study.material import BELOW, RICH


def test_the_file_that_is_mutated_says_everything_and_is_right(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text(BELOW)
    (tmp_path / "rich.toml").write_text(RICH)
    assert told(tmp_path / "rich.toml") == ""


def test_five_hundred_mutants_are_studies_or_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    try:
        failed = main(500)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert failed == 0, capsys.readouterr().out


def test_a_mutant_is_the_same_each_time_and_unlike_its_neighbours() -> None:
    assert mutant(7) == mutant(7)
    assert len({mutant(number)[1] for number in range(50)}) > 45
