"""Removes task logs that are older than a retention. Usage: log_retention.py DIRECTORY SECONDS.

A log that grows is never old. Folders go once they are empty and old too. What another process removes meanwhile is no fault.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> int:
    """Clean once; exit code 1 when something could not be removed."""
    removed, kept, failed = clean(sys.argv[1], time.time() - float(sys.argv[2]))
    print(json.dumps({"removed": removed, "kept": kept, "failed": failed}))
    return 1 if failed else 0


def clean(directory: str, before: float) -> tuple[int, int, int]:
    """How many files were removed, how many are younger than `before`, and how many could not be removed."""
    removed = kept = failed = 0
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if os.lstat(path).st_mtime >= before:
                    kept += 1
                    continue
                os.unlink(path)
                removed += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                failed += 1
                print(f"{path}: {error}", file=sys.stderr)
        if folder != directory:
            _remove_empty(folder, before)
    return removed, kept, failed


def _remove_empty(folder: str, before: float) -> None:
    try:
        if os.lstat(folder).st_mtime < before:
            os.rmdir(folder)
    except OSError:
        # Not empty, or somebody writes into it just now.
        return


if __name__ == "__main__":
    sys.exit(main())
