"""A test double of git-sync v4: the part of its documented contract that the operator uses, for hosts without an image registry.

It takes its settings from GITSYNC_* alone, refuses those it does not know, and fails where git-sync fails.
Standard library and git only.
"""

import os
import pwd
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from devcluster.images.git_sync.contract import ConfigError, Log, Settings, SyncError
from devcluster.images.git_sync.repository import Git, Sync

VERSION = "v4.7.1 (test double)"


class Webhook:
    """Tells a URL the newest commit until it answers with the wanted status."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Start the thread that sends."""
        self._settings, self._log = settings, log
        self._news = threading.Condition()
        self._commit = ""
        self.first = threading.Event()
        self.first_succeeded = False
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, commit: str) -> None:
        """Tell this commit, unless a newer one comes first."""
        with self._news:
            self._commit = commit
            self._news.notify()

    def _run(self) -> None:
        told = ""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._commit != told)  # noqa: B023 (called at once)
                commit = self._commit
            try:
                self._post(commit)
            except (OSError, ValueError) as error:
                self._log.error(error, "hook failed")
                self.first.set()
                time.sleep(self._settings.webhook_backoff)
            else:
                told = commit
                self.first_succeeded = self.first_succeeded or not self.first.is_set()
                self.first.set()

    def _post(self, commit: str) -> None:
        wanted = self._settings.webhook_success_status
        request = urllib.request.Request(self._settings.webhook_url, method=self._settings.webhook_method)
        request.add_header("Gitsync-Hash", commit)
        try:
            with urllib.request.urlopen(request, timeout=self._settings.webhook_timeout) as response:
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
        if wanted > 0 and status != wanted:
            raise ValueError(f"received response code {status} expected {wanted}")


def serve_health(bind: str, ready: threading.Event) -> None:
    """Answer every GET with 503 before the first sync and 200 after it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if ready.is_set() else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: a probe comes every few seconds."""

    host, _, port = bind.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def add_user() -> None:
    """Give the current user a name, which ssh wants."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        home = os.environ.get("HOME") or os.getcwd()
        with Path("/etc/passwd").open("a") as users:
            users.write(f"git-sync:x:{os.getuid()}:{os.getgid()}::{home}:/sbin/nologin\n")


def run(settings: Settings, log: Log) -> int:
    """Sync for ever, or until there is a reason to exit; return the exit code."""
    os.umask(0o002 if settings.group_write else 0o022)
    Path(settings.root).mkdir(parents=True, exist_ok=True)
    if settings.add_user:
        add_user()
    sync = Sync(settings, Git(settings), log)
    ready = threading.Event()
    if settings.http_bind:
        serve_health(settings.http_bind, ready)
    webhook = Webhook(settings, log) if settings.webhook_url else None
    failures = 0
    while True:
        first = sync.count == 0
        try:
            changed, commit = sync.once()
        except SyncError as error:
            failures += 1
            if 0 <= settings.max_failures <= failures:
                log.error(error, "too many failures, aborting", failCount=failures, maxFailures=settings.max_failures)
                return 1
            log.error(error, "error syncing repo, will retry", failCount=failures)
        else:
            failures = 0
            ready.set()
            log.all_is_well()
            if webhook and (changed or first):
                webhook.send(commit)
            if settings.one_time:
                return _end_after_one(webhook, log)
            if commit == settings.ref:
                log.info("ref appears to be a git hash, no further sync needed", ref=commit)
                threading.Event().wait()
        time.sleep(settings.period)


def _end_after_one(webhook: Webhook | None, log: Log) -> int:
    if webhook:
        webhook.first.wait()
    status = 1 if webhook and not webhook.first_succeeded else 0
    log.info("exiting after one sync", status=status)
    return status


def main() -> int:
    """Read the environment and run; return the exit code."""
    if len(sys.argv) > 1:
        print("this test double takes no arguments: use GITSYNC_*", file=sys.stderr)
        return 1
    try:
        settings = Settings.read(os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    log = Log(Path(settings.root, settings.error_file) if settings.error_file else None)
    log.info("starting up", version=VERSION, pid=os.getpid(), uid=os.getuid(), gid=os.getgid(), home=os.environ.get("HOME", ""))
    try:
        return run(settings, log)
    except (OSError, SyncError, ConfigError) as error:
        log.error(error, "FATAL: can't start")
        return 1


if __name__ == "__main__":
    sys.exit(main())
