"""Create docs/report.png, a screenshot of the top of a page: `python docs/screenshot.py PAGE`."""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

page_file, picture = Path(sys.argv[1]).resolve(), Path(__file__).parent / "report.png"
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
    )
    page = browser.new_page(viewport={"width": 1400, "height": 1250})
    page.goto(page_file.as_uri())
    page.wait_for_selector(".chart .vega-embed svg", timeout=120_000)
    page.wait_for_timeout(3_000)  # the other charts
    page.screenshot(path=picture, timeout=120_000)
    browser.close()
Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)
print(f"{picture}: {picture.stat().st_size:,} bytes")
