"""`ablate serve` in a real browser: while a study runs, and with records that are made to break it."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ablate.records.files import Results
from tests.browser.test_page import browser  # noqa: F401 - a fixture
from tests.records.by_hand import key_of, write_plan, write_trial
from tests.report.hostile import hostile

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

TRAINER = """
import pathlib, time
from typing import Any
from pydantic import BaseModel

class Config(BaseModel):
    seed: int = 0
    kind: str = "good"

def train(config: Config, context: Any) -> dict[str, Any]:
    if config.kind == "bad":
        print("about to multiply")
        raise ValueError("shapes <b>(3, 4)</b> and (5, 6)")
    for epoch in range(1, 5):
        context.log({"epoch": epoch, "loss": 4.0 / epoch})
        while not pathlib.Path(f"go-{epoch}").exists():
            time.sleep(0.05)
    return {"error": 1.0}
"""
STUDY = """
name = "kinds"
title = "Two kinds"
question = "Which kind works?"
trainer = "kinds_trainer:train"
metric = "error"

[axes]
kind = ["good", "bad"]
"""
LIVE = "Live: this page updates itself."
GONE = "The records no longer have what this page shows."
FAILED = "The server cannot show this page now, so it may be out of date."
SWITCH_TABS = """() => new Promise((done) => {
  const Stream = window.EventSource;
  window.EventSource = class extends Stream {
    set onopen(say) {
      super.onopen = () => { say(); done(document.getElementById("live").textContent); };
    }
  };
  for (const hidden of [true, false]) {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }
  window.EventSource = Stream;
})"""
WAIT = 120_000
"""Milliseconds for what takes two seconds on a machine with nothing else to do."""


@contextmanager
def serving(results: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`ablate serve` on a free port, and its address with the token."""
    command = [sys.executable, "-m", "ablate", "serve", str(results), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[1]
    finally:
        process.terminate()  # a killed one would leave its index of the records
        process.communicate()


def when_shown_again(page: Any) -> str:
    """What a page says of itself after its tab was hidden, once its new stream of changes is open."""
    return str(page.evaluate(SWITCH_TABS))


def points(page: Any) -> int:
    """The number of points of the one curve that a page shows."""
    return len(page.locator("#running .curve .line").get_attribute("d").split()) // 2


def test_while_a_study_runs_its_curve_grows_and_a_failing_trial_shows_its_cause(
    browser: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "kinds_trainer.py").write_text(TRAINER)
    (tmp_path / "kinds.toml").write_text(STUDY)
    results = tmp_path / "results"
    results.mkdir()
    command = [sys.executable, "-m", "ablate", "run", "kinds.toml", "--seeds", "1", "--workers", "2"]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with serving(results) as (server, address):
            page = browser.new_page()
            page.set_default_timeout(WAIT)
            page.goto(address)
            page.wait_for_selector("#cards .failure")
            assert "shapes <b>(3, 4)</b> and (5, 6)" in page.locator(".failure .message").inner_text()
            page.locator("#study-0 a").click()
            page.wait_for_selector("#running .curve .line", state="attached")
            page.evaluate("window.sameDocument = true")
            assert points(page) == 1
            for epoch in (1, 2):
                (tmp_path / f"go-{epoch}").touch()
                page.wait_for_function(
                    "wanted => document.querySelector('#running .line')?.getAttribute('d').split(' ').length == wanted",
                    arg=2 * (epoch + 1),
                )
            for epoch in (3, 4):
                (tmp_path / f"go-{epoch}").touch()
            page.wait_for_selector("#rows .state.of-done")
            assert page.evaluate("window.sameDocument") is True  # nothing was reloaded
            page.locator("#failures a").first.click()
            page.wait_for_selector("#logs")
            assert "ValueError" in page.locator("#logs pre").first.inner_text()
            assert "about to multiply" in page.locator("#logs").inner_text()
            server.send_signal(signal.SIGINT)  # while the page still listens for changes
            assert server.wait(60) == 130
            page.close()
    finally:
        for epoch in range(1, 5):
            (tmp_path / f"go-{epoch}").touch()
        run.wait(60)


def test_a_page_says_that_its_trial_is_gone_and_comes_when_it_is_there(
    browser: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    results = Results(tmp_path / "results")
    write_trial(results, key_of(1))
    write_plan(results, {key_of(2): {"size": 1}})
    with serving(results.root) as (_, address):
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.goto(f"{address.partition('/?')[0]}/trial/{key_of(1)}")
        page.wait_for_selector("#state .of-done")
        shutil.rmtree(results.trial(key_of(1)).path)
        page.get_by_text(GONE).wait_for()
        assert when_shown_again(page) == GONE
        page.reload()
        page.wait_for_selector("#nothing")
        write_trial(results, key_of(1))
        page.wait_for_selector("#state .of-done")
        page.close()


def test_a_page_that_the_server_cannot_show_says_so_until_it_can_and_calls_nothing_gone(
    browser: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    results = Results(tmp_path / "results")
    write_trial(results, key_of(1))
    write_plan(results, {key_of(1): {"size": 1}})
    with serving(results.root) as (_, address):
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.goto(f"{address.partition('/?')[0]}/trial/{key_of(1)}")
        page.get_by_text(LIVE).wait_for()
        page.route("**/trial/*", lambda route: route.fulfill(status=503))
        write_trial(results, key_of(2))
        page.get_by_text(FAILED).wait_for()
        assert when_shown_again(page) == FAILED
        page.unroute("**/trial/*")
        write_trial(results, key_of(3))
        page.get_by_text(LIVE).wait_for()
        page.close()


def test_hostile_records_run_nothing_and_every_view_is_accessible_at_every_width(
    browser: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    results = hostile(tmp_path)
    key = key_of(4)
    (results.trial(key).attempt_folders()[-1] / "stderr").write_bytes(
        b"<script>window.hacked = 1</script>\x1b[31m\xff\n" * 99
    )
    with serving(results.root) as (_, address):
        context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark")
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        paths = page.locator("#cards h2 a, #cards .failure a").evaluate_all("all => all.map((each) => each.href)")
        root = address.partition("/?")[0]
        for path in [f"{root}/", *dict.fromkeys(paths), f"{root}/queue", f"{root}/log/{key}/stderr"]:
            page.goto(path)
            page.wait_for_function("document.getElementById('live').textContent.startsWith('Live')")
            found = axe.Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            for width, scheme in ((1400, "light"), (2000, "dark"), (390, "dark")):
                page.set_viewport_size({"width": width, "height": 800})
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate("document.documentElement.scrollWidth") == width, path
            assert page.evaluate("window.hacked") is None
            assert page.locator("main img, main script, main style").count() == 0
        assert [told for told in complaints if "Content Security Policy" not in told] == []
        context.close()
