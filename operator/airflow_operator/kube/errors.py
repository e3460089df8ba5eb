"""What the API server can refuse, by the reason of its Status object."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal: HTTP `status`, the Status object's `reason` and `message`."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(ApiError):
    """404: the object, its namespace or its kind does not exist."""


class AlreadyExists(ApiError):
    """409 AlreadyExists."""


class Conflict(ApiError):
    """409 Conflict: a precondition or resourceVersion no longer holds."""


class Invalid(ApiError):
    """422, 400, or the 500 'field not declared in schema' of server-side apply: the object itself is refused."""


class Forbidden(ApiError):
    """403: RBAC, quota, Pod Security, a terminating namespace or an admission webhook."""


class Expired(ApiError):
    """410: the place in a list or a watch is forgotten; start anew."""


class Unavailable(ApiError):
    """401, 429, 5xx, or no answer at all (status 0): worth another try."""


class NotConfigured(Exception):
    """Neither a kubeconfig nor a pod's service account says where the API server is."""
