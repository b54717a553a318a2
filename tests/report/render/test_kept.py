"""Charts that were drawn before: a page with them equals one that is drawn as a whole."""

import json
import shutil
from pathlib import Path

import pytest

from ablate.records.files import Results
from ablate.report import page
from ablate.report.reading import read_study
from ablate.report.render.kept import kept
from tests.report.test_page import like_the_paper, results_with


def whole_page(results: Results, reports: Path) -> dict[str, bytes]:
    """The page and its images, by their paths."""
    shutil.rmtree(reports, ignore_errors=True)
    page.write_page(results, read_study(results, "pairs", None), reports, with_pictures=False)
    return {str(path.relative_to(reports)): path.read_bytes() for path in reports.rglob("*") if path.is_file()}


def test_a_page_with_kept_charts_is_the_page_that_is_drawn_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, drawn = results_with(tmp_path, like_the_paper(), seeds=2), []
    draw = page.draw_figures
    monkeypatch.setattr(page, "draw_figures", lambda reading: [drawn.append(1), *draw(reading)][1:])
    reports = tmp_path / "reports"
    first = whole_page(results, reports)
    assert whole_page(results, reports) == first
    assert len(drawn) == 1

    result = results.trial("cropcolor1").result
    result.write_text(json.dumps(json.loads(result.read_text()) | {"top1": 71.5}))
    later = whole_page(results, reports)
    assert len(drawn) == 2
    assert later != first
    shutil.rmtree(results.pictures)
    results.database.unlink()
    assert whole_page(results, reports) == later
    assert len(drawn) == 3


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"drawn": 1}', b'{"drawn": {"of": 2}, "digest": "0"}', None])
def test_what_was_kept_is_drawn_again_if_its_file_is_damaged(tmp_path: Path, damage: bytes | None) -> None:
    results = Results(tmp_path)
    assert kept(results, {"a": 1}, lambda: {"of": 1}) == {"of": 1}
    (path,) = results.pictures.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"of": 1', b'"of": 3') if damage is None else damage)
    assert kept(results, {"a": 1}, lambda: {"of": 1}) == {"of": 1}
    assert kept(results, {"a": 1}, lambda: {"of": 5}) == {"of": 1}
    assert kept(results, {"a": 2}, lambda: {"of": 5}) == {"of": 5}
