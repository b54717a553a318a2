"""The page in a real browser with the network off."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.report.formats import write_report
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


def test_the_page_opens_offline_without_errors_or_requests(browser: "playwright.Browser", page_file: Path) -> None:
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


def test_charts_are_shown_without_scripts(browser: "playwright.Browser", page_file: Path) -> None:
    with Visit(browser, page_file, java_script_enabled=False) as visit:
        assert visit.page.locator("#chart-measured > svg").is_visible()
        assert visit.page.locator("#chart-published > svg").is_visible()


def shown(visit: Visit) -> tuple[str, list[str]]:
    """What the page says that it shows, and the numbers of the cells whose trials are to be seen."""
    rows = visit.page.locator("#trials tbody tr:visible")
    return visit.page.locator("#showing").inner_text(), [
        row.get_attribute("data-cell") or "" for row in rows.element_handles()
    ]


def faint(visit: Visit, chart: str) -> int:
    """How many squares of a chart are faint."""
    squares = visit.page.locator(f"#chart-{chart} .mark-rect.role-mark path").element_handles()
    return sum(float(square.get_attribute("opacity") or 1) < 1 for square in squares)


def test_a_click_on_a_cell_shows_that_cell_alone_and_another_shows_all(
    browser: "playwright.Browser", page_file: Path
) -> None:
    with Visit(browser, page_file) as visit:
        for chart in ("measured", "published"):
            visit.page.wait_for_selector(f"#chart-{chart} .vega-embed svg")
        square = visit.page.locator("#chart-measured .mark-rect.role-mark path").nth(1)
        square.click(force=True)
        visit.page.wait_for_function(
            "document.getElementById('showing').textContent.startsWith('Showing crop + color')"
        )
        assert shown(visit)[1] == ["1"]
        visit.page.wait_for_timeout(300)
        assert (faint(visit, "measured"), faint(visit, "published")) == (8, 8)
        square.click(force=True)
        assert shown(visit) == ("Showing all cells.", [str(number) for number in range(9)])
        visit.page.wait_for_timeout(300)
        assert faint(visit, "measured") == 0
        assert visit.complaints == []


def test_a_cell_is_picked_with_the_keyboard_and_escape_shows_all(
    browser: "playwright.Browser", page_file: Path
) -> None:
    with Visit(browser, page_file) as visit:
        visit.page.wait_for_selector("#chart-measured .vega-embed svg")
        button = visit.page.locator("#cells button[data-cell]").nth(3)
        button.press("Enter")
        assert shown(visit) == ("Showing color + crop. Escape shows all cells.", ["3"])
        assert button.get_attribute("aria-pressed") == "true"
        visit.page.keyboard.press("Escape")
        assert shown(visit)[0] == "Showing all cells."
        assert button.get_attribute("aria-pressed") == "false"


def test_hostile_text_runs_nothing(browser: "playwright.Browser", tmp_path: Path) -> None:
    numbers = like_the_paper() | {("blur", "blur"): None}
    path = write_report(results_with(tmp_path, numbers, title=HOSTILE), "pairs", None, tmp_path / "reports")
    with Visit(browser, path) as visit:
        visit.page.wait_for_selector("#chart-measured .vega-embed svg")
        assert visit.page.evaluate("window.hacked") is None
        assert visit.complaints == []


@pytest.mark.parametrize("width", [320, 390, 1000, 1400, 2000])
def test_the_page_never_scrolls_sideways(browser: "playwright.Browser", page_file: Path, width: int) -> None:
    with Visit(browser, page_file, viewport={"width": width, "height": 800}) as visit:
        visit.page.wait_for_selector("#chart-measured .vega-embed svg")
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
