"""The command line: run the operator, and look at resources with and without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from airflow_operator.cli import cluster, commands
from airflow_operator.cli.errors import CommandError
from airflow_operator.settings import InvalidSetting, Settings, explained, parse, variable


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code: 0, 1 for a failure, 2 for wrong usage, more where the command says so."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except CommandError as error:
        print(f"airflow-operator: {error}", file=sys.stderr)
        return 1
    except InvalidSetting as error:
        print(f"airflow-operator: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(prog="airflow-operator", description="Keeps Apache Airflow deployments in their declared state.")
    subs = top.add_subparsers(required=True, metavar="COMMAND")

    run = subs.add_parser("run", help="run the operator", description="Run the operator until SIGTERM.")
    run.set_defaults(command=commands.run)
    run.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's service account, else what kubectl would use")
    run.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    texts = explained()
    for field in fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        run.add_argument(
            flag,
            dest=field.name,
            metavar="VALUE",
            help=f"{texts[field.name]} Default: {variable(field.name)}, else {shown(field.default)}.",
        )

    _add_offline(subs)

    plan = subs.add_parser(
        "plan",
        help="print what would change if a file were applied",
        description="Print, object by object, what would change if FILE were applied. Nothing is written. "
        "Exit code 0: it would be carried out; 1: it is refused, or the cluster cannot be asked; 3: it would be accepted and wait.",
    )
    plan.set_defaults(command=commands.plan)
    plan.add_argument("file", metavar="FILE", help="YAML of AirflowClusters and AirflowBases; - for standard input")
    plan.add_argument(
        "--operator-namespace", metavar="NAMESPACE", default="airflow-operator", help="where the operator runs (default: %(default)s)"
    )
    cluster.add_arguments(plan)

    status = subs.add_parser(
        "status",
        help="print the state of a resource, and what to do next",
        description="Print the state of an AirflowCluster (NAME) or AirflowBase (afb/NAME). "
        "Exit code 0: ready; 1: it cannot be asked or does not exist; 3: on its way; 4: something is wrong.",
    )
    status.set_defaults(command=commands.status)
    status.add_argument("name", metavar="NAME", help="name of an AirflowCluster; afb/NAME for an AirflowBase")
    cluster.add_arguments(status)

    version = subs.add_parser("version", help="print the operator's version", description="Print the operator's version.")
    version.set_defaults(command=commands.version)
    return top


def _add_offline(subs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands that need no cluster."""
    crds = subs.add_parser("crds", help="print the CustomResourceDefinitions", description="Print the CRDs as YAML.")
    crds.set_defaults(command=commands.crds)

    render = subs.add_parser(
        "render",
        help="print every manifest of a resource",
        description="Print as YAML what the operator would make of the resources in FILE, without a cluster and without secrets.",
    )
    render.set_defaults(command=commands.render)
    render.add_argument("file", metavar="FILE", help="YAML of AirflowClusters and their AirflowBases; - for standard input")

    report = subs.add_parser(
        "report",
        help="print what an approver asks about a file",
        description="Print, pod by pod, what the resources of a file hold and may do, without a cluster: "
        "Pod Security level, images, identity, rights, Secrets, and the addresses that their settings name.",
    )
    report.set_defaults(command=commands.report)
    report.add_argument(
        "--security", metavar="FILE", required=True, help="YAML of AirflowClusters and their AirflowBases; - for standard input"
    )


def settings_of(arguments: argparse.Namespace, base: Settings) -> Settings:
    """The settings with the flags that were given."""
    given = {field.name: getattr(arguments, field.name) for field in fields(Settings)}
    return base.with_changes({name: parse(name, text) for name, text in given.items() if text is not None})


def shown(value: object) -> str:
    """A default as a person writes it."""
    if value in ((), ""):
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
