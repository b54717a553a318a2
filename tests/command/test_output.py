from pathlib import Path

import pytest

from ablate.command.output import Curves, Follower, json_row, pairs, result
from ablate.trainer.contract import TrialFailed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch=3 loss=0.31", {"epoch": 3, "loss": 0.31}),
        ("Epoch 3: val_loss = 1e-3, top1: 91.2%", {"val_loss": 0.001, "top1": 91.2}),
        ("[12:30:05] INFO step=7", {"step": 7}),
        ("12:30 10:20", {}),
        ("version=1.2.3 host=10.0.0.1", {}),
        ("see http://a.b:8080/x and C:3", {}),
        ("val/loss=-.5;", {"val/loss": -0.5}),
        ("date=2026-11-28 name=x1", {}),
        ("loss=inf", {"loss": float("inf")}),
        ("loss=Inf acc: -Infinity f1=INF", {"loss": float("inf"), "acc": float("-inf"), "f1": float("inf")}),
        ("acc: 1,5 top1=91,25 %", {}),  # a decimal comma
        ("steps=1,234.5 tokens: 1'000 words=1\u202f000", {}),  # separators of thousands
        ("loss=1.#IND acc=1.#INF00", {}),  # NaN and infinity of old Windows
        ("Test acc: 0.5 Train acc: 0.99", {"acc": None, "Test_acc": 0.5, "Train_acc": 0.99}),
        ("[train] loss: 0.3 (val) loss: 0.2", {"loss": None, "train_loss": 0.3, "val_loss": 0.2}),
        (
            "train: loss=0.3 acc=0.9, val: loss=0.4 acc=0.8",
            {"loss": None, "train_loss": 0.3, "acc": None, "train_acc": 0.9, "val_loss": 0.4, "val_acc": 0.8},
        ),
        ("epoch 3 loss: 0.5 (val loss: 0.6) acc=1", {"loss": 0.5, "val_loss": 0.6, "acc": 1}),
        ("loss=0.5 loss=0.4", {"loss": 0.4}),
        ("loss=0.5,acc=0.9, top5: 0.99.", {"loss": 0.5, "acc": 0.9, "top5": 0.99}),
        ("\x1b[1m\x1b[32macc\x1b[0m=\x1b[31m0.5\x1b[0m", {"acc": 0.5}),
        ("x" * 9_990 + " acc=0.98765", {}),  # of a line that is too long, the end is not read
        ("a=1,b=2\t" + "x" * 20_000, {"a": 1, "b": 2}),
        ("\x1b[32m" * 2_500 + "loss: 0.25 end", {"loss": 0.25}),
        ("x" * 9_990 + ",acc: 1,5,top5=0.9" + "x" * 99, {}),
    ],
)
def test_the_numbers_that_a_line_names_are_found_and_nothing_else(line: str, expected: dict[str, float]) -> None:
    assert pairs(line) == expected


def test_an_object_is_found_behind_other_text() -> None:
    assert json_row('INFO result {"acc": 0.5}') == {"acc": 0.5}
    assert json_row("{not json}") is None
    assert json_row("[1]") is None


def test_a_line_that_is_not_finished_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    following = Follower(path)
    assert list(following.lines()) == []
    path.write_text("a=1\nb=")
    assert list(following.lines()) == ["a=1"]
    with path.open("a") as file:
        file.write("2\rc=3")
    assert list(following.lines()) == ["b=2"]
    assert list(following.lines(ended=True)) == ["c=3"]


def test_rows_come_from_metrics_jsonl_or_else_from_what_is_printed_without_the_settings(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    rows: list[object] = []
    curves = Curves(tmp_path / "out", {"lr"}, rows.append)
    (tmp_path / "stdout").write_text('lr=0.1\nepoch=1 loss=0.5\n{"epoch": 2, "loss": 0.25, "lr": 0.1, "note": "x"}\n')
    curves.read()
    assert rows == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    (tmp_path / "out/metrics.jsonl").write_text('{"step": 1, "loss": 4}\n')
    (tmp_path / "stderr").write_text("loss=9\n")
    curves.read(ended=True)
    assert rows[2:] == [{"step": 1, "loss": 4}]


def test_a_line_that_repeats_a_name_leaves_no_earlier_number_of_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    curves = Curves(tmp_path / "out", (), lambda row: None)
    (tmp_path / "stdout").write_text("acc: 0.7 loss: 1\nFinal acc: 0.81 best acc: 0.85\n")
    curves.read(ended=True)
    assert curves.latest == {"loss": 1, "Final_acc": 0.81, "best_acc": 0.85}


@pytest.mark.parametrize(
    ("metrics", "printed", "expected"),
    [
        ("stdout", '{"acc": 0.1}\nbye {"acc": 0.9}\ndone\n', {"acc": 0.9}),
        ("stdout", '{\n  "acc": 0.9,\n  "inner": {\n    "x": 1\n  }\n}\n', {"acc": 0.9, "inner": {"x": 1}}),
        (r"top-1 (?P<top1>[0-9.]+) of (?P<net>\w+)", "top-1 1 of a\ntop-1 91.5 of b\n", {"top1": 91.5, "net": "b"}),
        (r"^acc (?P<acc>\S+)$", "acc 0.5\n", {"acc": 0.5}),
    ],
)
def test_the_result_is_the_last_one_printed(tmp_path: Path, metrics: str, printed: str, expected: object) -> None:
    (tmp_path / "stdout").write_text(printed)
    assert result(metrics, tmp_path, {}) == expected


def test_without_an_object_the_last_number_of_each_name_counts(tmp_path: Path) -> None:
    assert result("stdout", tmp_path, {"acc": 0.5}) == {"acc": 0.5}
    with pytest.raises(TrialFailed, match="printed no JSON object"):
        result("stdout", tmp_path, {})
