import re
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results, write_json
from ablate.report.compare import write_comparison
from tests.judge.test_verdict import CLEAR, write_results, write_study
from tests.records.by_hand import key_of

LOWER = {**CLEAR, "nonlinear": [30.0, 30.9, 30.4]}


def folders(tmp_path: Path, after: dict[str, list[float]] = LOWER) -> tuple[Results, Results]:
    path = write_study(tmp_path)
    return write_results(tmp_path / "old", path, CLEAR), write_results(tmp_path / "new", path, after)


def text_of(page: Path) -> str:
    body = page.read_text().partition("<body>")[2]
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", body, flags=re.DOTALL).split())


def test_a_verdict_that_changed_comes_first_and_the_cells_have_their_paired_difference(tmp_path: Path) -> None:
    text = text_of(write_comparison(*folders(tmp_path), [], tmp_path / "reports"))
    changed = "mine-embedded A1: The nonlinear head is the best. \u2713 supported"
    assert text.index(changed) < text.index("Mine (embedded)")
    assert "\u2717 refuted" in text[: text.index("Mine (embedded)")]
    assert "nonlinear 60.4 30.4 -30.00 -30.00 to -30.00 3 3" in text
    assert "linear 45.4 45.4 0.00 0.00 to 0.00 3 3" in text


def test_trials_of_one_key_are_counted_and_those_of_the_same_value_too(tmp_path: Path) -> None:
    text = text_of(write_comparison(*folders(tmp_path), [], tmp_path / "reports"))
    assert "9 pairs of trials are one and the same, by their keys: 6 of them with the same value" in text


def test_without_a_change_nothing_is_told_to_have_changed(tmp_path: Path) -> None:
    text = text_of(write_comparison(*folders(tmp_path, CLEAR), [], tmp_path / "reports"))
    assert "Verdicts that changed None of 1 claims." in text
    assert "Of 3 cells 0 are higher after than before, 0 lower." in text


def test_settings_and_the_recipe_that_differ_are_told_with_both_values(tmp_path: Path) -> None:
    before, after = folders(tmp_path)
    spec = {"key": key_of(0), "pretrain_key": "p", "trainer": "a:b", "recipe_version": 4}
    write_json(after.trial(key_of(0)).trial, spec | {"config": {"seed": 0, "loss": {"temperature": 0.1}}})
    text = text_of(write_comparison(before, after, ["mine"], tmp_path / "reports"))
    assert "loss.temperature \u2013 0.1 1" in text
    assert "recipe version 3 4 1" in text


def test_a_study_that_only_one_folder_has_is_a_mistake(tmp_path: Path) -> None:
    before, after = folders(tmp_path)
    with pytest.raises(UserError, match=r"no study 'min' at one profile in both .*; did you mean 'mine'"):
        write_comparison(before, after, ["min"], tmp_path / "reports")
