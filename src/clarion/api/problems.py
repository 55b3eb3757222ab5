"""Every error as a problem document (RFC 9457), and a page for each kind to read about it."""

import logging
from typing import Any, NoReturn

import msgspec
from litestar.exceptions import HTTPException

from clarion.api.decoding import plainly
from clarion.api.http import PLAIN_HEADERS, Answer, Header, MethodNotAllowed, UnsupportedMediaType
from clarion.errors import (
    ClarionError,
    Conflict,
    FieldError,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InvalidRequest,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

log = logging.getLogger(__name__)

PROBLEM_TYPE = b"application/problem+json"
KINDS: dict[str, type[ClarionError]] = {
    kind.code: kind
    for kind in (
        InvalidRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        IdempotencyInProgress,
        TooLarge,
        UnsupportedMediaType,
        IdempotencyMismatch,
        RateLimited,
        ClarionError,
        Unavailable,
    )
}
"""All kinds of problems by code."""

RETRY_AFTER_S = 5
_UNEXPECTED = ClarionError("something went wrong on our side; it is in the server's log")


class ProblemField(msgspec.Struct, frozen=True):
    """A field and what would be right."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, with our stable `code` and the fields."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ProblemField]


class Problems:
    """Makes problem documents; their `type` is a page of ours under `origin`."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def answer(self, error: Exception) -> Answer:
        """The answer for anything that was raised. What nobody foresaw is logged, and says nothing about us."""
        known = self._known(error)
        document = Problem(
            type=f"{self._origin}/errors/{known.code}",
            title=known.title,
            status=known.status,
            code=known.code,
            detail=known.detail,
            errors=[ProblemField(field, message) for field, message in known.errors],
        )
        return Answer(known.status, msgspec.json.encode(document), (*_HEADERS, *_more_headers(known)))

    def _known(self, error: Exception) -> ClarionError:
        if isinstance(error, ClarionError):
            return error
        if isinstance(error, HTTPException):
            return _of_framework(error)
        log.error("unexpected error while answering a request", exc_info=error)
        return _UNEXPECTED


_HEADERS = ((b"content-type", PROBLEM_TYPE), *PLAIN_HEADERS)


def _more_headers(error: ClarionError) -> list[Header]:
    headers = []
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer realm="clarion"'))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, RateLimited | Unavailable | IdempotencyInProgress):
        headers.append((b"retry-after", str(error.retry_after or RETRY_AFTER_S).encode()))
    return headers


def _of_framework(error: HTTPException) -> ClarionError:
    """Litestar's own refusals: routing, and parameters in path and query."""
    match error.status_code:
        case 404:
            return NotFound("there is nothing at this path")
        case 405:
            return MethodNotAllowed(_allowed((error.headers or {}).get("allow", "")))
        case 400:
            errors = [FieldError(*_parameter(item)) for item in error.extra or [] if isinstance(item, dict)]
            words = "; ".join(f"{field}: {message}" for field, message in errors)
            return InvalidRequest(words or error.detail, errors=errors)
        case _:
            log.error("unexpected refusal of the framework", exc_info=error)
            return _UNEXPECTED


def _allowed(told: str) -> str:
    """The methods of a path; whoever answers GET answers HEAD, which the framework does not know of."""
    methods = set(told.split(", ")) - {"OPTIONS"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _parameter(item: dict[str, Any]) -> tuple[str, str]:
    return str(item.get("key", "")), plainly(str(item.get("message", "is not valid")))


def not_found(what: str = "such thing in this project") -> NoReturn:
    """For ids of another project and ids of nobody alike: they cannot be told apart."""
    raise NotFound(f"there is no {what}")
