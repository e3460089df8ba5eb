"""What the operator is made of: named in an SBOM, and looked up among known vulnerabilities."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.security import audit

pytestmark = pytest.mark.security


def test_the_sbom_names_every_package_that_the_operator_needs() -> None:
    command = [audit.uv(), "export", "--frozen", "--no-dev", "--format", "cyclonedx1.5", "--preview-features", "sbom-export"]
    made = json.loads(subprocess.run(command, cwd=audit.ROOT, capture_output=True, text=True, check=True).stdout)
    assert made["bomFormat"] == "CycloneDX"
    found = {item["name"]: item["version"] for item in made["components"]}
    locked = {item["name"]: item["version"] for item in tomllib.loads((audit.ROOT / "uv.lock").read_text())["package"]}
    assert found.items() <= locked.items()
    assert {"kopf", "kubernetes", "pydantic", "psycopg", "cryptography"} <= set(found)
    assert "pytest" not in found


@contextmanager
def database(vulnerable: str) -> Iterator[str]:
    """URL of a database in which one package has a vulnerability, with OSV's interface."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            known = [{"vulns": [{"id": "OSV-1"}]} if item["package"]["name"] == vulnerable else {} for item in asked]
            self.answer({"results": known})

        def do_GET(self) -> None:
            package = {"name": vulnerable, "ecosystem": "PyPI"}
            affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]
            self.answer({"id": "OSV-1", "summary": "a hole", "modified": "2026-01-01T00:00:00Z", "affected": affected})

        def answer(self, document: Any) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_a_known_vulnerability_is_told_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with database("kopf") as url:
        assert audit.main("--service-url", url) == 1
    printed = capsys.readouterr().out
    assert "kopf" in printed
    assert "OSV-1" in printed


def test_without_any_it_passes() -> None:
    with database("nothing-of-ours") as url:
        assert audit.main("--service-url", url) == 0


def test_a_database_that_is_away_is_told_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert audit.main("--service-url", "http://127.0.0.1:1/") == 0
    assert capsys.readouterr().out.splitlines() == [audit.UNREACHABLE]
