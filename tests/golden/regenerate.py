"""Write the kept manifests anew: `python -m tests.golden.regenerate`."""

from __future__ import annotations

from tests.golden.rendering import KEPT, NAMES, REPORTS, report, text


def main() -> None:
    """Write the files of every sample, and remove those without one."""
    REPORTS.mkdir(exist_ok=True)
    for path in [*KEPT.glob("*.yaml"), *REPORTS.glob("*.txt")]:
        if path.stem not in NAMES:
            path.unlink()
    for name in NAMES:
        (KEPT / f"{name}.yaml").write_text(text(name), encoding="utf-8")
        (REPORTS / f"{name}.txt").write_text(report(name), encoding="utf-8")


if __name__ == "__main__":
    main()
