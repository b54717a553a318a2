"""Makes docs/report.png, the top of a page in headless Chromium: `python docs/screenshot.py PAGE`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

page_file, picture = Path(sys.argv[1]).resolve(), Path(__file__).parent / "report.png"
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
    )
    page = browser.new_page(viewport={"width": 1180, "height": 860})
    page.goto(page_file.as_uri())
    page.wait_for_selector("#chart-published .vega-embed svg")
    page.screenshot(path=picture)
    browser.close()
print(picture)
