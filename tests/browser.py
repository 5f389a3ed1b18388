"""A real browser: Debian's Chromium, driven by Playwright, with axe-core for accessibility."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from supervisor.dev.paths import cache_folder

AXE_VERSION = "4.11.0"


def axe_source() -> str:
    """The script of axe-core, from npm, kept in the cache."""
    folder = cache_folder() / "axe-core" / AXE_VERSION
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"axe-core@{AXE_VERSION}"]
        subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return script.read_text(encoding="utf-8")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the duration of the context."""
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("chromium is not installed")
    # Root has no sandbox in a container.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_at(
    browser: Browser, url: str, *, theme: Literal["light", "dark"] = "light", width: int = 1440
) -> Iterator[Page]:
    """A page in a profile of its own; whatever its console complains of fails the test."""
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "warning" else None)
    page.goto(url)
    yield page
    context.close()
    assert not complaints


def violations(page: Page, axe: str) -> list[Any]:
    """What axe-core finds wrong, by rule; the script comes through the debugger, past the page's policy."""
    page.evaluate(f"() => {{ {axe} }}")
    found = page.evaluate("async () => (await axe.run()).violations")
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
