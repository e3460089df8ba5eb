"""What the commands that speak to a cluster share: how they reach it, and what they say when they cannot."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_operator.cli.errors import CommandError
from airflow_operator.kube.errors import ApiError, NotConfigured
from airflow_operator.runtime import login

if TYPE_CHECKING:
    from airflow_operator.kube.protocol import Kube
    from airflow_operator.runtime.context import Context
    from airflow_operator.settings import Settings

USER_AGENT = "airflow-operator-cli"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options by which a cluster is chosen, as kubectl calls them."""
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="default: that of the kubeconfig's context")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's service account, else what kubectl would use")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig")


def ask(arguments: argparse.Namespace, question: Callable[[Kube, str], Awaitable[int]]) -> int:
    """Run a question with a client and the namespace to look in; CommandError where the cluster cannot be asked."""
    from airflow_operator.kube.client import connect

    async def asked(namespace: str) -> int:
        async with connect(arguments.kubeconfig, arguments.context, user_agent=USER_AGENT) as kube:
            return await question(kube, namespace)

    try:
        namespace = arguments.namespace or login.namespace_of(arguments.kubeconfig, arguments.context)
        return asyncio.run(asked(namespace))
    except (login.NoLogin, NotConfigured) as error:
        raise CommandError(str(error)) from None
    except ApiError as error:
        raise CommandError(f"The API server refuses: {error.message}") from None


def context(kube: Kube, settings: Settings) -> Context:
    """The outer world of a reconciliation that only looks."""
    from airflow_operator.runtime.context import Context, utc_now
    from airflow_operator.runtime.events import Events
    from airflow_operator.runtime.gitsync import GitSyncNews
    from airflow_operator.runtime.health import NoHealthProbe
    from airflow_operator.runtime.health_turns import HealthTurns
    from airflow_operator.runtime.wakeups import References

    return Context(
        kube=kube,
        settings=replace(settings, health_probe=False),
        health=HealthTurns(NoHealthProbe(), lambda _: None),
        news=GitSyncNews(),
        references=References(),
        events=Events(kube, utc_now),
    )
