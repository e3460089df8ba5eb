"""Git repositories over smart HTTP and SSH, with credentials that may change while it runs. For tests: no limits.

Settings: GIT_REPOS and GIT_USERNAME (names, separated by spaces; all users have one password), GIT_PASSWORD or GIT_PASSWORD_FILE (read at
each request; neither: open to all), GIT_AUTHORIZED_KEYS_FILE (switches SSH on), GIT_HOST_KEY_FILE, GIT_TLS_CERT_FILE and GIT_TLS_KEY_FILE
(switch HTTPS on), GIT_ROOT, GIT_SEED, GIT_PORT, GIT_SSH_PORT, GIT_TLS_PORT.
`/healthz` and `/host-key` answer without a password.
"""

import base64
import hmac
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# Run without a home directory and without anybody's settings.
_GIT = os.environ | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "seed",
    "GIT_AUTHOR_EMAIL": "seed@example.com",
    "GIT_COMMITTER_NAME": "seed",
    "GIT_COMMITTER_EMAIL": "seed@example.com",
}
_BLOCK = 1 << 16


def git(*arguments: str | Path) -> None:
    """Run git; its own words go to stderr."""
    subprocess.run(["git", *map(str, arguments)], env=_GIT, stdout=subprocess.DEVNULL, check=True)


def make_repository(root: Path, name: str, seed: Path) -> None:
    """Make a bare repository unless it is there, with one commit on main of what lies in `seed`."""
    bare = root / name
    if (bare / "HEAD").exists():
        return
    git("init", "--quiet", "--bare", "--initial-branch=main", bare)
    # For shallow fetches by commit, and for pushes that rewrite history in tests.
    git("--git-dir", bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    if not seed.is_dir():
        return
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        tree = Path(scratch) / "tree"
        # A mounted ConfigMap shows each file as a link into a hidden directory.
        shutil.copytree(seed, tree, ignore=shutil.ignore_patterns("..*"), copy_function=shutil.copyfile)
        git("-C", tree, "init", "--quiet", "--initial-branch=main")
        git("-C", tree, "add", "--all")
        git("-C", tree, "commit", "--quiet", "--allow-empty", "--message", "seed")
        git("-C", tree, "push", "--quiet", bare, "main")


def start_ssh(root: Path, authorized_keys: str) -> Path:
    """Start sshd beside us and return the file of its public host key."""
    key = root / "host_key"
    if given := os.environ.get("GIT_HOST_KEY_FILE"):
        # A copy of our own: sshd refuses a key that others may read, as mounted Secrets often are.
        key.write_bytes(Path(given).read_bytes())
        key.chmod(0o600)
        public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
        key.with_suffix(".pub").write_text(public)
    elif not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "git-server", "-f", key], check=True)
    config = root / "sshd_config"
    lines = (
        f"Port {os.environ.get('GIT_SSH_PORT', '2222')}",
        f"HostKey {key}",
        f"AuthorizedKeysFile {authorized_keys}",
        "AuthenticationMethods publickey",
        "AllowTcpForwarding no",
        "PermitTTY no",
        "PidFile none",
        # The keys lie in a volume that belongs to root.
        "StrictModes no",
    )
    config.write_text("\n".join(lines) + "\n")
    subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config])
    return key.with_suffix(".pub")


def password() -> str:
    """The password of this moment; "" lets everybody in."""
    file = os.environ.get("GIT_PASSWORD_FILE")
    return Path(file).read_text().strip() if file else os.environ.get("GIT_PASSWORD", "")


class Handler(http.server.BaseHTTPRequestHandler):
    """Checks the password and hands the request to `git http-backend`, a CGI program."""

    root: Path
    host_key: Path | None = None
    protocol_version = "HTTP/1.1"
    server_version = "git-server"

    def do_GET(self) -> None:
        """Serve what git fetches, and the health probe."""
        if self.path == "/healthz":
            self._plain(200, "ok\n")
        elif self.path == "/host-key" and self.host_key:
            self._plain(200, self.host_key.read_text())
        else:
            self._serve()

    def do_POST(self) -> None:
        """Serve the second half of a fetch or a push."""
        self._serve()

    def _plain(self, status: int, text: str, **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _user(self) -> str | None:
        """Name of the caller, or None when the credentials are wrong."""
        wanted = password()
        if not wanted:
            return "anonymous"
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        given = base64.b64decode(encoded).decode(errors="replace") if scheme.lower() == "basic" else ""
        user, _, guess = given.partition(":")
        known = user in os.environ.get("GIT_USERNAME", "git").split()
        return user if hmac.compare_digest(guess.encode(), wanted.encode()) and known else None

    def _serve(self) -> None:
        # The body must be read in any case, or the next request on this connection starts in its middle.
        with tempfile.TemporaryFile(dir=self.root) as body:
            for block in self._body():
                body.write(block)
            body.seek(0)
            user = self._user()
            if user is None:
                self._plain(401, "wrong user or password\n", WWW_Authenticate='Basic realm="git"')
            else:
                self._backend(user, body)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            block = self.rfile.read(min(left, _BLOCK))
            if not block:
                return
            left -= len(block)
            yield block

    def _backend(self, user: str, body: IO[bytes]) -> None:
        path, _, query = self.path.partition("?")
        environment = _GIT | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": user,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": urllib.parse.unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(os.fstat(body.fileno()).st_size),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        answer = subprocess.run(["git", "http-backend"], stdin=body, env=environment, stdout=subprocess.PIPE, check=False).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().splitlines() if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200 if headers else 500)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def start_tls(certificate: str) -> None:
    """Serve the same over HTTPS, in threads of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, os.environ["GIT_TLS_KEY_FILE"])
    server = http.server.ThreadingHTTPServer(("", int(os.environ.get("GIT_TLS_PORT", "8443"))), Handler)
    # The handshake comes with the first read, in the connection's own thread: a client that stays silent blocks nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> int:
    """Make the repositories and serve them."""
    root = Path(os.environ.get("GIT_ROOT", "/srv/git"))
    root.mkdir(parents=True, exist_ok=True)
    seeds = Path(os.environ.get("GIT_SEED", "/seed"))
    for name in os.environ.get("GIT_REPOS", "dags.git").split():
        make_repository(root, name, seeds / name)
    Handler.root = root
    if authorized_keys := os.environ.get("GIT_AUTHORIZED_KEYS_FILE"):
        Handler.host_key = start_ssh(root, authorized_keys)
    if certificate := os.environ.get("GIT_TLS_CERT_FILE"):
        start_tls(certificate)
    server = http.server.ThreadingHTTPServer(("", int(os.environ.get("GIT_PORT", "8080"))), Handler)
    print(f"serving {root} on port {server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
