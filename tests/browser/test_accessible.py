"""Pages of several kinds before axe-core, on paper, and with texts that are made to break them."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results
from ablate.report.formats import write_report
from tests.browser.test_page import Visit, browser  # noqa: F401 - a fixture
from tests.records.by_hand import key_of, write_plan, write_trial
from tests.report.hostile import hostile
from tests.report.test_page import like_the_paper, results_with
from tests.report.test_tables import CLAIMS
from tests.workflow.test_tuning import STUDY as TUNED
from tests.workflow.test_tuning import TRAINER

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

Pages = dict[str, Path]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """A grid with a failure, one axis with several seeds, nothing done yet, hostile texts, imports, [tune]."""
    folder = tmp_path_factory.mktemp("pages")
    numbers = like_the_paper() | {("blur", "blur"): None}
    made = {
        "pairs": results_with(folder / "pairs", numbers, seeds=3, title="Pairs"),
        "hostile": hostile(folder / "hostile"),
    }
    for name in ("seeds", "nothing"):
        made[name] = Results(folder / name / "results")
        made[name].trials.mkdir(parents=True)
        write_plan(made[name], {key_of(n): {"head": n // 3, "seed": n % 3} for n in range(9)}, study=name)
    for number in range(8):
        write_trial(made["seeds"], key_of(number), numbers={"top1": 50.0 + number**2})
    written = {name: write_report(results, name, None, folder / "reports" / name) for name, results in made.items()}
    return written | by_command(folder / "imported", "old", IMPORT) | by_command(folder / "tuned", "methods", TUNE)


IMPORT = (
    "import",
    "runs.csv",
    "--study",
    "old",
    "--axis",
    "rate",
    "--axis",
    "model",
    "--seed",
    "seed",
    "--metric",
    "score",
)
TUNE = ("run", "methods.toml")
NAME = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
RUNS = "rate,model,seed,score\n0.1,a,0,60\n0.1,b,0,70\n1,a,0,62\n1,b,0,75\n0.1,a,1,61\n0.1,b,1,72\n1,a,1,64\n1,b,1,73\n"
RUNS = RUNS.replace("b", NAME)


def by_command(folder: Path, study: str, command: tuple[str, ...]) -> Pages:
    """The page of a study that `ablate` imports or trains itself, under the folder's name."""
    folder.mkdir()
    (folder / "runs.csv").write_text(RUNS)
    (folder / "tuned_trainer.py").write_text(TRAINER)
    (folder / "methods.toml").write_text(TUNED)
    for words in (command, ("report", study)):
        subprocess.run([sys.executable, "-m", "ablate", *words], cwd=folder, check=True, capture_output=True)
    return {folder.name: folder / f"reports/{study}.html"}


def opened(browser: Any, page: Path, **options: Any) -> Visit:  # noqa: F811
    visit = Visit(browser, page, **options)
    visit.page.wait_for_selector("#chart-measured .vega-embed svg")
    return visit


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (360, "dark")])
@pytest.mark.parametrize("name", ["pairs", "seeds", "nothing", "hostile", "imported", "tuned"])
def test_axe_finds_no_violation(browser: Any, pages: Pages, name: str, width: int, scheme: str) -> None:  # noqa: F811
    size = {"width": width, "height": 800}
    with opened(browser, pages[name], viewport=size, color_scheme=scheme) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        found = axe.Axe().run(visit.page)
        assert found.violations_count == 0, found.generate_report()
        of_no_data = "WARN Infinite extent"  # Vega's word for a chart without a single value
        assert [told for told in visit.complaints if not told.startswith(of_no_data)] == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width


def test_hostile_texts_show_as_text_and_run_nothing(browser: Any, pages: Pages) -> None:  # noqa: F811
    with opened(browser, pages["hostile"]) as visit:
        assert visit.page.evaluate("window.hacked") is None
        assert visit.requests == [pages["hostile"].as_uri()]
        assert "<script>window.hacked = 1</script>" in visit.page.locator("h1").inner_text()
        assert visit.page.locator("img").count() == 0


def test_in_print_what_is_folded_stays_folded_and_the_navigation_is_hidden(browser: Any, pages: Pages) -> None:  # noqa: F811
    with opened(browser, pages["pairs"], java_script_enabled=True) as visit:
        visit.page.emulate_media(media="print", color_scheme="dark")
        assert not visit.page.locator("#settings table").first.is_visible()
        assert not visit.page.locator("nav").is_visible()
        background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)"
        assert len(re.findall(rb"/Type\s*/Page\b", visit.page.pdf(format="A4"))) <= 6


def test_in_print_no_verdict_covers_the_interval_beside_it(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    results = results_with(tmp_path, like_the_paper(), seeds=3, claims=CLAIMS)
    page = write_report(results, "pairs", None, tmp_path / "reports")
    covered = """[...document.querySelectorAll('.claim .pill')].filter((pill) => {
        pill.lastChild.data = ' undecided, leans to supported';
        const beside = pill.closest('.claim').querySelector('.measured').getBoundingClientRect();
        const own = pill.getBoundingClientRect();
        return own.right > beside.left && own.bottom > beside.top && own.top < beside.bottom; }).length"""
    with opened(browser, page, viewport={"width": 780, "height": 900}) as visit:
        visit.page.emulate_media(media="print")
        assert visit.page.locator(".claim .pill").count() == len(CLAIMS)
        assert visit.page.evaluate(covered) == 0


def test_the_answer_and_the_chart_are_on_the_first_screen(browser: Any, pages: Pages) -> None:  # noqa: F811
    for width, height, top in ((390, 844, 450), (1000, 800, 450), (1400, 900, 300), (2000, 1100, 300)):
        with opened(browser, pages["pairs"], viewport={"width": width, "height": height}) as visit:
            assert visit.page.locator(".answer").bounding_box()["y"] < top
            assert visit.page.locator("#chart-measured").bounding_box()["y"] < top


def test_no_chart_is_wider_than_its_place(browser: Any, pages: Pages) -> None:  # noqa: F811
    wider = """[...document.querySelectorAll('.chart')].filter((each) => each.clientWidth)
        .filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.id)"""
    for name, width in (("pairs", 320), ("pairs", 2000), ("seeds", 390), ("hostile", 320)):
        with opened(browser, pages[name], viewport={"width": width, "height": 800}) as visit:
            assert visit.page.evaluate(wider) == []


def test_no_name_in_a_chart_is_cut(browser: Any, pages: Pages) -> None:  # noqa: F811
    texts = "[...document.querySelectorAll('.chart text')].map((each) => each.textContent)"
    for name in ("pairs", "seeds", "imported"):
        with opened(browser, pages[name], viewport={"width": 390, "height": 800}) as visit:
            assert [text for text in visit.page.evaluate(texts) if "\u2026" in text] == []


def test_measured_and_published_heatmaps_have_one_size_and_stand_side_by_side(browser: Any, pages: Pages) -> None:  # noqa: F811
    with opened(browser, pages["pairs"], viewport={"width": 1400, "height": 900}) as visit:
        visit.page.wait_for_selector("#chart-published .vega-embed svg")
        found = [
            visit.page.locator(f"#chart-{name} .vega-embed svg").bounding_box() for name in ("measured", "published")
        ]
        squares = [visit.page.locator(f"#chart-{name} .mark-rect.role-mark path").first.bounding_box()
                   for name in ("measured", "published")]  # fmt: skip
        assert found[0]["width"] == pytest.approx(found[1]["width"], abs=1)
        for side in ("y", "width", "height"):
            assert squares[0][side] == pytest.approx(squares[1][side], abs=1)


def test_every_internal_link_of_a_page_has_a_target(browser: Any, pages: Pages) -> None:  # noqa: F811
    lost = """[...document.querySelectorAll("a[href^='#']")].map((each) => each.getAttribute("href").slice(1))
        .filter((id) => document.getElementById(id) === null)"""
    for name in ("pairs", "seeds", "hostile"):
        with opened(browser, pages[name]) as visit:
            assert visit.page.locator("a[href^='#']").count() > 10
            assert visit.page.evaluate(lost) == []


def test_headings_go_down_in_order(browser: Any, pages: Pages) -> None:  # noqa: F811
    levels = "[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))"
    with opened(browser, pages["pairs"]) as visit:
        found = visit.page.evaluate(levels)
        assert found[0] == 1
        assert found.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(found))


def test_a_study_without_finished_trials_shows_the_command_to_resume(browser: Any, pages: Pages) -> None:  # noqa: F811
    with opened(browser, pages["nothing"]) as visit:
        text = visit.page.locator("body").inner_text()
        assert "0 of 9 trials done" in text
        assert "ablate run" in text
        assert visit.page.locator("#cells tr.missing").count() == 3
