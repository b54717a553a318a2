import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablate.records.correct import Correct, packed
from ablate.records.files import TrialFolder, write_json
from ablate.records.reading import Damaged, read_result

RIGHT = np.random.default_rng(0).random(43) < 0.6


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 43])
def test_the_bits_are_those_that_numpy_packs(count: int) -> None:
    found = packed(RIGHT[:count])
    assert found.data == np.packbits(RIGHT[:count]).tobytes()
    assert found.share == pytest.approx(RIGHT[:count].mean())
    back = np.unpackbits(np.frombuffer(found.data, np.uint8), count=found.count)
    assert back.tolist() == RIGHT[:count].tolist()


@pytest.mark.parametrize(
    "given", [RIGHT.tolist(), RIGHT, torch.from_numpy(RIGHT), list(RIGHT), RIGHT.astype(float), (int(x) for x in RIGHT)]
)
def test_truth_values_of_any_kind_are_kept(given: Any) -> None:
    assert packed(given) == packed(RIGHT.tolist())


@pytest.mark.parametrize("given", [[], [0.5], ["a"], "0101", None, 3, [[True]], np.zeros((2, 2)), [None]])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="which examples are right"):
        packed(given)


@pytest.mark.parametrize(("value", "explained"), [
    (25, True), (25.0, True), (0.25, True), (float(np.float32(25.0)), True), (24.9, False), (75.0, False),
    (True, False), (None, False), ("25", False), (float("nan"), False),
])  # fmt: skip
def test_a_metric_is_the_share_in_percent_or_as_a_fraction(value: Any, explained: bool) -> None:
    assert packed([True, False, False, False]).explains(value) is explained


def written(folder: Path, metrics: dict[str, Any], **correct: Any) -> Path:
    trial = TrialFolder(folder / "key")
    write_json(trial.result, {"key": "key", "metrics": metrics, "warnings": [], "correct": correct})
    return trial.result


GOOD = packed(RIGHT).model_dump()


def test_a_result_with_its_right_examples_is_read(tmp_path: Path) -> None:
    share = 100 * float(RIGHT.mean())
    record = read_result(written(tmp_path, {"top1": share}, top1=GOOD))
    assert Correct.model_validate(record.correct["top1"]) == packed(RIGHT)


@pytest.mark.parametrize("changed", [
    {"count": 44}, {"count": 0}, {"count": "43"}, {"count": True}, {"bits": "?"}, {"bits": ""},
    {"bits": GOOD["bits"][4:]},
       {"bits": base64.b64encode(bytes(5) + b"\1").decode()}, {"bits": base64.b64encode(b"\xff" + bytes(5)).decode()},
    {"count": 1 << 40}, {"bits": None},
])  # fmt: skip
def test_bits_that_are_incomplete_or_of_another_result_make_it_damaged(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(Damaged, match="correct"):
        read_result(written(tmp_path, {"top1": 100 * float(RIGHT.mean())}, top1=GOOD | changed))


@pytest.mark.parametrize("metrics", [{"top1": 12.0}, {"other": 12.0}, {"top1": None}])
def test_bits_that_do_not_give_the_metric_make_it_damaged(tmp_path: Path, metrics: dict[str, Any]) -> None:
    with pytest.raises(Damaged, match="another share"):
        read_result(written(tmp_path, metrics, top1=GOOD))
