"""Flow control of what we send (RFC 9113 §5.2, §6.9): bodies that wait until the peer has room for them."""

from clarion.transport.http2.frames import (
    DATA,
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_STREAM,
    LARGEST_WINDOW,
    Code,
    ConnectionFault,
    StreamFault,
    frame,
)


class _Upload:
    """The rest of a body, and how much of it the stream may send; negative after the peer has shrunk it (§6.9.2)."""

    __slots__ = ("rest", "window")

    def __init__(self, rest: memoryview, window: int) -> None:
        self.rest = rest
        self.window = window


class Uploads:
    """Streams whose bodies are not sent whole. A stream that has ended on our side has no window any more.

    `window` is the connection's; `initial` a new stream's; `largest` the longest frame that the peer reads; `waiting`
    are the streams.
    """

    def __init__(self) -> None:
        self.window = DEFAULT_WINDOW
        self.initial = DEFAULT_WINDOW
        self.largest = DEFAULT_FRAME
        self.waiting: dict[int, _Upload] = {}

    def add(self, stream: int, body: bytes) -> list[bytes]:
        """What of it can be sent at once, in frames."""
        self.waiting[stream] = _Upload(memoryview(body), self.initial)
        return self._advance(stream)

    def drop(self, stream: int) -> bool:
        """The stream has ended; whether a part of its body was still unsent."""
        return self.waiting.pop(stream, None) is not None

    def resize(self, initial: int) -> list[bytes]:
        """SETTINGS_INITIAL_WINDOW_SIZE: open streams' windows change by the difference (§6.9.2)."""
        if initial > LARGEST_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "initial window over 2^31-1")
        difference = initial - self.initial
        self.initial = initial
        for upload in self.waiting.values():
            if upload.window + difference > LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a stream's window over 2^31-1")
            upload.window += difference
        return self._advance_all()

    def widen(self, stream: int, size: int) -> list[bytes]:
        """WINDOW_UPDATE (§6.9): what can be sent now."""
        if stream == 0:
            if not size:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "window widened by nothing")
            if self.window + size > LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "the connection's window over 2^31-1")
            self.window += size
            return self._advance_all()
        if not size:
            raise StreamFault(Code.PROTOCOL_ERROR, "window widened by nothing")
        upload = self.waiting.get(stream)
        if upload is None:
            return []
        if upload.window + size > LARGEST_WINDOW:
            raise StreamFault(Code.FLOW_CONTROL_ERROR, "the stream's window over 2^31-1")
        upload.window += size
        return self._advance(stream)

    def _advance_all(self) -> list[bytes]:
        frames: list[bytes] = []
        for stream in list(self.waiting):
            if self.window <= 0:
                break
            frames += self._advance(stream)
        return frames

    def _advance(self, stream: int) -> list[bytes]:
        upload = self.waiting[stream]
        frames = []
        while (size := min(len(upload.rest), self.window, upload.window, self.largest)) > 0:
            part, upload.rest = upload.rest[:size], upload.rest[size:]
            self.window -= size
            upload.window -= size
            frames.append(frame(DATA, 0 if upload.rest else END_STREAM, stream, bytes(part)))
        if not upload.rest:
            del self.waiting[stream]
        return frames
