"""Kubernetes for development, tests and the demo: `python -m devcluster up`."""
