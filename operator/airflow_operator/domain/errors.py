"""What can go wrong in a reconciliation, and what each kind of it means for the loop."""

from __future__ import annotations


class ReconcileError(Exception):
    """Base of every expected failure: a reason (CamelCase, for the condition) and a sentence for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class InvalidSpec(ReconcileError):
    """The spec cannot be honoured: nothing is written, what runs stays; waits for a change of the spec."""


class Waiting(ReconcileError):
    """Something that others provide is not there yet: waits for it, heals by itself."""

    def __init__(self, reason: str, message: str, again: float | None = None) -> None:
        """`again`: seconds after which to look again, where nothing would tell."""
        super().__init__(reason, message)
        self.again = again
