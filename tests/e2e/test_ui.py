"""The user interface in a real browser, as the generated administrator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.deployment import Deployment
from tests.e2e.prepare import BUILD, chromium

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PATIENCE = 120_000
"""Milliseconds: the interface is one large page of JavaScript, and the machine may be busy."""

# No sandbox as root; nothing of the browser's own talks to the world.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def test_administrator_logs_in_and_sees_the_dag(deployed: Deployment, page: Page) -> None:
    deployed.airflow().wait_for_dag("hello")
    username, password = deployed.admin()
    shots = BUILD / "e2e"
    shots.mkdir(parents=True, exist_ok=True)
    page.goto(deployed.url)
    page.wait_for_selector("input[name=username]")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.screenshot(path=shots / "ui-login.png")
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/auth/login" not in url)
    page.goto(f"{deployed.url}/dags")
    page.get_by_role("link", name="hello", exact=True).first.wait_for()
    page.screenshot(path=shots / "ui-dags.png")


def test_a_wrong_password_stays_outside(deployed: Deployment, page: Page) -> None:
    username, password = deployed.admin()
    page.goto(f"{deployed.url}/dags")
    page.wait_for_selector("input[name=username]")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password + "x")
    page.press("input[name=password]", "Enter")
    page.get_by_text("Invalid login").wait_for()
    assert "/auth/login" in page.url
