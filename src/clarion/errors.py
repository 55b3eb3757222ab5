"""Everything that Clarion raises on purpose, in one tree.

ClarionError
├── InvalidRequest      400 invalid_request       names the fields
├── Unauthenticated     401 unauthenticated
├── Forbidden           403 forbidden
├── NotFound            404 not_found
├── Conflict            409 conflict
│   └── IdempotencyInProgress  409 idempotency_in_progress
├── TooLarge            413 too_large
├── IdempotencyMismatch 422 idempotency_mismatch
├── RateLimited         429 rate_limited          Retry-After
├── Unavailable         503 unavailable           Retry-After
└── ConfigurationError  at start: a setting is wrong; never an answer to a request
"""

from typing import ClassVar, NamedTuple, Self


class FieldError(NamedTuple):
    """One wrong field: its path (`devices[0].kind`) and what would be right."""

    field: str
    message: str


class ClarionError(Exception):
    """Base of the tree. `code` is stable and public; `status` is its HTTP status."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        retry_after: int | None = None,
        why: str = "",
    ) -> None:
        """`why` is for those who run the server, in logs and at the terminal; no answer to a request tells it."""
        super().__init__(f"{detail}: {why}" if why else detail)
        self.detail = detail
        self.why = why
        self.errors = errors or []
        self.retry_after = retry_after

    @classmethod
    def field(cls, field: str, message: str) -> Self:
        """An error about one field."""
        return cls(f"{field}: {message}", errors=[FieldError(field, message)])


class InvalidRequest(ClarionError):
    """The request is wrong; `errors` says where and what would be right."""

    code = "invalid_request"
    status = 400
    title = "The request is not valid"


class Unauthenticated(ClarionError):
    """No key, a wrong one, or a revoked one."""

    code = "unauthenticated"
    status = 401
    title = "A valid key is needed"


class Forbidden(ClarionError):
    """The key is good but may not do this."""

    code = "forbidden"
    status = 403
    title = "This key may not do that"


class NotFound(ClarionError):
    """There is no such thing in this project."""

    code = "not_found"
    status = 404
    title = "Not found"


class Conflict(ClarionError):
    """The state of the thing does not allow it."""

    code = "conflict"
    status = 409
    title = "Conflict"


class IdempotencyInProgress(Conflict):
    """Another request with the same Idempotency-Key has not ended yet."""

    code = "idempotency_in_progress"
    title = "A request with this Idempotency-Key is in progress"


class TooLarge(ClarionError):
    """The body is larger than this route takes."""

    code = "too_large"
    status = 413
    title = "Too large"


class IdempotencyMismatch(ClarionError):
    """The Idempotency-Key was used with another body."""

    code = "idempotency_mismatch"
    status = 422
    title = "This Idempotency-Key was used with another request"


class RateLimited(ClarionError):
    """Too much at once; `retry_after` seconds."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"


class Unavailable(ClarionError):
    """A part that is needed is not there now; `retry_after` seconds."""

    code = "unavailable"
    status = 503
    title = "Temporarily unavailable"


class ConfigurationError(ClarionError):
    """A setting is wrong; said at start, never answered to a request."""

    code = "configuration"
    title = "A setting is wrong"
