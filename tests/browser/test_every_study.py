"""The page of every study at the embedded profile, in a real browser with the network off; its numbers are made up."""

import re
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results
from ablate.report.page import write_page
from ablate.report.reading import read_study
from ablate.run.plan import make_plan, record_plan
from tests.browser.test_page import Visit, browser  # noqa: F401 - a fixture
from tests.conftest import CHECKOUT
from tests.records.by_hand import write_trial

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

STUDIES = sorted(path.stem for path in (CHECKOUT / "studies").glob("*.toml"))
METRICS = re.findall(r'^metric = "(\w+)"', "".join(p.read_text() for p in (CHECKOUT / "studies").glob("*.toml")), re.M)
_MARKS = ".vega-embed svg :is(.mark-rect, .mark-symbol, .mark-line).role-mark :is(path, line)"


def page_of(study: str, folder: Path) -> Path:
    """All trials of a study with two seeds but for the last one, which failed."""
    results = Results(folder / "results")
    plan = make_plan(study, "embedded", results, seeds=range(2))
    record_plan(plan, results, ["ablate", "run", study])
    trials = list(plan.distinct.values())
    for number, trial in enumerate(trials):
        made = 20.0 + 60 * (number * 7 % len(trials)) / len(trials) + trial.seed
        numbers: dict[str, Any] = dict.fromkeys(["top1", "contrastive_accuracy", *METRICS], made) | {
            "loss": 3 - made / 40
        }
        settings: dict[str, Any] = {"pretrain_key": trial.pretrain_key, "config": trial.config.model_dump(mode="json")}
        if number == len(trials) - 1:
            write_trial(results, trial.key, "failed", "exception", "ValueError: no", losses=(), **settings)
        else:
            write_trial(results, trial.key, numbers=numbers, losses=(3.0, 2.5, 3 - made / 40), **settings)
    return write_page(results, read_study(results, study, "embedded"), folder / "reports", with_pictures=False)


@pytest.mark.parametrize("study", STUDIES)
def test_it_is_drawn_offline_can_be_filtered_and_is_accessible(
    browser: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    study: str,
) -> None:
    monkeypatch.chdir(CHECKOUT)
    path = page_of(study, tmp_path)
    with Visit(browser, path, viewport={"width": 1400, "height": 900}) as visit:
        page = visit.page
        charts = page.locator("[id^='chart-']")
        assert charts.count() >= 2
        for number in range(charts.count()):
            charts.nth(number).locator(".vega-embed svg").first.wait_for()
            assert charts.nth(number).locator(_MARKS).count() > 0
        page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        button = page.locator("#cells button[data-cell]").nth(1)
        button.press("Enter")
        cells = {row.get_attribute("data-cell") for row in page.locator("#trials tbody tr:visible").element_handles()}
        assert cells == {button.get_attribute("data-cell")}
        page.keyboard.press("Escape")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert (visit.complaints, visit.requests) == ([], [path.as_uri()])
    with Visit(browser, path, java_script_enabled=False, viewport={"width": 360, "height": 800}) as visit:
        drawn = visit.page.locator("[id^='chart-'] > svg")
        assert drawn.count() == charts_of(path)
        assert all(drawn.nth(number).is_visible() for number in range(drawn.count()))


def charts_of(path: Path) -> int:
    """How many charts a page has."""
    return len(re.findall(r'id="chart-[\w-]+"', path.read_text(encoding="utf-8")))
