import re
from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.records.files import Results, write_json
from ablate.report.compare import read_pair, write_comparison
from ablate.report.compare_text import as_markdown
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


def test_trials_with_the_same_key_and_with_the_same_value_are_counted(tmp_path: Path) -> None:
    text = text_of(write_comparison(*folders(tmp_path), [], tmp_path / "reports"))
    assert "9 trials have the same key in both folders; 6 of them have exactly the same value" in text


def test_identical_folders_show_no_change(tmp_path: Path) -> None:
    text = text_of(write_comparison(*folders(tmp_path, CLEAR), [], tmp_path / "reports"))
    assert "Changed verdicts None of 1 claims." in text
    assert "After the change, 0 of 3 cells are higher and 0 are lower." in text


def test_differing_settings_and_recipe_versions_are_listed_with_both_values(tmp_path: Path) -> None:
    before, after = folders(tmp_path)
    spec = {"key": key_of(0), "pretrain_key": "p", "trainer": "a:b", "recipe_version": 4}
    write_json(after.trial(key_of(0)).trial, spec | {"config": {"seed": 0, "loss": {"temperature": 0.1}}})
    text = text_of(write_comparison(before, after, ["mine"], tmp_path / "reports"))
    assert "loss.temperature \u2013 0.1 1" in text
    assert "recipe version 3 4 1" in text


def test_a_study_in_only_one_folder_is_an_error(tmp_path: Path) -> None:
    before, after = folders(tmp_path)
    with pytest.raises(UserError, match=r"do not share the study 'min' at any profile; did you mean 'mine'"):
        write_comparison(before, after, ["min"], tmp_path / "reports")


def test_markdown_has_the_verdicts_that_changed_and_counts_the_cells(tmp_path: Path) -> None:
    old, new = folders(tmp_path)
    lines = as_markdown(read_pair(old, new, [])).splitlines()
    assert lines[2].replace("\\", "") == f"{old.root} compared with {new.root}: 1 of 1 verdict changed."
    (row,) = [line for line in lines if "A1" in line]
    study, claim, before, after = [part.strip() for part in row.strip("|").split(" | ")]
    assert (study, claim) == ("mine-embedded", "A1: The nonlinear head is the best.")
    assert before.startswith("\u2713 supported")
    assert after.startswith("\u2717 refuted")
    assert lines[-1] == "| mine-embedded | 3 | 0 | 1 | 2 |"
    same = as_markdown(read_pair(old, old, []))
    assert "0 of 1 verdict changed." in same
    assert "A1" not in same
