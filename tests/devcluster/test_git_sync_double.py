"""The git-sync test double against the git server of the test bed: what the operator relies on in the real git-sync."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PROJECT = Path(__file__).resolve().parents[2]
SECRET = "s3cret-of-the-repository"
_Answer = TypeVar("_Answer")


def eventually(condition: Callable[[], _Answer], timeout: float = 20.0) -> _Answer:
    """The first true answer of `condition`, which is asked every 20 ms."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status_of(url: str) -> int:
    """HTTP status of a GET; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def make_certificate(certificate: Path, key: Path) -> None:
    """A certificate of 127.0.0.1 that is its own authority."""
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)


class Repository:
    """A served repository `dags.git` with one commit, and a clone to push from."""

    def __init__(self, directory: Path) -> None:
        self.password_file = directory / "password"
        self.password_file.write_text(SECRET)
        seed = directory / "seed" / "dags.git"
        seed.mkdir(parents=True)
        (seed / "dag.py").write_text("version = 1\n")
        library = seed.with_name("library.git")
        library.mkdir()
        (library / "helper.py").write_text("help = True\n")
        port, tls_port = free_port(), free_port()
        self.ca, key = directory / "ca.crt", directory / "tls.key"
        make_certificate(self.ca, key)
        self.tls_url = f"https://127.0.0.1:{tls_port}/dags.git"
        self.url = f"http://127.0.0.1:{port}/dags.git"
        environment = os.environ | {
            "GIT_ROOT": str(directory / "srv"),
            "GIT_SEED": str(seed.parent),
            "GIT_PORT": str(port),
            "GIT_PASSWORD_FILE": str(self.password_file),
            "GIT_REPOS": "dags.git library.git",
            "GIT_TLS_CERT_FILE": str(self.ca),
            "GIT_TLS_KEY_FILE": str(key),
            "GIT_TLS_PORT": str(tls_port),
        }
        self.process = subprocess.Popen([sys.executable, "-m", "devcluster.images.git_server"], cwd=PROJECT, env=environment)
        eventually(lambda: status_of(f"http://127.0.0.1:{port}/healthz") == 200)
        self.clone = directory / "clone"
        self.git("clone", "--quiet", self._with_password(), str(self.clone), cwd=directory)

    def _with_password(self) -> str:
        return self.url.replace("//", f"//git:{self.password_file.read_text()}@")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git in the clone."""
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(["git", *identity, *arguments], cwd=cwd or self.clone, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def push(self, text: str) -> str:
        """Push a commit that writes `text` to dag.py; return the commit."""
        (self.clone / "dag.py").write_text(text)
        self.git("commit", "--quiet", "--all", "--message", text)
        self.git("push", "--quiet", self._with_password(), "HEAD:main")
        return self.commit()

    def commit(self) -> str:
        """The clone's commit."""
        return self.git("rev-parse", "HEAD")

    def url_of(self, name: str) -> str:
        """The URL of another repository of the server."""
        return self.url.replace("dags.git", name)


class Double:
    """A running test double."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.root = directory / "root"
        self._log = directory / "log"
        self.health = f"127.0.0.1:{free_port()}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT", "SSL"))}
        own = {"ROOT": str(self.root), "LINK": "repo", "REF": "main", "PERIOD": "50ms", "HTTP_BIND": self.health, **settings}
        environment = clean | {"TMPDIR": str(directory)} | {f"GITSYNC_{name}": value for name, value in own.items()}
        with self._log.open("a") as log:
            command = [sys.executable, "-m", "devcluster.images.git_sync"]
            self.process = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=log)

    def synced(self) -> str:
        """Commit that the link shows; "" when there is none."""
        link = self.root / "repo"
        return link.readlink().name if link.is_symlink() else ""

    def wait(self) -> int:
        """Exit code."""
        return self.process.wait(timeout=20)

    def text(self) -> str:
        """All that it wrote."""
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.text().splitlines()]

    def failures(self) -> list[dict[str, Any]]:
        """Failed syncs in its log."""
        return [line for line in self.lines() if "failCount" in line]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The served repository; each test leaves main and the password as it found them or does not care."""
    served = Repository(tmp_path_factory.mktemp("repository"))
    yield served
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(timeout=10)


@pytest.fixture
def start(tmp_path: Path, repository: Repository) -> Iterator[Callable[..., Double]]:
    """Start doubles on the served repository; all are stopped at the end."""
    started: list[Double] = []

    def one(**settings: str) -> Double:
        double = Double(tmp_path, **{"REPO": repository.url, "USERNAME": "git", "PASSWORD_FILE": str(repository.password_file), **settings})
        started.append(double)
        return double

    yield one
    for double in started:
        double.process.terminate()
        double.wait()


class Hook:
    """A webhook receiver that answers 503 until it is told to be good."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, int]] = []
        self.status = 503
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.calls.append((self.path, self.headers["Gitsync-Hash"], hook.status))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/told"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def good(self) -> list[str]:
        """Commits of the calls that were answered with 200."""
        return [commit for _, commit, status in self.calls if status == 200]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook receiver."""
    receiver = Hook()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_one_time_checks_out_a_worktree_behind_a_relative_link(start: Callable[..., Double], repository: Repository) -> None:
    double = start(ONE_TIME="true")
    assert double.wait() == 0
    assert str((double.root / "repo").readlink()) == f".worktrees/{repository.commit()}"
    assert (double.root / "repo" / "dag.py").read_text() == (repository.clone / "dag.py").read_text()


def test_a_pushed_commit_replaces_the_link_and_the_old_worktree(start: Callable[..., Double], repository: Repository) -> None:
    double = start()
    eventually(double.synced)
    commit = repository.push("version = 'pushed'\n")
    eventually(lambda: double.synced() == commit)
    assert (double.root / "repo" / "dag.py").read_text() == "version = 'pushed'\n"
    eventually(lambda: [path.name for path in (double.root / ".worktrees").iterdir()] == [commit])


def test_health_is_503_until_the_first_sync(start: Callable[..., Double], repository: Repository) -> None:
    double = start(REF="not-yet", MAX_FAILURES="-1")
    assert eventually(lambda: status_of(f"http://{double.health}/")) == 503
    repository.git("push", "--quiet", repository._with_password(), "HEAD:not-yet")
    eventually(lambda: status_of(f"http://{double.health}/") == 200)
    repository.git("push", "--quiet", repository._with_password(), ":not-yet")
    seen = len(double.failures())
    eventually(lambda: len(double.failures()) > seen + 1)
    assert status_of(f"http://{double.health}/") == 200
    assert double.synced() == repository.commit()


def test_a_wrong_ref_ends_in_exit_1_with_gits_words_and_keeps_what_was_synced(start: Callable[..., Double], repository: Repository) -> None:
    assert start(ONE_TIME="true").wait() == 0
    double = start(REF="nowhere", MAX_FAILURES="3")
    assert double.wait() == 1
    last = double.lines()[-1]
    assert last["msg"] == "too many failures, aborting"
    assert last["failCount"] == 3
    assert "fatal: couldn't find remote ref nowhere" in last["error"]
    assert double.synced() == repository.commit()


def test_max_failures_0_gives_up_at_once(start: Callable[..., Double]) -> None:
    double = start(REF="nowhere")
    assert double.wait() == 1
    assert double.lines()[-1]["failCount"] == 1


@pytest.mark.parametrize("where", ["file", "environment", "url"])
def test_a_refused_password_is_told_and_never_printed(
    start: Callable[..., Double], repository: Repository, tmp_path: Path, where: str
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    url = repository.url.replace("//", "//git:not-the-password@")
    settings = {
        "file": {"PASSWORD_FILE": str(wrong)},
        "environment": {"PASSWORD_FILE": "", "PASSWORD": "not-the-password"},
        "url": {"PASSWORD_FILE": "", "USERNAME": "", "REPO": url},
    }
    double = start(**settings[where])
    assert double.wait() == 1
    assert "Authentication failed for" in double.lines()[-1]["error"]
    assert "not-the-password" not in double.text()


def test_a_rotated_password_needs_no_restart(start: Callable[..., Double], repository: Repository, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text(SECRET)
    double = start(PASSWORD_FILE=str(mounted), MAX_FAILURES="-1")
    eventually(double.synced)
    try:
        repository.password_file.write_text("rotated")
        eventually(double.failures)
        mounted.write_text("rotated\n")
        commit = repository.push("version = 'rotated'\n")
        eventually(lambda: double.synced() == commit)
    finally:
        repository.password_file.write_text(SECRET)


def test_the_error_file_is_there_while_syncs_fail(start: Callable[..., Double], repository: Repository) -> None:
    double = start(REF="late", MAX_FAILURES="-1", ERROR_FILE="error.json")
    file = double.root / "error.json"
    eventually(file.exists)
    content = json.loads(file.read_text())
    assert content["Msg"] == "error syncing repo, will retry"
    assert "couldn't find remote ref late" in content["Err"]
    assert content["Args"]["failCount"] >= 1
    repository.git("push", "--quiet", repository._with_password(), "HEAD:late")
    eventually(lambda: not file.exists())


def test_the_webhook_is_repeated_until_it_succeeds_and_called_by_each_process(
    start: Callable[..., Double], repository: Repository, hook: Hook
) -> None:
    settings = {"WEBHOOK_URL": hook.url, "WEBHOOK_SUCCESS_STATUS": "200", "WEBHOOK_BACKOFF": "1s"}
    double = start(**settings)
    first = repository.commit()
    eventually(lambda: hook.calls)
    assert hook.calls[0] == ("/told", first, 503)
    hook.status = 200
    eventually(lambda: hook.good() == [first])
    second = repository.push("version = 'told'\n")
    eventually(lambda: hook.good() == [first, second])
    double.process.terminate()
    double.wait()
    start(**settings)
    eventually(lambda: hook.good() == [first, second, second])


def test_one_time_fails_when_the_webhook_does(start: Callable[..., Double], hook: Hook) -> None:
    assert start(ONE_TIME="true", WEBHOOK_URL=hook.url).wait() == 1


def test_a_commit_as_ref_is_synced_once(start: Callable[..., Double], repository: Repository) -> None:
    double = start(REF=repository.commit())
    eventually(lambda: "no further sync needed" in double.text())
    assert double.synced() == repository.commit()


def test_a_sync_that_takes_too_long_is_a_failure(start: Callable[..., Double]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        double = start(REPO=f"http://127.0.0.1:{silent.getsockname()[1]}/x.git", SYNC_TIMEOUT="1s")
        assert double.wait() == 1
    assert "context deadline exceeded" in double.lines()[-1]["error"]


def test_a_force_push_is_followed(start: Callable[..., Double], repository: Repository) -> None:
    repository.push("version = 'to be rewritten'\n")
    double = start()
    old = eventually(double.synced)
    repository.git("commit", "--quiet", "--amend", "--message", "rewritten")
    repository.git("push", "--quiet", "--force", repository._with_password(), "HEAD:main")
    eventually(lambda: double.synced() == repository.commit() != old)


def test_another_repository_takes_over_the_same_volume(start: Callable[..., Double], repository: Repository) -> None:
    assert start(ONE_TIME="true").wait() == 0
    double = start(ONE_TIME="true", REPO=repository.url_of("library.git"))
    assert double.wait() == 0
    assert [path.name for path in (double.root / "repo").iterdir() if path.suffix == ".py"] == ["helper.py"]


@pytest.mark.parametrize(("submodules", "files"), [("recursive", ["helper.py"]), ("shallow", ["helper.py"]), ("off", [])])
def test_submodules(start: Callable[..., Double], repository: Repository, submodules: str, files: list[str]) -> None:
    url = repository.url_of("library.git")
    library = repository.git("ls-remote", url.replace("//", f"//git:{SECRET}@"), "main").split()[0]
    (repository.clone / ".gitmodules").write_text(f'[submodule "library"]\n\tpath = library\n\turl = {url}\n')
    repository.git("checkout", "--quiet", "-B", f"with-{submodules}")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{library},library")
    repository.git("add", ".gitmodules")
    repository.git("commit", "--quiet", "--message", "a library")
    repository.git("push", "--quiet", repository._with_password(), f"HEAD:with-{submodules}")
    repository.git("checkout", "--quiet", "--force", "main")
    double = start(ONE_TIME="true", REF=f"with-{submodules}", SUBMODULES=submodules)
    assert double.wait() == 0, double.text()
    assert [path.name for path in (double.root / "repo" / "library").glob("*.py")] == files


def test_a_private_authority_is_trusted_where_it_is_named(start: Callable[..., Double], repository: Repository) -> None:
    refused = start(ONE_TIME="true", REPO=repository.tls_url)
    assert refused.wait() == 1
    assert "certificate" in refused.lines()[-1]["error"]
    double = start(ONE_TIME="true", REPO=repository.tls_url, GIT_CONFIG=f"http.sslCAInfo:{repository.ca}")
    assert double.wait() == 0
    assert double.synced() == repository.commit()


def test_ssh_is_given_the_key_and_checks_the_host(start: Callable[..., Double], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "Host key verification failed." >&2\nexit 255\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    files = {"SSH_KEY_FILE": "/etc/git-secret/ssh", "SSH_KNOWN_HOSTS": "true", "SSH_KNOWN_HOSTS_FILE": "/etc/git-known-hosts/known_hosts"}
    double = start(REPO="ssh://git@git.example:2222/srv/dags.git", USERNAME="", PASSWORD_FILE="", ONE_TIME="true", **files)
    assert double.wait() == 1
    assert "Host key verification failed." in double.lines()[-1]["error"]
    arguments = (tmp_path / "arguments").read_text()
    for part in ("-i /etc/git-secret/ssh", "StrictHostKeyChecking=yes", "UserKnownHostsFile=/etc/git-known-hosts/known_hosts", "-p 2222"):
        assert part in arguments


class GitHub:
    """The one answer of GitHub's API that an app asks for; it checks the signature."""

    def __init__(self, directory: Path) -> None:
        self.key = directory / "app.pem"
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", str(self.key), "2048"], check=True, capture_output=True)
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self.calls: list[tuple[str, str]] = []
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text, _, signature = self.headers["Authorization"].removeprefix("Bearer ").rpartition(".")
                key.public_key().verify(decoded(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
                github.calls.append((self.path, json.loads(decoded(text.split(".")[1]))["iss"]))
                answer = json.dumps({"token": SECRET, "expires_at": "2099-01-01T00:00:00Z"}).encode()
                self.send_response(201)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v3/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def decoded(text: str) -> bytes:
    """Base 64 of a token, which has no padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    """GitHub's API."""
    api = GitHub(tmp_path)
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.mark.parametrize(("variable", "identity"), [("GITHUB_APP_APPLICATION_ID", "123"), ("GITHUB_APP_CLIENT_ID", "Iv1.abc")])
def test_a_github_app_fetches_a_token_and_uses_it(
    start: Callable[..., Double], repository: Repository, github: GitHub, variable: str, identity: str
) -> None:
    app = {"GITHUB_APP_PRIVATE_KEY_FILE": str(github.key), "GITHUB_APP_INSTALLATION_ID": "77", "GITHUB_BASE_URL": github.url}
    double = start(USERNAME="", PASSWORD_FILE="", MAX_FAILURES="1", **app, **{variable: identity})
    # The server of the test bed knows one user; GitHub takes any name beside a token.
    assert double.wait() == 1
    assert "Authentication failed" in double.lines()[-1]["error"]
    assert github.calls == [("/api/v3/app/installations/77/access_tokens", identity)]
    assert SECRET not in double.text()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"GIT_CONFIG": "http.sslCAInfo"}, "must be a list of key:val"),
        ({"GITHUB_APP_INSTALLATION_ID": "1"}, "needs a private key"),
        ({"GITHUB_APP_PRIVATE_KEY_FILE": "/key", "GITHUB_APP_INSTALLATION_ID": "1"}, "must be specified when"),
        ({"REPO": ""}, "--repo must be specified"),
        ({"PERIOD": "5"}, "must be a duration"),
        ({"ONE_TIME": "yes"}, "must be a boolean"),
        ({"MAX_FAILURES": "none"}, "must be an integer"),
        ({"USERNAME": ""}, "may only be specified when --username is specified"),
        ({"PASSWORD": "x"}, "only one of"),
        ({"BRANCH": "main"}, "does not know GITSYNC_BRANCH"),
    ],
)
def test_a_setting_that_git_sync_refuses_is_refused(start: Callable[..., Double], settings: dict[str, str], sentence: str) -> None:
    double = start(**settings)
    assert double.wait() == 1
    assert sentence in double.text()
