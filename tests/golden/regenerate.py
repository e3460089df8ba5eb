"""Write the kept manifests anew: `python -m tests.golden.regenerate`."""

from __future__ import annotations

from tests.golden.rendering import KEPT, NAMES, text


def main() -> None:
    """Write one file a sample, and remove those without one."""
    for stale in {path.stem for path in KEPT.glob("*.yaml")} - set(NAMES):
        (KEPT / f"{stale}.yaml").unlink()
    for name in NAMES:
        (KEPT / f"{name}.yaml").write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
