"""One batch on its way: which of its requests are still to be sent, and what the others were answered."""

import asyncio
import re
from typing import Final

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2.headers_out import LENGTHS, Headers

MOST_TRIES: Final = 5
"""So often a request is sent of which the peer says that it did not look at it (RFC 9113 §8.7)."""
_LONGEST: Final = len(LENGTHS)
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2, in lower case
_GOOD_NAMES: Final[set[str]] = set()
"""Those seen before, so that they are not looked at again."""
_MOST_NAMES: Final = 1_024
_OF_CONNECTIONS: Final = frozenset(
    {"connection", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)


class Call:
    """A batch and its answers. `pending` holds the numbers of unsent requests, the next one last."""

    __slots__ = ("_left", "_tries", "answers", "batch", "begun", "done", "pending", "requests")

    def __init__(self, batch: HttpBatch, done: asyncio.Future[None], begun: float = 0.0) -> None:
        """`begun`: when it was handed over, in the loop's time."""
        self.batch = batch
        self.begun = begun
        self.requests = batch.requests
        self.done = done
        self.answers: list[HttpResponse | None] = [None] * len(batch.requests)
        self.pending = list(range(len(batch.requests) - 1, -1, -1))
        self._left = len(batch.requests)
        self._tries: dict[int, int] = {}

    def take(self, most: int) -> list[int]:
        """Numbers of requests to send now. What cannot be sent is answered here."""
        taken = self.pending[-most:]
        del self.pending[-most:]
        taken.reverse()
        requests = self.requests
        bad = [number for number in taken if not _is_sendable(requests[number])]
        for number in bad:
            taken.remove(number)
            self.answer(number, _refusal(requests[number]))
        return taken

    def answer(self, number: int, response: HttpResponse) -> None:
        """The one answer of this request."""
        self.answers[number] = response
        self.answered(1)

    def answered(self, count: int) -> None:
        """So many more have their place in `answers` filled."""
        self._left -= count
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def give_back(self, number: int, reason: str, *, counts: bool) -> None:
        """The peer did not look at this request: it may be sent again. `counts`: as one of its tries."""
        tries = self._tries[number] = self._tries.get(number, 1) + counts
        if tries > MOST_TRIES or self.done.cancelled():
            self.answer(number, HttpResponse(0, error=reason))
        else:
            self.pending.append(number)

    def give_up(self, reason: str) -> None:
        """Nothing that is still unsent will be."""
        while self.pending:
            self.answer(self.pending.pop(), HttpResponse(0, error=reason))


def _is_name(name: str) -> bool:
    """A header that a request may have (RFC 9113 §8.2.1, §8.2.2)."""
    good = _NAME.fullmatch(name) is not None and name not in _OF_CONNECTIONS
    if good and len(_GOOD_NAMES) < _MOST_NAMES:
        _GOOD_NAMES.add(name)
    return good


def _is_sendable(request: BatchRequest) -> bool:
    path = request.path
    if not (path.isascii() and path.isprintable() and path[:1] == "/" and len(path) < _LONGEST):
        return False
    if " " in path or "#" in path:
        return False
    for name, value in request.headers:
        if not (value.isascii() and value.isprintable() and len(value) < _LONGEST):
            return False
        if name not in _GOOD_NAMES and not _is_name(name):
            return False
    return True


def _refusal(request: BatchRequest) -> HttpResponse:
    if request.path[:1] != "/" or " " in request.path or "#" in request.path:
        return HttpResponse(0, error="refused: the path must begin with / and hold no space and no fragment")
    return HttpResponse(0, error=f"refused: {why_unsendable((('path', request.path), *request.headers))}")


def why_unsendable(headers: Headers) -> str | None:
    """What is wrong with headers that cannot be sent; None when nothing is."""
    for name, value in headers:
        if not _is_name(name):
            return f"{name!r} is no name of a request header in lower case"
        if len(value) >= _LONGEST:
            return f"{name} has {len(value)} characters, and may have {_LONGEST - 1}"
        if not (value.isascii() and value.isprintable()):
            return f"{name} holds a character that is not printable ASCII"
    return None
