"""The control plane, namespaces and hands of the integration tests."""

from __future__ import annotations

from tests.integration.conftest import admin, audit, control_plane, kube, namespace, our_kinds, player, rights, stage  # noqa: F401
