"""The requests that are under way on one connection, and what has come of their answers."""

from collections import deque
from collections.abc import Mapping
from typing import Final, TypeAlias

from clarion.ports import HttpResponse
from clarion.transport.http2.call import Call
from clarion.transport.http2.frames import Code, StreamFault

Exchange: TypeAlias = tuple[Call, int]
"""A batch, and what half of the stream is to be added to for the number of the request in it: many share one."""

MOST_CANCELLED: Final = 1_000
"""Streams that we ended and the peer did not; with more of them a connection takes no new ones."""
_GRANTED = 32_768
"""Bytes of one stream after which the peer is granted as much again; half of the window that we announce."""
_GRAIN_S = 0.05
"""So exactly it is known when a request was sent."""


class Partial:
    """An answer of which the end is missing."""

    __slots__ = ("body", "headers", "status", "ungranted")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self.body = b""
        self.ungranted = 0


class Exchanges:
    """By stream. Each request leaves here exactly once: answered, given back as not processed, or cut off.

    `open` and `begun` are public for the reading loop, which answers plain successes by itself: `begun` are streams of
    which nothing but such a status is known; what more is known of others is in `partial`.
    """

    def __init__(self, answer_bytes: int) -> None:
        self.open: dict[int, Exchange] = {}
        self.begun: dict[int, HttpResponse] = {}
        self.partial: dict[int, Partial] = {}
        self.cancelled: set[int] = set()
        self._answer_bytes = answer_bytes
        self._sent: deque[tuple[float, int]] = deque()  # when all streams up to this one were on their way

    def start(self, call: Call, numbers: range, first: int) -> range:
        """These requests of the batch go out on the streams from `first` on: which they are."""
        streams = range(first, first + 2 * len(numbers), 2)
        self.open.update(dict.fromkeys(streams, (call, numbers.start - first // 2)))
        return streams

    def sent(self, now: float, last: int) -> None:
        """Streams up to `last` are on their way."""
        if self._sent and now - self._sent[-1][0] < _GRAIN_S:
            now, _ = self._sent.pop()
        self._sent.append((now, last))

    def overdue(self, before: float) -> list[int]:
        """Streams still open that were sent before this moment."""
        last = 0
        while self._sent and self._sent[0][0] < before - _GRAIN_S:
            last = self._sent.popleft()[1]
        return [stream for stream in self.open if stream <= last] if last else []

    def begin(self, stream: int, status: int, headers: Mapping[str, str]) -> None:
        """Final headers have come."""
        self.partial[stream] = Partial(status, headers)

    def unfold(self, stream: int) -> None:
        """What the reading loop began goes on here."""
        if stream in self.begun:
            plain = self.begun.pop(stream)
            self.begin(stream, plain.status, plain.headers)

    def end(self, stream: int) -> None:
        """The answer is whole."""
        partial = self.partial.pop(stream)
        self._answer(stream, HttpResponse(partial.status, partial.headers, partial.body))

    def add(self, stream: int, part: bytes, size: int) -> int | None:
        """A part of a body, of `size` bytes with its padding; how many bytes the peer is to be granted in return.

        None when it is more than anybody wants to read: `end` it with its beginning (RFC 9113 §8.1).

        Raises:
            StreamFault: the body comes before its headers.
        """
        partial = self.partial.get(stream)
        if partial is None:
            raise StreamFault(Code.PROTOCOL_ERROR, "a body before its headers")
        partial.body += part
        if len(partial.body) > self._answer_bytes:
            partial.body = partial.body[: self._answer_bytes]
            return None
        partial.ungranted += size
        if partial.ungranted < _GRANTED:
            return 0
        granted, partial.ungranted = partial.ungranted, 0
        return granted

    def cut_off(self, stream: int, reason: str) -> None:
        """No more will come. Who got a status knows what became of the request, who got none does not."""
        self.unfold(stream)
        partial = self.partial.pop(stream, None)
        if partial is None:
            self._answer(stream, HttpResponse(0, error=reason, unknown=True))
        else:
            self._answer(stream, HttpResponse(partial.status, partial.headers, partial.body, reason))

    def cut_off_all(self, reason: str) -> None:
        for stream in list(self.open):
            self.cut_off(stream, reason)

    def give_back(self, stream: int, reason: str, *, counts: bool) -> Call | None:
        """The peer says that it did not look at the request; its batch, when there is something to send again."""
        self.unfold(stream)
        if stream in self.partial:
            self.cut_off(stream, reason)  # it did, or it would not have begun to answer
            return None
        call, shift = self.open.pop(stream)
        call.give_back(shift + stream // 2, reason, counts=counts)
        return call

    def _answer(self, stream: int, response: HttpResponse) -> None:
        call, shift = self.open.pop(stream)
        call.answer(shift + stream // 2, response)
