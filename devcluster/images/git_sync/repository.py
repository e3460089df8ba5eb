"""git below the root directory of git-sync: fetch, one worktree for each commit, a link that is flipped at once."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path

from devcluster.images.git_sync.contract import Log, Settings, SyncError
from devcluster.images.git_sync.github_app import App


class Git:
    """git with a configuration of its own, one deadline for each sync, and credentials that are read anew each time."""

    def __init__(self, settings: Settings) -> None:
        """Write the private configuration below $TMPDIR."""
        self._settings = settings
        descriptor, config = tempfile.mkstemp(prefix="git-sync.gitconfig.")
        os.close(descriptor)
        hosts = "-o StrictHostKeyChecking=no"
        if settings.ssh_known_hosts:
            hosts = f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={settings.ssh_known_hosts_file}"
        keys = " ".join(f"-i {path}" for path in settings.ssh_key_file.split(":"))
        self._environment = os.environ | {
            "GIT_CONFIG_GLOBAL": config,
            "GIT_CONFIG_NOSYSTEM": "true",
            "GIT_SSH_COMMAND": f"ssh {keys} {hosts}",
        }
        self.deadline = time.monotonic() + settings.sync_timeout
        self._app = App(settings) if settings.github_app_private_key_file else None
        own = {"gc.autoDetach": "false", "core.askPass": "true", "safe.directory": "*"}
        for key, value in {**own, **settings.git_options()}.items():
            self("config", "--global", key, value)
        self._offer_credentials()

    def _offer_credentials(self) -> None:
        """Let git ask us for the password of the repository's host; the secret stays in the environment of git alone."""
        url = urllib.parse.urlsplit(self._settings.repo)
        if url.scheme in ("http", "https") and url.username:
            self._settings.username = urllib.parse.unquote(url.username)
            self._settings.password = urllib.parse.unquote(url.password or "")
            url = url._replace(netloc=url.netloc.rpartition("@")[2])
            self._settings.repo = url.geturl()
        if self._settings.username or self._app:
            helper = """!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$DOUBLE_USERNAME" "$DOUBLE_PASSWORD"; }; f"""
            self("config", "--global", f"credential.{url.scheme}://{url.netloc}.helper", helper)

    def refresh_credentials(self) -> None:
        """Read the password again, so that a rotated Secret needs no restart."""
        username, password = self._settings.username, self._settings.password
        if self._app:
            username, password = "-", self._app.token()
        if self._settings.password_file:
            try:
                password = Path(self._settings.password_file).read_text().rstrip("\n")
            except OSError as error:
                raise SyncError(f"credential refresh failed: can't read password file: {error}") from None
        self._environment |= {"DOUBLE_USERNAME": username, "DOUBLE_PASSWORD": password}

    def __call__(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git and return its output; SyncError holds git's own words."""
        command = f"git {' '.join(json.dumps(part) if ' ' in part else part for part in arguments)}"
        process = subprocess.Popen(
            ["git", *arguments],
            cwd=cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=max(0.0, self.deadline - time.monotonic()))
            failure = f"exit status {process.returncode}" if process.returncode else ""
        except subprocess.TimeoutExpired:
            # git's transport is a process of its own that would keep the pipes open.
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            failure = "context deadline exceeded"
        if failure:
            raise SyncError(f"Run({command}): {failure}: {{ stdout: {json.dumps(stdout)}, stderr: {json.dumps(stderr.strip())} }}")
        return stdout.strip()


class Sync:
    """The checkout below the root: one worktree for each commit, and a link that is flipped at once."""

    def __init__(self, settings: Settings, git: Git, log: Log) -> None:
        """Publish `settings.ref` at `settings.link`."""
        self._settings, self._git, self._log = settings, git, log
        self._root = Path(settings.root).resolve()
        name = settings.link or settings.repo.strip("/").rpartition("/")[2]
        self._link = self._root / name
        self.count = 0

    def _current(self) -> Path | None:
        return (self._link.parent / self._link.readlink()) if self._link.is_symlink() else None

    def _usable(self) -> bool:
        try:
            return Path(self._git("rev-parse", "--show-toplevel", cwd=self._root)) == self._root
        except SyncError:
            return False

    def _prepare(self) -> None:
        if self._usable():
            return
        self._log.info("repo directory was empty or failed checks", path=str(self._root))
        for path in self._root.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self._git("init", "-b", "git-sync", cwd=self._root)

    def _fetch(self) -> str:
        depth = ["--depth", str(self._settings.depth)] if self._settings.depth else []
        options = ["--verbose", "--no-progress", "--prune", "--no-auto-gc", *depth]
        self._git("fetch", self._settings.repo, self._settings.ref, *options, cwd=self._root)
        return self._git("rev-parse", "FETCH_HEAD^{}", cwd=self._root)

    def _check_out(self, commit: str) -> Path:
        tree = self._root / ".worktrees" / commit
        shutil.rmtree(tree, ignore_errors=True)
        self._git("worktree", "add", "--force", "--detach", str(tree), commit, "--no-checkout", cwd=self._root)
        # Relative, since other containers mount the volume elsewhere.
        (tree / ".git").write_text(f"gitdir: ../../.git/worktrees/{commit}\n")
        self._git("reset", "--hard", commit, "--", cwd=tree)
        if self._settings.submodules != "off":
            recursive = ["--recursive"] if self._settings.submodules == "recursive" else []
            depth = ["--depth", str(self._settings.depth)] if self._settings.depth else []
            self._git("submodule", "update", "--init", *recursive, *depth, cwd=tree)
        return tree

    def _publish(self, tree: Path) -> None:
        self._link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._link.with_name("tmp-link")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(tree, self._link.parent))
        fresh.replace(self._link)

    def _clean_up(self, current: Path) -> None:
        stale = [path for path in current.parent.iterdir() if path != current]
        if not stale:
            return
        for path in stale:
            shutil.rmtree(path)
        self._git("worktree", "prune", cwd=self._root)
        self._git("reflog", "expire", "--expire-unreachable=all", "--all", cwd=self._root)
        self._git("gc", "--quiet", "--prune=now", cwd=self._root)

    def once(self) -> tuple[bool, str]:
        """Bring the link to the remote's commit; return whether it changed, and the commit."""
        self._git.deadline = time.monotonic() + self._settings.sync_timeout
        try:
            return self._once()
        except OSError as error:
            raise SyncError(str(error)) from error

    def _once(self) -> tuple[bool, str]:
        self._git.refresh_credentials()
        self._prepare()
        commit = self._fetch()
        current = self._current()
        changed = current is None or current.name != commit or not (current / ".git").exists()
        if changed:
            local = current.name if current else ""
            self._log.info("update required", ref=self._settings.ref, local=local, remote=commit, syncCount=self.count)
            self._git("reset", "--soft", commit, cwd=self._root)
            self._publish(self._check_out(commit))
            self._log.info("updated successfully", ref=self._settings.ref, remote=commit, syncCount=self.count + 1)
        self.count += 1
        with suppress(SyncError):
            self._clean_up(self._root / ".worktrees" / commit)
        return changed, commit
