"""Create a screenshot of the top of a page, 1250 pixels high: `python docs/screenshot.py PAGE docs/report.png 1250`."""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

page_file, picture, height = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), int(sys.argv[3])
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
    )
    page = browser.new_page(viewport={"width": 1400, "height": height})
    page.goto(page_file.as_uri())
    page.wait_for_selector(".chart .vega-embed svg", timeout=120_000)
    page.wait_for_timeout(3_000)  # the other charts
    page.screenshot(path=picture, timeout=120_000)
    browser.close()
Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)
print(f"{picture}: {picture.stat().st_size:,} bytes")
