"""The status page in a real browser, of a real supervisor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import axe_source, chromium, page_at, violations
from tests.harness import Deployment, Supervised

TOKEN = "open-sesame-open-sesame"
SHOTS = os.environ.get("STATUS_PAGE_SHOTS")


def url_of(process: Supervised) -> str:
    return f"http://127.0.0.1:{process.wait_for('health.listening')['port']}/"


def shows(page: Page, word: str) -> None:
    expect(page.locator("#state-word")).to_have_text(word, timeout=15_000)


def is_within_its_width(page: Page) -> bool:
    return bool(page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.fixture
def booted(deployment: Deployment) -> Deployment:
    deployment.sql("pre-schema", "001_a.sql", "CREATE TABLE a (i int);")
    deployment.environ |= {"SUPERVISOR_RESTART_BACKOFF_S": "0.01"}
    return deployment


def test_the_page_shows_the_run_and_follows_a_restart(booted: Deployment) -> None:
    with booted.start("run") as process, chromium() as browser:
        directus = process.wait_for("process.started", process="directus")["pid"]
        process.wait_for("process.ready")
        with page_at(browser, url_of(process)) as page:
            shows(page, "Ready")
            expect(page.locator(".phase[data-state=finished]")).to_have_count(5)
            expect(page.locator("#migrations")).to_contain_text("pre-schema/001_a.sql")
            expect(page.locator("#processes")).to_contain_text(f"pid {directus}")
            expect(page.locator("#incident")).to_be_hidden()
            expect(page.locator("#lines")).to_contain_text("Server started at")
            # The second look at the process comes with the second picture, and with it the first curve.
            expect(page.locator(".process .curve").first).to_be_attached(timeout=15_000)

            os.kill(directus, signal.SIGKILL)
            expect(page.locator("#incident-message")).to_have_text("Directus ended with signal SIGKILL.")
            shows(page, "Ready")
            expect(page.locator("#fact-restarts")).to_have_text("1")
            expect(page.locator("#processes")).to_contain_text("restarts: signal")
            expect(page.locator("#lines")).to_contain_text("process.restarting")

            page.locator("#filter-text").fill("process.restarting")
            expect(page.locator("#lines .row")).to_have_count(1)
            page.locator("#filter-text").fill("")
            page.locator("#filter-level").select_option("warning")
            expect(page.locator("#lines")).not_to_contain_text("Server started at")

            expect(page.locator("#written-level")).to_have_value("debug")
            page.locator("#written-level").select_option("info")
            process.wait_for("control.used", action="log level info")

            page.locator("#reload").click()
            page.get_by_role("button", name="Reload", exact=True).click()
            process.wait_for("control.used", action="reload")
            expect(page.locator("#fact-restarts")).to_have_text("2")
            process.signal(signal.SIGTERM)
            process.expect_exit(0)
            expect(page.locator("#live-text")).to_contain_text("Offline since", timeout=15_000)


@pytest.mark.parametrize(
    ("state", "environ"),
    [
        ("Ready", {}),
        ("Booting", {"DB_PORT": "1"}),
        (
            "Directus is restarting",
            {"STAND_IN": "die-at-once", "SUPERVISOR_RESTART_BACKOFF_S": "60", "SUPERVISOR_RESTART_BACKOFF_MAX_S": "60"},
        ),
    ],
)
def test_the_page_is_accessible_and_fits_in_both_themes_and_on_a_phone(
    booted: Deployment, state: str, environ: dict[str, str]
) -> None:
    booted.environ |= environ
    axe = axe_source()
    with booted.start("run") as process, chromium() as browser:
        for theme, width in (("light", 1440), ("dark", 1440), ("light", 360), ("dark", 360)):
            with page_at(browser, url_of(process), theme=theme, width=width) as page:  # type: ignore[arg-type]
                shows(page, state)
                expect(page.locator("#lines .row").first).to_be_attached()
                if (theme == "dark") == (width == 360):
                    assert violations(page, axe) == []
                assert is_within_its_width(page)
                background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
                assert (background == "rgb(15, 17, 21)") == (theme == "dark")
                if SHOTS:
                    name = f"{state.rsplit(maxsplit=1)[-1].lower()}-{theme}-{width}.png"
                    page.screenshot(path=str(Path(SHOTS, name)), full_page=True)


def test_a_failed_boot_is_still_shown_when_the_supervisor_is_gone(deployment: Deployment) -> None:
    deployment.environ |= {"DB_PORT": "1", "SUPERVISOR_POSTGRES_TIMEOUT_S": "4"}
    axe = axe_source()
    with deployment.start("run") as process, chromium() as browser, page_at(browser, url_of(process)) as page:
        shows(page, "Booting")
        process.expect_exit(8)
        shows(page, "Failed")
        expect(page.locator("#incident-remedy")).to_have_text(process.failure["remedy"])
        expect(page.locator("#live-text")).to_contain_text("Offline since")
        assert violations(page, axe) == []


def test_a_browser_gets_in_with_the_token_and_keyboard_alone(booted: Deployment) -> None:
    booted.environ["SUPERVISOR_STATUS_TOKEN"] = TOKEN
    axe = axe_source()
    with booted.start("run") as process, chromium() as browser:
        process.wait_for("process.ready")
        with page_at(browser, url_of(process)) as page:
            assert violations(page, axe) == []
            page.keyboard.type("wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_have_text("This is not the token.")
            page.keyboard.type(TOKEN)
            page.keyboard.press("Enter")
            shows(page, "Ready")
            assert TOKEN not in page.url
            (cookie,) = page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            assert TOKEN not in cookie["value"]
            reached = []
            for _ in range(10):
                page.keyboard.press("Tab")
                reached.append(page.evaluate("() => document.activeElement.id || document.activeElement.className"))
            for name in ("skip", "reload", "filter-text", "filter-level", "filter-process", "follow", "lines"):
                assert name in reached
            page.locator("#reload").focus()
            page.keyboard.press("Enter")
            expect(page.locator("#confirm")).to_be_visible()
            page.keyboard.press("Escape")
            expect(page.locator("#confirm")).to_be_hidden()
            page.get_by_role("button", name="Log out").click()
            expect(page.locator("#token")).to_be_visible()
    assert not process.of("control.used")


def test_nothing_moves_while_the_page_fills(booted: Deployment) -> None:
    with booted.start("run") as process, chromium() as browser:
        process.wait_for("process.ready")
        with page_at(browser, url_of(process)) as page:
            shows(page, "Ready")
            page.evaluate(
                "() => { window.moved = 0; new PerformanceObserver((list) => { for (const one of list.getEntries())"
                " window.moved += one.value; }).observe({ type: 'layout-shift' }); }"
            )
            expect(page.locator(".process .curve").first).to_be_attached(timeout=15_000)
            assert page.evaluate("() => window.moved") < 0.01
