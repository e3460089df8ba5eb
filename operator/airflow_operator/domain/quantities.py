"""Kubernetes quantities."""

from __future__ import annotations

import re
from decimal import Decimal

QUANTITY = r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?$"
"""What the API server takes for a quantity; RE2 and Python."""

_UNITS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), start=-3)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity such as `500m` or `10Gi` as a number; ValueError for anything else."""
    found = re.fullmatch(QUANTITY, text)
    if not found:
        raise ValueError(f"{text!r} is not a quantity")
    suffix = found.group(2) or ""
    number = text[: len(text) - len(suffix)] if suffix else text
    return Decimal(number + suffix) if suffix[:1] in ("e", "E") and suffix[1:] else Decimal(number) * _UNITS[suffix]
