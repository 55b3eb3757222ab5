"""HTTP as uvicorn speaks it, with limits for a request's head and time, and problem documents for what is none."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clarion.api.problems import Problems
from clarion.errors import InvalidRequest

MAX_HEAD = 64 * 1024
"""Bytes of a request line and headers that come in pieces; uvicorn itself would keep any number."""
REQUEST_S = 60.0
"""From its first byte, or from the connection, until a request is here whole; uvicorn would wait for ever."""


def protocol_of(origin: str) -> type[HttpToolsProtocol]:
    """For `uvicorn.Config(http=…)`. `origin`: where the pages about errors are."""

    def refusal(words: str) -> bytes:
        answer = Problems(origin).answer(InvalidRequest(words))
        length = (b"content-length", str(len(answer.body)).encode())
        lines = [b"%b: %b\r\n" % header for header in (*answer.headers, length, (b"connection", b"close"))]
        return b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])

    class ProblemProtocol(_Limited):
        """With these words."""

        unreadable = refusal("this is not a request in HTTP/1.1 that we can read")
        too_long = refusal(f"the request line and headers must have at most {MAX_HEAD} bytes")
        too_slow = refusal(f"the request must arrive within {REQUEST_S:g} s")

    return ProblemProtocol


class _Limited(HttpToolsProtocol):
    """A sender that keeps a request to itself keeps no connection and no memory."""

    unreadable: bytes
    too_long: bytes
    too_slow: bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._head: int | None = None  # bytes so far of the head that is coming
        self._begun: float | None = self.loop.time()  # when the request that is not yet whole began
        self._looking = self.loop.call_later(REQUEST_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(self.too_long)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._begun = self.loop.time()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._begun = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the same words for everybody
        self._refuse(self.unreadable)

    def _look(self) -> None:
        """One timer a connection, not one a request: it looks when the request of now would be due."""
        now = self.loop.time()
        left = REQUEST_S if self._begun is None else self._begun + REQUEST_S - now
        if left > 0:
            self._looking = self.loop.call_later(left, self._look)
        else:
            self._refuse(self.too_slow)

    def _refuse(self, answer: bytes) -> None:
        """The last answer, unless it would be taken for that of a request before, which is being done."""
        if self.transport.is_closing():
            return
        now = self.cycle
        if now is None or now.response_complete or (now.more_body and not now.response_started):
            self.transport.write(answer)
        self.transport.close()
