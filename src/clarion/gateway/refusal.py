"""Why our push endpoint refuses a request: status, errno and words, in the form that autopush made known."""

from enum import IntEnum
from http import HTTPStatus

import msgspec

from clarion.errors import RateLimited
from clarion.gateway import metrics
from clarion.ports import HttpResponse

_MORE_INFO = "https://autopush.readthedocs.io/en/latest/http.html#error-codes"
_RETRY_AFTER_S = 30
_GONE_MAX_AGE_S = 86_400


class Errno(IntEnum):
    """Number of the reason; stable, senders branch on it."""

    NO_TOKEN = 102
    TOO_LARGE = 104
    NO_USER = 105
    NO_CHANNEL = 106
    VAPID = 109
    ENCRYPTION = 110
    NO_TTL = 111
    TOPIC = 113
    NEGATIVE_TTL = 114
    NOT_STORED = 201


_STATUS = {
    Errno.NO_TOKEN: HTTPStatus.NOT_FOUND,
    Errno.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Errno.NO_USER: HTTPStatus.GONE,
    Errno.NO_CHANNEL: HTTPStatus.GONE,
    Errno.VAPID: HTTPStatus.UNAUTHORIZED,
    Errno.ENCRYPTION: HTTPStatus.BAD_REQUEST,
    Errno.NO_TTL: HTTPStatus.BAD_REQUEST,
    Errno.TOPIC: HTTPStatus.BAD_REQUEST,
    Errno.NEGATIVE_TTL: HTTPStatus.BAD_REQUEST,
    Errno.NOT_STORED: HTTPStatus.SERVICE_UNAVAILABLE,
}


class _Body(msgspec.Struct, frozen=True):
    code: int
    errno: int | None
    error: str
    message: str
    more_info: str


class Refused(Exception):
    """The request is not valid. Without an errno the status is given: no number is known for that reason."""

    def __init__(self, errno: Errno | None, message: str, status: HTTPStatus | None = None) -> None:
        super().__init__(message)
        self.errno = errno
        self.message = message
        self.status = status or (_STATUS[errno] if errno else HTTPStatus.BAD_REQUEST)
        self.headers: dict[str, str] = {}


def not_stored(retry_after: int | None) -> Refused:
    """The store is away."""
    refused = Refused(Errno.NOT_STORED, "the message could not be stored; send it again")
    refused.headers["retry-after"] = str(retry_after or _RETRY_AFTER_S)
    return refused


def too_often(limited: RateLimited) -> Refused:
    """RFC 8030 section 8.4. Mozilla's push service has no number for it."""
    refused = Refused(None, limited.detail, HTTPStatus.TOO_MANY_REQUESTS)
    refused.headers["retry-after"] = str(limited.retry_after)
    return refused


def answer(refused: Refused) -> HttpResponse:
    """The refusal as a response, counted."""
    metrics.REFUSED.labels(0 if refused.errno is None else refused.errno.value).inc()
    status = refused.status
    headers = {"content-type": "application/json", **refused.headers}
    if status is HTTPStatus.GONE:
        headers["cache-control"] = f"max-age={_GONE_MAX_AGE_S}"
    elif status is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "vapid"
    body = _Body(status.value, refused.errno, status.phrase, refused.message, _MORE_INFO)
    return HttpResponse(status.value, headers, msgspec.json.encode(body))
