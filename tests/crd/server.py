"""kubectl against an API server that knows the CRDs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """An API server on which the CRDs are established."""

    control_plane: ControlPlane

    def kubectl(self, *arguments: str, document: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl; `document` goes to its stdin as JSON."""
        return self.control_plane.kubectl(*arguments, input=None if document is None else json.dumps(document), check=check)

    def apply(self, document: Any, *flags: str) -> subprocess.CompletedProcess[str]:
        """Server-side apply with strict validation; the result tells whether it was refused."""
        return self.kubectl("apply", "--server-side", "--validate=strict", *flags, "-f", "-", document=document, check=False)

    def get(self, *arguments: str) -> Any:
        """An object as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)
