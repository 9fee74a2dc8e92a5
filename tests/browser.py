"""Headless Chromium, driven by Selenium: loads pages, and tells what they did."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers import give_up, poll_until

__all__ = ["Browser", "browser_in"]

_FLAGS = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One window; sizes are those of the page inside it."""

    def __init__(self, driver: Any, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def open(self, url: str, width: int = 1440, height: int = 900) -> None:
        """Load a page in a window of this size; what earlier pages logged is forgotten."""
        self.driver.get("about:blank")
        self.resize(width, height)
        self.complaints()
        self.requests()
        self.driver.get(url)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        """Make the system's colours ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def js(self, expression: str) -> Any:
        return self.driver.execute_script(f"return ({expression})")

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.js(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    def texts(self, selector: str) -> list[str]:
        found = f"document.querySelectorAll({json.dumps(selector)})"
        return list(self.js(f"Array.from({found}, each => each.textContent)"))

    def fill(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def wait(self, expression: str, timeout_s: float = 20.0) -> Any:
        """The first value of an expression that is true."""
        return poll_until(lambda: self.js(expression), expression, timeout_s)

    def wait_live(self) -> None:
        self.wait("document.getElementById('link').dataset.link === 'live'")
        self.wait("document.getElementById('state').textContent !== '…'")

    def complaints(self) -> list[str]:
        """What the console has said since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since this was last asked."""
        messages = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        return [
            each["message"]["params"]["request"]["url"]
            for each in messages
            if each["message"]["method"] == "Network.requestWillBeSent"
        ]

    def screenshot(self, path: Path) -> None:
        self.driver.save_screenshot(str(path))


@contextlib.contextmanager
def browser_in(folder: Path) -> Iterator[Browser]:
    """A browser for the length of a block; skips the test where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        give_up("chromium and chromedriver are not installed (Debian: chromium chromium-driver)")
    if importlib.util.find_spec("selenium") is None:
        give_up("selenium is not installed")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=chromedriver))
    try:
        downloads = folder / "downloads"
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
        )
        yield Browser(driver, downloads)
    finally:
        driver.quit()
