"""One batch on its way: which of its requests are still to be sent, and what the others were answered."""

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2.headers_out import LENGTHS, Column, Headers

MOST_TRIES: Final = 5
"""So often a request is sent of which the peer says that it did not look at it (RFC 9113 §8.7)."""
_LONGEST: Final = len(LENGTHS)
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2, in lower case
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_IN_PATHS: Final = _PRINTABLE.translate(None, b" #")
_OF_CONNECTIONS: Final = frozenset(
    {"connection", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)


class Call:
    """A batch and its answers.

    `paths`, `varying` and `bodies` are the batch's columns. `pending` holds the numbers of unsent requests in
    runs, the next one last. `left`, how many have no answer yet, is public for the reading loop: at 0 it calls `end`.
    """

    __slots__ = ("_tries", "answers", "begun", "bodies", "done", "headers", "left", "paths", "pending", "varying")

    def __init__(self, batch: HttpBatch, done: asyncio.Future[None], begun: float = 0.0) -> None:
        """What cannot be sent is answered here. `begun`: when it was handed over, in the loop's time."""
        count, refused = len(batch), set[int]()
        self.begun = begun
        self.done = done
        self.headers = batch.headers
        self.bodies = batch.bodies
        self.paths = _checked(batch.paths, _IN_PATHS, refused)
        self.varying = {name: _checked(values, _PRINTABLE, refused) for name, values in batch.varying.items()}
        refused |= {number for number, path in enumerate(batch.paths) if path[:1] != "/"}
        self.answers: list[HttpResponse | None] = [None] * count
        self.left = count
        runs = [range(before + 1, next) for before, next in pairwise([-1, *sorted(refused), count])]
        self.pending = [run for run in reversed(runs) if run]
        self._tries: dict[int, int] = {}
        for number, [request] in ((number, batch.part([number]).requests) for number in refused):
            self.answer(number, _refusal(request))

    def take(self, most: int) -> range:
        """Numbers of requests to send now, one after the other; no more than `most`, and perhaps less."""
        numbers = self.pending.pop() if self.pending else range(0)
        if len(numbers) > most:
            self.pending.append(numbers[most:])
        return numbers[:most]

    def answer(self, number: int, response: HttpResponse) -> None:
        """The one answer of this request."""
        self.answers[number] = response
        self.left -= 1
        if not self.left:
            self.end()

    def end(self) -> None:
        """All answers are there."""
        if not self.done.done():
            self.done.set_result(None)

    def give_back(self, number: int, reason: str, *, counts: bool) -> None:
        """The peer did not look at this request: it may be sent again. `counts`: as one of its tries."""
        tries = self._tries[number] = self._tries.get(number, 1) + counts
        if tries > MOST_TRIES or self.done.cancelled():
            self.answer(number, HttpResponse(0, error=reason))
        else:
            before = self.pending.pop() if self.pending and self.pending[-1].stop == number else range(number, number)
            self.pending.append(range(before.start, number + 1))

    def give_up(self, reason: str) -> None:
        """Nothing that is still unsent will be."""
        while self.pending:
            for number in self.pending.pop():
                self.answer(number, HttpResponse(0, error=reason))


def _checked(values: Sequence[str], allowed: bytes, refused: set[int]) -> Column:
    """A column that can be sent, but for the numbers that are added to `refused`."""
    lines, lengths = "\n".join(values), set(map(len, values))
    # All in one look: nothing is foreign but the ends of the lines.
    foreign = len(lines.encode().translate(None, allowed)) if lines.isascii() else len(values)
    if foreign != len(values) - 1 or max(lengths) >= _LONGEST:
        refused |= {number for number, value in enumerate(values) if not _is_sendable(value, allowed)}
    return Column(values, next(iter(lengths)) if len(lengths) == 1 else None)


def _is_sendable(value: str, allowed: bytes) -> bool:
    return value.isascii() and len(value) < _LONGEST and not value.encode().translate(None, allowed)


def _refusal(request: BatchRequest) -> HttpResponse:
    if request.path[:1] != "/" or " " in request.path or "#" in request.path:
        return HttpResponse(0, error="refused: the path must begin with / and hold no space and no fragment")
    return HttpResponse(0, error=f"refused: {why_unsendable((('path', request.path), *request.headers))}")


def why_unsendable(headers: Headers) -> str | None:
    """What is wrong with headers that cannot be sent; None when nothing is."""
    for name, value in headers:
        if _NAME.fullmatch(name) is None or name in _OF_CONNECTIONS:  # RFC 9113 §8.2.1, §8.2.2
            return f"{name!r} is no name of a request header in lower case"
        if len(value) >= _LONGEST:
            return f"{name} has {len(value)} characters, and may have {_LONGEST - 1}"
        if not (value.isascii() and value.isprintable()):
            return f"{name} holds a character that is not printable ASCII"
    return None
