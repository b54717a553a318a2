import datetime
import json
from collections import OrderedDict
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from ablate.records.files import Results, write_json
from ablate.records.metric import as_json, as_number, as_row, finished_without, not_returned
from ablate.records.reading import MOST_BYTES, read_result
from ablate.records.sql import column_names

NAN, INFINITE = float("nan"), float("inf")


class Kind(Enum):
    GOOD = 0.5


CYCLE: list[Any] = [1]
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.5, 0.5),
        (True, True),
        (None, None),
        ("0.75", "0.75"),
        (2**80, 2**80),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 4), 0.25),
        (Kind.GOOD, 0.5),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.array([0.5]), 0.5),
        (np.array([[[0.5]]]), 0.5),
        (np.array(["a"]), "a"),
        (np.array([]), []),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([[0.5]], dtype=torch.bfloat16, requires_grad=True), 0.5),
        (torch.tensor([1, 2]), [1, 2]),
        ({"a": (1, torch.tensor([2.0])), 3: {"b": None}}, {"a": [1, 2.0], "3": {"b": None}}),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({3, 1, 2}, [1, 2, 3]),
        (datetime.datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (Path("a/b"), "a/b"),
    ],
    ids=repr,
)
def test_what_json_has_a_word_for_is_kept_and_nothing_is_said(value: object, kept: object) -> None:
    found, warnings = as_json({"x": value})
    assert json.loads(json.dumps(found, allow_nan=False)) == {"x": kept}
    assert type(found["x"]) is type(kept)
    assert warnings == []


@pytest.mark.parametrize(
    ("value", "kept", "lost"),
    [
        (NAN, None, "x is NaN"),
        (-INFINITE, None, "x is infinite"),
        (Decimal("NaN"), None, "x is NaN"),
        (np.float32("inf"), None, "x is infinite"),
        (torch.tensor([NAN]), None, "x is NaN"),
        (10**400, None, "x has more than 308 digits"),
        ([1.0, NAN], [1.0, None], "x[1] is NaN"),
        (np.array([NAN, 1.0, INFINITE]), [None, 1.0, None], "x[0] is NaN (and 1 more)"),
        ({"a": {"b": [NAN]}}, {"a": {"b": [None]}}, "x.a.b[0] is NaN"),
        (b"bytes", None, "x is of type bytes"),
        (1 + 2j, None, "x is of type complex"),
        (object, None, "x is of type type"),
        (torch.nn.Linear(1, 1), None, "x is of type Linear"),
        (CYCLE, [1, None], "x[1] is nested too deeply"),
        (np.zeros(2**20 + 1), None, "x has 1,048,577 elements"),
        ("a" * 2**20, None, "x has 1,048,578 characters, which is too large"),
        (torch.empty(2, device="meta"), None, "x cannot be converted (NotImplementedError: "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_is_null_with_a_warning_that_names_it(value: object, kept: object, lost: str) -> None:
    found, (warning,) = as_json({"x": value, "y": 1.0})
    assert json.loads(json.dumps(found, allow_nan=False)) == {"x": kept, "y": 1.0}
    assert warning.startswith(lost)
    assert warning.endswith(": recorded as null")


def test_names_are_text_and_two_of_one_name_are_told_of() -> None:
    found, warnings = as_json({1: 0.1, "1": 0.2, "\ud800": 0.3, "": 0.4})
    assert found == {"1": 0.2, "?": 0.3, "": 0.4}
    assert warnings == ["two values are named 1: the last one is recorded"]


@pytest.mark.parametrize(
    ("value", "logged", "warned"),
    [
        (0.5, 0.5, False),
        (NAN, None, False),
        (torch.tensor(NAN), None, False),
        (None, None, False),
        ("train", "train", False),
        (torch.tensor([0.5]), 0.5, False),
        (Decimal("0.5"), 0.5, False),
        (torch.tensor([0.5, 0.6]), None, True),
        ([1.0], None, True),
        (object, None, True),
    ],
    ids=repr,
)
def test_a_logged_value_is_a_number_or_left_out_and_its_row_stays(value: object, logged: object, warned: bool) -> None:
    row, warnings = as_row({"epoch": 1, "loss": value})
    assert row == {"epoch": 1, "loss": logged}
    told = f"the logged loss, of type {type(value).__name__}, is not a number: left out"
    assert warnings == ({"loss": told} if warned else {})


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), (0.5, 0.5), (True, None), ("0.75", None), (NAN, None), (INFINITE, None), (10**400, None), (None, None),
     (-9e59, -9e59), (1e60, None), (-1e308, None)],
)  # fmt: skip
def test_only_finite_numbers_whose_powers_are_finite_are_numbers(value: object, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"score": 0.5}, None),
        ({"score": torch.tensor([0.5])}, None),
        ({"score": NAN, "loss": 1.0}, "returned nan as the study's metric 'score', which is not a finite number; the "
         "other numbers that it returned are loss"),
        ({"score": "0.75"}, "returned '0.75' as the study's metric 'score', which is not a finite number; it returned "
         "no other number"),
        ({"score": 1e300}, "returned 1e+300 as the study's metric 'score', which is not a finite number below 1e+60;"),
        ({"score": torch.eye(2)}, "returned tensor([[1., 0.], [0., 1.]]) as "),
        ({"score": True}, "returned True as "),
        ({"score": None}, "returned None as "),
        ({"scores": 1.0, "key": "a"}, "did not return the study's metric 'score'; it returned scores; did you mean "
         "'scores'?"),
        ({}, "did not return the study's metric 'score'; it returned no number"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_metric_that_is_not_a_number_is_told_with_its_value_and_with_what_would_do(
    returned: dict[str, Any], message: str | None
) -> None:
    told = not_returned("score", as_json(returned)[0], returned)
    assert (told is None) if message is None else str(told).startswith(f"the trainer {message}")


def test_columns_of_the_tool_keep_their_names_and_no_two_columns_meet() -> None:
    names = ["seconds", "KEY", "size", "loss", "Loss", "LOSS", "", " ", "metric.key", "key", "a/b", "\N{SNOWMAN}"]
    axes, metrics = column_names(("key", "seconds", "mean"), ["size", "mean"], names)
    assert axes == {"size": "size", "mean": "axis.mean"}
    assert metrics["seconds"] == "metric.seconds"
    assert (metrics["loss"], metrics["a/b"], metrics["size"]) == ("loss", "a/b", "metric.size")
    columns = [*axes.values(), *metrics.values()]
    assert len({column.casefold() for column in ("key", "seconds", "mean", *columns)}) == 3 + len(columns)
    assert all(column.strip() for column in columns)


def read_back(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = folder / "k" / "result.json"
    write_json(path, record)
    return read_result(path).metrics


@pytest.mark.parametrize(
    "result",
    [
        {"key": "k", "attempt": "001", "seconds": 1.0, "metrics": {"key": 1.0, "metrics": {"a": 2}}, "warnings": []},
        {"key": "k", "attempt": "001", "seconds": 1.0, "metrics": {"key": 1.0, "metrics": {"a": 2}}},
    ],
)
def test_metrics_are_read_from_their_own_object(result: dict[str, Any], tmp_path: Path) -> None:
    assert read_back(result, tmp_path) == {"key": 1.0, "metrics": {"a": 2}}


def test_a_flat_result_of_an_earlier_version_is_read_too(tmp_path: Path) -> None:
    flat = {"key": "k", "attempt": "001", "seconds": 1.0, "top1": 50.0, "metrics": {"a": 1}}
    assert read_back(flat, tmp_path) == {"top1": 50.0, "metrics": {"a": 1}}
    assert read_back({"key": "k", "attempt": "001", "seconds": 1.0, "top1": 50.0}, tmp_path) == {"top1": 50.0}


@pytest.mark.parametrize("value", [0.5, NAN])
def test_the_most_that_is_kept_can_be_read_back(tmp_path: Path, value: float) -> None:
    found, warnings = as_json({f"{'n' * 1000}{number}": value for number in range(20_000)})
    assert warnings[-1].endswith(" returned values are left out: all together are too large")
    result = Results(tmp_path).trial("k").result
    write_json(result, {"key": "k", "metrics": found, "warnings": warnings}, indent=None)
    assert MOST_BYTES / 2 < result.stat().st_size < MOST_BYTES
    assert finished_without("top1", Results(tmp_path), ["k"]) == {"k": found}


def test_a_result_of_another_trial_and_a_damaged_one_have_no_numbers(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for key, record in (("a", {"key": "b"}), ("b", {"key": "b", "seconds": "long"}), ("c", {"key": "c"})):
        write_json(results.trial(key).result, record | {"metrics": {"top1": 1.0}})
    assert finished_without("error", results, ["a", "b", "c", "d"]) == {"c": {"top1": 1.0}}
    assert finished_without("top1", results, ["a", "b", "c", "d"]) == {}
