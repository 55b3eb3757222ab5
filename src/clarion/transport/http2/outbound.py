"""What goes out on one connection: requests of batches, in slices, and whatever the reading side has to answer."""

from clarion.transport.http2 import frames
from clarion.transport.http2.call import Call
from clarion.transport.http2.exchanges import MOST_CANCELLED, Exchanges
from clarion.transport.http2.frames import DATA, DEFAULT_FRAME, END_HEADERS, END_STREAM, HEAD, HEADERS, Code
from clarion.transport.http2.headers_out import Encoder, Headers, blocks
from clarion.transport.http2.limits import Limits
from clarion.transport.http2.uploads import Uploads


class Outbound:
    """Collects frames until `take`: one TLS record and one system call for many requests.

    `next` is the number of the next stream, `streams` how many the peer allows at once. `draining`: no new requests.
    `cautious`: one stream until the first success, as APNs wants it.
    """

    def __init__(self, exchanges: Exchanges, pseudo: Headers, limits: Limits, *, cautious: bool) -> None:
        self.exchanges = exchanges
        self.encoder = Encoder()
        self.uploads = Uploads()
        self.streams = limits.streams
        self.next = 1
        self.draining = False
        self.cautious = cautious
        self._pseudo = pseudo
        self._last_stream = limits.last_stream
        self._frames: list[bytes] = []

    def put(self, *frames: bytes) -> None:
        """Whole frames, to go out in this order."""
        self._frames += frames

    def take(self) -> bytes:
        """All that waits."""
        waiting = b"".join(self._frames)
        self._frames.clear()
        return waiting

    def room(self) -> int:
        """How many more requests may be under way now."""
        if self.draining or self.uploads.window <= 0:
            return 0
        streams = min(self.streams, 1) if self.cautious else self.streams
        return max(0, min(streams - len(self.exchanges.open), (self._last_stream - self.next) // 2 + 1))

    def send(self, call: Call, most: int, now: float) -> int:
        """Begin up to `most` of the batch's waiting requests, no more than there is room; how many they are."""
        numbers = call.take(most)
        if not numbers:
            return 0
        streams, out = self.exchanges.start(call, numbers, self.next), self._frames
        uploads = self.uploads
        small = min(uploads.initial, uploads.largest)
        pack, bodies = HEAD.pack, call.bodies[numbers.start : numbers.stop]
        for stream, block, body in zip(streams, self._blocks(call, numbers), bodies, strict=True):
            size = len(body)
            if 0 < size <= small and size <= uploads.window and len(block) <= DEFAULT_FRAME:
                head = pack(len(block) << 8 | HEADERS, END_HEADERS, stream)
                out += (head, block, pack(size << 8 | DATA, END_STREAM, stream), body)
                uploads.window -= size
            else:
                self._send_at_length(stream, block, body)
        self.next = streams.stop
        self.draining |= self.next > self._last_stream  # §5.1.1: numbers are not used again
        self.exchanges.sent(now, self.next - 2)
        return len(numbers)

    def _blocks(self, call: Call, numbers: range) -> list[bytes]:
        opening, steady = self.encoder.prefixes(self._pseudo, call.headers)
        parts = [(opening, numbers)] if opening is steady else [(opening, numbers[:1]), (steady, numbers[1:])]
        return [block for prefix, part in parts for block in blocks(prefix, call.paths, call.varying, part)]

    def _send_at_length(self, stream: int, block: bytes, body: bytes) -> None:
        """A request without a body, with one that has to wait, or with headers longer than a frame (§4.3)."""
        kind, flags = HEADERS, 0 if body else END_STREAM
        while len(block) > DEFAULT_FRAME:
            part, block = block[:DEFAULT_FRAME], block[DEFAULT_FRAME:]
            self.put(frames.frame(kind, flags, stream, part))
            kind, flags = frames.CONTINUATION, 0
        self.put(frames.frame(kind, flags | END_HEADERS, stream, block))
        if body:
            self.put(*self.uploads.add(stream, body))

    def cancel(self, stream: int, reason: str, code: Code = Code.CANCEL) -> None:
        """End a stream from our side; a request still under way on it gets no answer."""
        if stream in self.exchanges.open:
            self.exchanges.cut_off(stream, reason)
        self.stop(stream, code)

    def stop(self, stream: int, code: Code) -> None:
        """RST_STREAM (§5.4.2); what the peer has already sent on it will be passed over."""
        self.uploads.drop(stream)
        self.exchanges.cancelled.add(stream)
        self.draining |= len(self.exchanges.cancelled) > MOST_CANCELLED
        self.put(frames.rst_stream(stream, code))
