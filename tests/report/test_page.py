import hashlib
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results, write_json
from ablate.report.formats import write_report
from ablate.report.reading import read_study
from ablate.report.render.figure import script_safe
from tests.records.by_hand import save_record

OPERATIONS = ("crop", "color", "blur")
HOSTILE = "</script><script>window.hacked = 1</script>\"' & <b>\u2028"


def results_with(
    folder: Path,
    top1: dict[tuple[str, str], float | None],
    seeds: int = 1,
    title: str = "Pairs",
    micro_batch: int | None = None,
    claims: Sequence[dict[str, Any]] = (),
) -> Results:
    """Records of a 3 x 3 study; a cell whose top-1 is None has failed."""
    results, trials = Results(folder / "results"), []
    for (first, second), value in top1.items():
        for seed in range(seeds):
            key = f"{first}{second}{seed}"
            trials.append({"key": key, "seed": seed, "axes": {"first": first, "second": second}, "case": None})
            config = {
                "seed": seed,
                "micro_batch": micro_batch,
                "data": {"name": "textures", "train_images": 5, "image_size": 32},
                "encoder": {"name": "r"},
            }
            write_json(results.trial(key).trial, {"key": key, "pretrain_key": key, "config": config})
            attempt = results.trial(key).attempts / "001-local"
            end: dict[str, Any] = {
                "event": "ended",
                "time": 2.0,
                "state": "failed",
                "cause": "exception",
                "message": title,
            }
            if value is not None:
                end = {"event": "ended", "time": 2.0, "state": "done"}
                result = {"key": key, "attempt": "001-local", "top1": value + seed, "loss": 1.0, "seconds": 9.0}
                write_json(results.trial(key).result, result)
            write_json(attempt / "env.json", {"host": "h", "packages": {"torch": "2"}})
            (attempt / "events.jsonl").write_text(json.dumps(end) + "\n")
    axes = [{"name": name, "values": list(OPERATIONS)} for name in ("first", "second")]
    reference = {"table": "fig5_augmentation_composition", "value": "top1", "label": "Fig. 5"}
    plan = {"study": "pairs", "profile": "embedded", "design": "d", "title": title, "question": title, "cases": []}
    save_record(
        results, "pairs", plan | {"axes": axes, "reference": reference, "trials": trials, "claims": list(claims)}
    )
    return results


def like_the_paper() -> dict[tuple[str, str], float | None]:
    paper = {("crop", "crop"): 33.1, ("crop", "color"): 56.3, ("crop", "blur"): 35.0, ("color", "crop"): 55.8}
    paper |= {("color", "color"): 18.8, ("color", "blur"): 16.5, ("blur", "crop"): 35.1, ("blur", "color"): 16.6}
    return {**paper, ("blur", "blur"): 2.6}


class Attributes(HTMLParser):
    """Collects what a page would load, and the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href") and tag != "a"]


def parsed(page: Path) -> Attributes:
    parser = Attributes()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_a_study_with_the_papers_own_numbers_has_rank_correlation_one(tmp_path: Path) -> None:
    assert read_study(
        results_with(tmp_path, like_the_paper()), "pairs", None
    ).measured.rank_correlation == pytest.approx(1)


def test_a_study_in_the_opposite_order_has_rank_correlation_minus_one(tmp_path: Path) -> None:
    upside_down = {cell: 100 - value for cell, value in like_the_paper().items() if value is not None}
    assert read_study(results_with(tmp_path, upside_down), "pairs", None).measured.rank_correlation == pytest.approx(-1)


def test_a_cell_is_the_mean_over_its_seeds(tmp_path: Path) -> None:
    cell = read_study(results_with(tmp_path, like_the_paper(), seeds=3), "pairs", None).measured.cells[0]
    assert cell.measured == (33.1, 34.1, 35.1)
    assert cell.mean == pytest.approx(34.1)
    assert cell.paper is not None
    assert cell.paper.value == 33.1


def test_the_page_is_self_contained(tmp_path: Path) -> None:
    page = write_report(results_with(tmp_path, like_the_paper()), "pairs", None, tmp_path / "reports")
    assert parsed(page).loads == []
    assert not re.search(r'"url"\s*:', page.read_text().split('type="application/json"')[1])


def test_the_caption_of_a_heatmap_speaks_of_no_intervals_and_dots_which_it_cannot_draw(tmp_path: Path) -> None:
    results = results_with(tmp_path, like_the_paper(), seeds=3)
    page = write_report(results, "pairs", None, tmp_path / "reports").read_text()
    caption = re.search(r'id="figure-measured".*?<figcaption[^>]*>(.*?)</figcaption>', page, re.DOTALL)
    assert caption is not None
    assert "mean over seeds. Highest" in " ".join(caption[1].split())


def test_each_chart_is_written_as_svg_and_png(tmp_path: Path) -> None:
    write_report(results_with(tmp_path, like_the_paper()), "pairs", None, tmp_path / "reports")
    for name in ("measured", "published"):
        assert (tmp_path / f"reports/pairs/{name}.svg").read_text().startswith("<svg")
        assert (tmp_path / f"reports/pairs/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_every_trial_is_on_the_page_with_a_link_to_its_record(tmp_path: Path) -> None:
    results = results_with(tmp_path, like_the_paper())
    page = write_report(results, "pairs", None, tmp_path / "deep" / "reports")
    rows = re.findall(r'<tr id="trial-.*?</tr>', page.read_text(), re.DOTALL)
    assert len(rows) == 9
    for row in rows:
        value, folder = re.findall(r'<a href="([^"#]+)"', row)
        assert (page.parent / value).read_bytes() == (page.parent / folder / "result.json").read_bytes()
        assert hashlib.sha256((page.parent / value).read_bytes()).hexdigest()[:12] in row


def test_numbers_from_drawn_images_are_called_synthetic(tmp_path: Path) -> None:
    page = write_report(results_with(tmp_path, like_the_paper()), "pairs", None, tmp_path / "reports").read_text()
    assert "Synthetic images" in page
    assert "measured on synthetic textures" in page


@pytest.mark.parametrize("micro_batch", [None, 256])
def test_a_page_notes_that_batches_were_encoded_in_parts(tmp_path: Path, micro_batch: int | None) -> None:
    results = results_with(tmp_path, like_the_paper(), micro_batch=micro_batch)
    page = write_report(results, "pairs", None, tmp_path / "reports").read_text()
    assert ("encoded in parts</strong> of 256 images" in page) == (micro_batch is not None)


def test_the_page_says_that_one_seed_decides_nothing(tmp_path: Path) -> None:
    one = write_report(results_with(tmp_path / "a", like_the_paper()), "pairs", None, tmp_path / "a").read_text()
    two = write_report(
        results_with(tmp_path / "b", like_the_paper(), seeds=2), "pairs", None, tmp_path / "b"
    ).read_text()
    assert "One seed per cell: this suggests" in one
    assert "One seed per cell: this suggests" not in two


def test_a_failed_trial_is_on_the_page_with_its_reason(tmp_path: Path) -> None:
    numbers = like_the_paper() | {("blur", "blur"): None}
    page = write_report(results_with(tmp_path, numbers, title="out of memory"), "pairs", None, tmp_path).read_text()
    assert "failed: out of memory" in page


def test_a_study_without_finished_trials_has_a_page(tmp_path: Path) -> None:
    numbers: dict[tuple[str, str], float | None] = dict.fromkeys(like_the_paper())
    assert (
        "No trial has finished yet."
        in write_report(results_with(tmp_path, numbers), "pairs", None, tmp_path).read_text()
    )


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    numbers = like_the_paper() | {("blur", "blur"): None}
    harmless = parsed(write_report(results_with(tmp_path / "a", numbers), "pairs", None, tmp_path / "a"))
    hostile = parsed(write_report(results_with(tmp_path / "b", numbers, title=HOSTILE), "pairs", None, tmp_path / "b"))
    assert hostile.tags == harmless.tags


def test_json_in_a_script_cannot_end_the_script() -> None:
    text = script_safe({"title": HOSTILE})
    assert "</" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"title": HOSTILE}


def test_two_pages_from_the_same_records_are_the_same_bytes(tmp_path: Path) -> None:
    results = results_with(tmp_path, like_the_paper())
    pages = [write_report(results, "pairs", None, tmp_path / "reports").read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]


def test_one_cell_is_a_number_and_no_chart(tmp_path: Path) -> None:
    page = write_report(results_with(tmp_path, {("crop", "color"): 56.3}, seeds=2), "pairs", None, tmp_path).read_text()
    assert "<strong>56.8 %</strong> linear top-1, 95 % interval" in page
    assert "chart-measured" not in page
    assert "spec-measured" not in page
