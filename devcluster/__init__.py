"""Kubernetes for development, tests and the demo: `python -m devcluster up`, or `devcluster.provider().up()`."""

from devcluster.errors import DevclusterError
from devcluster.providers import Provider, provider

__all__ = ["DevclusterError", "Provider", "provider"]
