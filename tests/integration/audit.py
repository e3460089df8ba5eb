"""Who asked the API server for what, from its audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devcluster.control_plane import ControlPlane

READS = ("get", "list", "watch")


@dataclass
class Audit:
    """Requests since it was made, or since the last `reset`, from the API server's audit log."""

    control_plane: ControlPlane
    namespace: str
    client: str = "airflow-operator"
    """Beginning of the user agent whose requests count."""
    _skip: int = 0

    def __post_init__(self) -> None:
        """Count from here on: a session's log grows long."""
        self.reset()

    def reset(self) -> None:
        """Count from here on."""
        self._skip = len(self.control_plane.audit())

    def requests(self, *, client: str | None = None) -> list[str]:
        """`VERB PLURAL/NAME` of each request in the namespace, oldest first; a dry run says so."""
        return [
            f"{entry['verb']} {entry['objectRef']['resource']}{_suffix(entry)}"
            for entry in self.control_plane.audit(self._skip)
            if entry.get("objectRef", {}).get("namespace") == self.namespace
            and entry.get("userAgent", "").startswith(client or self.client)
        ]

    def writes(self, *, client: str | None = None) -> list[str]:
        """The same without reads."""
        return [request for request in self.requests(client=client) if request.split()[0] not in READS]


def _suffix(entry: dict[str, Any]) -> str:
    reference = entry["objectRef"]
    parts = [part for part in (reference.get("name"), reference.get("subresource")) if part]
    dry = " (dry run)" if "dryRun=All" in str(entry["requestURI"]) else ""
    return "".join(f"/{part}" for part in parts) + dry
