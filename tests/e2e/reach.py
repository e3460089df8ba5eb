"""From the host to a Service: `kubectl port-forward`, which works with every provider."""

from __future__ import annotations

import re
import subprocess
import threading
from types import TracebackType
from typing import Self

from tests.e2e.kubectl import Kubectl
from tests.e2e.waiting import until

READY_WITHIN = 30.0


class Reach:
    """A way to one port of a Service, opened at first use and again when its pod has gone."""

    def __init__(self, kubectl: Kubectl, service: str, port: int) -> None:
        """Nothing is opened yet."""
        self._kubectl, self._service, self._port = kubectl, service, port
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._words: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Base URL without a slash at its end; the same as long as the way holds."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._open()
        return self._url

    def close(self) -> None:
        """End kubectl; the next use opens another way."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _open(self) -> None:
        def attempt() -> str:
            self.close()
            self._words = []
            command = self._kubectl.command("port-forward", f"service/{self._service}", f":{self._port}")
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert self._process.stdout is not None
            for line in self._process.stdout:
                self._words.append(line.strip())
                if found := re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", line):
                    # What it says later must be read, or it would block one day.
                    threading.Thread(target=self._process.stdout.read, daemon=True).start()
                    return f"http://127.0.0.1:{found[1]}"
            return ""

        what = f"port-forward to service {self._service}"
        self._url = until(what, attempt, within=READY_WITHIN, saying=lambda: "\n".join(self._words))
