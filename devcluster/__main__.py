"""Command line: `python -m devcluster up`."""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from devcluster import paths, tools
from devcluster.control_plane import run_until_interrupted
from devcluster.errors import DevclusterError
from devcluster.progress import say
from devcluster.providers import provider

_GROUPS = {group.name: group for group in (*tools.GROUPS, tools.OLD_KUBERNETES, tools.KIND)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devcluster", description="Kubernetes for development, tests and the demo.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the cluster up; nothing happens when it is up")
    commands.add_parser("down", help="remove the cluster; only the built binaries stay")
    commands.add_parser("status", help="say what is there")
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    commands.add_parser("env", help="print shell lines that set KUBECONFIG and PATH")
    build = commands.add_parser("build", help="build the tools, or only some groups of them")
    build.add_argument("group", nargs="*", metavar="GROUP", help=f"control-plane, {', '.join(_GROUPS)}")

    load = commands.add_parser("load", help="make images of docker archives known to the cluster")
    load.add_argument("archive", nargs="+", type=Path, metavar="IMAGE.tar")
    commands.add_parser("control-plane", help="run a throwaway etcd and API server until Ctrl-C")
    commands.add_parser("trim", help="remove Go's build cache (some 5 GB), keep the built binaries")
    return parser


def _build(names: list[str]) -> None:
    for name in names or [group.name for group in tools.GROUPS]:
        if name == "control-plane":
            tools.control_plane_binaries()
        elif name in _GROUPS:
            tools.build(_GROUPS[name])
        else:
            raise DevclusterError(f"There is no group '{name}': it can be control-plane, {', '.join(_GROUPS)}.")


def _up() -> None:
    cluster = provider()
    cluster.up()
    say(f"{cluster.status()}\nTry: export KUBECONFIG={cluster.kubeconfig}")


def _print_environment() -> None:
    cluster = provider()
    print(f"export KUBECONFIG={cluster.kubeconfig}\nexport PATH={cluster.kubectl.parent}:$PATH")


def _load(archives: list[Path]) -> None:
    cluster = provider()
    for archive in archives:
        cluster.load_image(archive)


def _run(arguments: argparse.Namespace) -> None:
    commands: dict[str, Callable[[], None]] = {
        "up": _up,
        "down": lambda: provider().down(),
        "status": lambda: print(provider().status()),
        "kubeconfig": lambda: print(provider().kubeconfig),
        "env": _print_environment,
        "build": lambda: _build(arguments.group),
        "load": lambda: _load(arguments.archive),
        "control-plane": run_until_interrupted,
        "trim": lambda: shutil.rmtree(paths.cache() / "go-build", ignore_errors=True),
    }
    commands[arguments.command]()


def main() -> int:
    """Run one command; 2 and one sentence for what a person can put right."""
    try:
        _run(_parser().parse_args())
    except DevclusterError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        # A full disk or a file of another user can meet any step.
        print(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
