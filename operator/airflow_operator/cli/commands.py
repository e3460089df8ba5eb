"""What each command does."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import version as installed_version
from typing import Any

import yaml

from airflow_operator.cli.errors import CommandError
from airflow_operator.cli.files import documents
from airflow_operator.domain.errors import ReconcileError
from airflow_operator.kube.errors import NotConfigured
from airflow_operator.runtime import login, logs
from airflow_operator.settings import from_environment


def run(arguments: argparse.Namespace) -> int:
    """Run the operator until it is told to stop."""
    from airflow_operator.cli import settings_of
    from airflow_operator.process import Process, serve

    settings = settings_of(arguments, from_environment(os.environ))
    logs.configure(settings.log_format, settings.log_level)
    try:
        # It says in a sentence what is missing; the official client would log and raise as it comes.
        login.require(arguments.kubeconfig, arguments.context)
        serve(Process(settings, arguments.kubeconfig, arguments.context))
    except (login.NoLogin, NotConfigured) as error:
        raise CommandError(str(error)) from None
    return 0


def crds(_: argparse.Namespace) -> int:
    """Print the CRDs."""
    from airflow_operator.crdgen.emit import crd_files

    for name, text in crd_files().items():
        if name != "kustomization.yaml":
            print(f"---\n{text}", end="")
    return 0


def render(arguments: argparse.Namespace) -> int:
    """Print every manifest of the resources in a file."""
    from airflow_operator.reconcile.offline import render as rendered

    try:
        _print(rendered(documents(arguments.file)))
    except ReconcileError as error:
        raise CommandError(error.message) from None
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Print what the pods of the resources in a file hold and may do."""
    from airflow_operator.cli.report import lines
    from airflow_operator.reconcile.offline import render as rendered

    try:
        print("\n".join(lines(rendered(documents(arguments.security)))))
    except ReconcileError as error:
        raise CommandError(error.message) from None
    return 0


def plan(arguments: argparse.Namespace) -> int:
    """Print what would change if a file were applied."""
    from airflow_operator.cli.plan import run

    return run(arguments)


def status(arguments: argparse.Namespace) -> int:
    """Print one resource's state."""
    from airflow_operator.cli.status import run

    return run(arguments)


def version(_: argparse.Namespace) -> int:
    """Print the version."""
    print(installed_version("airflow-operator"))
    return 0


def _print(manifests: list[dict[str, Any]]) -> None:
    yaml.safe_dump_all(manifests, sys.stdout, sort_keys=False, explicit_start=True, width=4096)
