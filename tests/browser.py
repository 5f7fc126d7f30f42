"""A headless browser that records the console and the requests of its pages."""

import base64
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

A4_HEIGHT = 29.7 / 2.54 * 72  # points
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1600,1000",
)


@contextmanager
def open_browser(profile: Path) -> Iterator[Chrome]:
    """Open Chromium, which records its console and its requests; the test skips where there is none.

    Args:
        profile: An empty folder.
    """
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options, Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def count_sheets(browser: Chrome) -> int:
    """Print the page that is open to PDF, and return the number of its sheets, all of which are A4."""
    wanted = {"printBackground": True, "preferCSSPageSize": True}
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", wanted)["data"])
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert all(float(height) == pytest.approx(A4_HEIGHT, abs=1) for _, height in boxes)
    return len(boxes)


def read_log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """Return what was logged since the last call: "browser" is the console, "performance" the requests."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries
