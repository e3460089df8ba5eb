"""Login by a real OpenID Connect provider in a real browser, and by the simple auth manager over REST."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e import servers
from tests.e2e.airflow_client import AirflowClient, ApiError
from tests.e2e.deployment import CLUSTER, Deployment
from tests.e2e.prepare import chromium
from tests.e2e.reach import Reach
from tests.e2e.test_ui import FLAGS, PATIENCE

pytestmark = [pytest.mark.e2e_all, pytest.mark.timeout(900)]

ISSUER = f"http://{servers.OIDC}:{servers.PORT}"
USERS = {
    "ann": {"preferred_username": "ann", "email": "ann@example.com", "groups": ["airflow-admins"]},
    "bob": {"preferred_username": "bob", "email": "bob@example.com", "groups": ["analysts"]},
    "eve": {"preferred_username": "eve", "email": "eve@example.com", "groups": ["others"]},
}


def log_in(browser: Browser, deployed: Deployment, user: str) -> Page:
    """A page of a new session, after the provider has said who the user is."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{deployed.url}/auth/login/sso")
    page.wait_for_url(f"{ISSUER}/**")
    page.get_by_role("button", name=user, exact=True).click()
    page.wait_for_url(f"{deployed.url}/**")
    return page


def status(page: Page, path: str) -> int:
    """The API's answer to the page's own session."""
    code: int = page.evaluate("path => fetch(path).then(answer => answer.status)", path)
    return code


def may(page: Page) -> tuple[int, int]:
    """The answers for what a viewer may read, and for what only an operator or administrator may."""
    return status(page, "/api/v2/dags"), status(page, "/api/v2/connections")


@pytest.fixture
def in_browser(another: Deployment) -> Callable[..., None]:
    """Runs something with a browser that finds the provider under the name by which pods know it."""

    def run(todo: Callable[[Browser], None]) -> None:
        with Reach(another.kubectl, servers.OIDC, servers.PORT) as reach, sync_playwright() as playwright:
            here = reach.url.removeprefix("http://")
            rules = f"--host-resolver-rules=MAP {servers.OIDC}:{servers.PORT} {here}"
            browser = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, rules])
            todo(browser)
            browser.close()

    return run


def test_groups_of_an_oidc_provider_decide_what_users_may(another: Deployment, in_browser: Callable[..., None]) -> None:
    servers.run_oidc(another.kubectl, USERS)
    client = {"metadata": {"name": "oidc-client"}, "stringData": {"client-id": "airflow", "client-secret": "s3cr3t"}}
    another.kubectl.apply({"apiVersion": "v1", "kind": "Secret", **client})
    base, cluster = another.resources()
    oidc = {
        "name": "sso",
        "issuerURL": ISSUER,
        "clientSecretRef": {"name": "oidc-client"},
        "roleMapping": {"airflow-admins": "Admin", "analysts": "Viewer"},
    }
    cluster["spec"] |= {"auth": {"fab": {"oidc": oidc}}, "apiServer": {"env": [servers.INSECURE]}}
    another.kubectl.apply(base, cluster)
    another.wait_until_ready()

    def log_everybody_in(browser: Browser) -> None:
        assert may(log_in(browser, another, "ann")) == (200, 200)
        assert may(log_in(browser, another, "bob")) == (200, 403)
        eve = log_in(browser, another, "eve")
        assert "/auth/login" in eve.url
        assert may(eve) == (401, 401)

    in_browser(log_everybody_in)
    # The administrator's password still opens the REST API.
    assert another.airflow().request("GET", "/connections")["total_entries"] >= 0

    cluster["spec"]["auth"] = {"simple": {"users": [{"name": "dora", "role": "admin"}]}}
    another.kubectl.apply(cluster)
    another.wait_until_ready()
    secret = another.kubectl.secret(another.cluster["status"]["auth"]["usersSecretRef"]["name"])
    with Reach(another.kubectl, f"{CLUSTER}-api-server", 8080) as reach:
        assert AirflowClient(reach.url, "dora", secret["dora"]).request("GET", "/dags")["total_entries"] >= 0
        with pytest.raises(ApiError):
            AirflowClient(reach.url, "dora", "wrong").login()
