"""The pictures of a page in a real browser with the network off."""

from pathlib import Path

import pytest

from ablate.report.formats import write_report
from tests.browser.test_page import Visit, browser, playwright  # noqa: F401
from tests.report.pictures.studies import study_of_pairs

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [360, 1400])
def test_pictures_are_decoded_and_load_nothing(
    browser: "playwright.Browser",  # noqa: F811
    tmp_path: Path,
    width: int,
) -> None:
    page = write_report(study_of_pairs(tmp_path), "pairs", None, tmp_path / "reports")
    with Visit(browser, page, viewport={"width": width, "height": 800}) as visit:
        visit.page.wait_for_selector("#chart-histograms .vega-embed svg", timeout=120_000)
        decoded = visit.page.evaluate(
            "Promise.all([...document.querySelectorAll('svg.picture image')].map(image => image.decode()))"
        )
        assert len(decoded) == 4 + 2 * 2
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        assert visit.complaints == []
        assert visit.requests == [page.as_uri()]
