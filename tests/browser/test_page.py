"""The page in a real browser with the network off."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.report.page import write_report
from tests.report.test_page import HOSTILE, like_the_paper, results_with

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    return write_report(results_with(tmp_path, like_the_paper()), "pairs", None, tmp_path / "reports")


class Visit:
    """A page opened offline, with all that it asked for and complained of."""

    def __init__(self, browser: "playwright.Browser", path: Path, **options: object) -> None:
        self.context = browser.new_context(offline=True, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *exception: object) -> None:
        self.context.close()


def test_the_page_opens_offline_without_a_complaint_or_a_request(
    browser: "playwright.Browser", page_file: Path
) -> None:
    with Visit(browser, page_file) as visit:
        visit.page.wait_for_selector("#chart-measured .vega-embed svg")
        assert visit.complaints == []
        assert visit.requests == [page_file.as_uri()]


def test_both_heatmaps_show_a_number_in_every_cell(browser: "playwright.Browser", page_file: Path) -> None:
    with Visit(browser, page_file) as visit:
        for chart in ("measured", "published"):
            visit.page.wait_for_selector(f"#chart-{chart} .vega-embed svg")
            texts = visit.page.locator(f"#chart-{chart} .mark-text.role-mark text").all_text_contents()
            assert sorted(filter(None, texts)) == sorted(f"{value:.1f}" for value in like_the_paper().values())


def test_the_charts_are_there_with_scripts_off(browser: "playwright.Browser", page_file: Path) -> None:
    with Visit(browser, page_file, java_script_enabled=False) as visit:
        assert visit.page.locator("#chart-measured > svg").is_visible()
        assert visit.page.locator("#chart-published > svg").is_visible()


def test_hostile_text_runs_nothing(browser: "playwright.Browser", tmp_path: Path) -> None:
    numbers = like_the_paper() | {("blur", "blur"): None}
    path = write_report(results_with(tmp_path, numbers, title=HOSTILE), "pairs", None, tmp_path / "reports")
    with Visit(browser, path) as visit:
        visit.page.wait_for_selector("#chart-measured .vega-embed svg")
        assert visit.page.evaluate("window.hacked") is None
        assert visit.complaints == []


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_never_scrolls_sideways(browser: "playwright.Browser", page_file: Path, width: int) -> None:
    with Visit(browser, page_file, viewport={"width": width, "height": 800}) as visit:
        visit.page.wait_for_selector("#chart-measured .vega-embed svg")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
