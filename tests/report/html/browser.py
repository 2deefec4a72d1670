"""A headless Chromium for the tests of the report. Import ``chromium`` to use it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """The browser, one for a module. Tests use it through :func:`opened`."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("the report's tests need a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@contextmanager
def opened(browser, page: str, directory: Path, *, size=DESK, scheme="light") -> Iterator:
    """Open a page as a file, as people do with an artifact that they downloaded."""
    file = directory / "report.html"
    file.write_text(page, encoding="utf-8")
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what an earlier page left
    browser.get(file.as_uri())
    # Treemap and map of blocks are drawn when they have a size: in the first frame.
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    yield browser
    browser.get("about:blank")
