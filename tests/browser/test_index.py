"""The index, with suites, and the comparison in a real browser with the network off."""

from pathlib import Path

import pytest

from ablate.report.compare import write_comparison
from ablate.report.index import write_index
from tests.browser.test_page import Visit, browser, playwright  # noqa: F401
from tests.judge.test_verdict import CLEAR, write_results, write_study
from tests.report.test_index import SUITES, two_studies

pytestmark = pytest.mark.browser
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
REFUTED = {**CLEAR, "nonlinear": [30.0, 30.9, 30.4]}
SECOND = """
[[claims]]
id = "A2"
text = "The linear head is above none by forty points."
source = "section 4.2"
kind = "greater"
left = "head == 'linear'"
right = "head == 'none'"
margin = 40.0
profiles = ["imagenet"]
"""


@pytest.fixture
def index(tmp_path: Path) -> Path:
    results = two_studies(tmp_path)
    write_study(tmp_path, SECOND)
    return write_index(results, tmp_path / "reports", SUITES)


def test_the_index_opens_offline_and_its_filter_leaves_the_claims_of_a_verdict(
    browser: "playwright.Browser",  # noqa: F811
    index: Path,
) -> None:
    with Visit(browser, index) as visit:
        rows = visit.page.locator("tr[data-kinds]")
        assert rows.count() == 2
        visit.page.get_by_role("button", name="not judged here").click()
        assert [row.is_visible() for row in rows.all()] == [False, True]
        assert visit.page.locator("#shown").text_content() == "1 of 2 claims"
        visit.page.keyboard.press("Enter")  # the button has the focus: none is pressed now
        assert [row.is_visible() for row in rows.all()] == [True, True]
        assert visit.complaints == []
        assert visit.requests == [index.as_uri()]


def test_without_scripts_only_the_filter_is_missing(
    browser: "playwright.Browser",  # noqa: F811
    index: Path,
) -> None:
    with Visit(browser, index, java_script_enabled=False) as visit:
        assert all(row.is_visible() for row in visit.page.locator("tr").all())
        assert not visit.page.locator("#filter").is_visible()


@pytest.mark.parametrize("width", [360, 1400])
def test_neither_page_scrolls_sideways_and_axe_finds_no_violation(
    browser: "playwright.Browser",  # noqa: F811
    index: Path,
    tmp_path: Path,
    width: int,
) -> None:
    path = write_study(tmp_path)
    before, after = write_results(tmp_path / "old", path, CLEAR), write_results(tmp_path / "new", path, REFUTED)
    for page in (index, write_comparison(before, after, [], tmp_path / "reports")):
        with Visit(browser, page, viewport={"width": width, "height": 800}) as visit:
            assert visit.page.evaluate("document.documentElement.scrollWidth") == width
            assert visit.complaints == []
            visit.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
            found = axe.Axe().run(visit.page)
            assert found.violations_count == 0, found.generate_report()
