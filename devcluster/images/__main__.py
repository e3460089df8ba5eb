"""Command line: build images, or list what is known and what is built."""

import argparse
import sys

from devcluster.errors import DevclusterError
from devcluster.images.builder import archive, build
from devcluster.images.catalog import DEFAULT, IMAGES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devcluster.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print every image: name, tag, archive or -")
    building = commands.add_parser("build", help="build what is missing and print name and archive of each")
    building.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(DEFAULT)}")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code (2: the user must act)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "build":
            for name, path in build(options.names).items():
                print(f"{name}\t{path}")
        else:
            for image in IMAGES.values():
                path = archive(image)
                print(f"{image.name}\t{image.tag}\t{path if path.exists() else '-'}")
    except DevclusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
