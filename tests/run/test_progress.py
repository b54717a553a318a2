from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ablate.records.reading import ResultRecord
from ablate.run.execute import InlineWorker
from ablate.run.progress import Progress

LONG = "first=random_resized_crop second=color_distortion temperature=0.05 batch_size=4096 seed=0"
SIMCLR = {"phase": "pretrain", "epoch": 7, "loss": 4.321, "pairs_per_second": 12345.6}


def drawn(width: int, label: str, metrics: dict[str, Any]) -> list[str]:
    """The lines of the live display with one trial half done."""
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    progress = Progress(console, {"k": label, "other": "second"}, 1)
    progress._under_way = 0.5
    console.print(progress._render([InlineWorker("k", 0.5, metrics)]))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("label", ["first=crop seed=0", LONG])
def test_a_running_trial_takes_one_line_with_its_epoch_loss_and_speed(width: int, label: str) -> None:
    line, total = drawn(width, label, SIMCLR)
    assert len(line) <= width
    assert line.startswith(label[:30].strip())
    assert line.rstrip().endswith("epoch 7  loss 4.32  12,346 pairs/s")
    assert total.startswith("0 of 2 trials")


def test_a_custom_trainer_is_shown_with_its_last_metrics() -> None:
    line, _ = drawn(80, "depth=3 seed=0", {"step": 120, "accuracy": 0.98765, "note": "text", "seconds": 3.5})
    assert line.rstrip().endswith("step 120  accuracy 0.9877")


def test_a_part_of_the_evaluation_is_shown_by_its_name() -> None:
    line, _ = drawn(80, "first=crop seed=0", {"phase": "cached_linear", "top1": 55.25})
    assert line.rstrip().endswith("cached linear  top1 55.25")


RESULT = ResultRecord(key="k", seconds=12.0, metrics={"top1": 87.65})


def ended(outcome: dict[str, Any], result: ResultRecord | None, metric: str = "top1") -> str:
    console = Console(file=StringIO(), width=80)
    Progress(console, {"k": "depth=3 seed=0"}, 1, metric).ended("k", outcome, result)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_failure_is_told_in_one_line_however_long_its_message() -> None:
    told = ended({"state": "failed", "message": "x" * 1000 + "\nand more"}, None)
    assert len(told.splitlines()) == 1
    assert len(told) < 400


def test_a_warning_of_many_lines_is_told_in_one() -> None:
    told = ended({"state": "done", "message": "warning: 'loss' is\nnot\x1b[31m a number"}, RESULT)
    assert told == "1/1  depth=3 seed=0  top-1  87.7 %    12 s  warning: 'loss' is\\nnot\\x1b[31m a number\n"


def test_a_trial_that_was_done_elsewhere_shows_its_numbers_and_says_so() -> None:
    told = ended({"state": "done", "message": "another process finished it"}, RESULT)
    assert told == "1/1  depth=3 seed=0  top-1  87.7 %    12 s  another process finished it\n"


@pytest.mark.parametrize(("metric", "shown"), [("error", "error 0.25  a 1  b 2"), ("missing", "a 1  b 2  c 3")])
def test_the_metric_of_the_study_comes_first_among_the_numbers_of_a_trial(metric: str, shown: str) -> None:
    told = ended({"state": "done"}, ResultRecord(key="k", metrics={"a": 1, "b": 2, "c": 3, "error": 0.25}), metric)
    assert told == f"1/1  depth=3 seed=0  {shown}     0 s\n"
