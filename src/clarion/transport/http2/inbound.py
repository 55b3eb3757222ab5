"""What comes in on one connection: answers, and all else that a server may say. Sections are of RFC 9113."""

from collections.abc import Callable
from typing import Final

from clarion.ports import HttpResponse
from clarion.transport.http2 import frames
from clarion.transport.http2.call import Call
from clarion.transport.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    LARGEST_STREAM,
    SETTINGS,
    Code,
    ConnectionFault,
    Setting,
    StreamFault,
)
from clarion.transport.http2.headers_in import PLAIN, STATUS_SIZE, Decoder, plain_success, status_of
from clarion.transport.http2.limits import Limits
from clarion.transport.http2.outbound import Outbound

OUR_WINDOW: Final = 2**24
"""Bytes that the peer may send on the connection before we grant more: we keep little of them, so it need not wait."""
LARGEST_BLOCK: Final = 16_384
"""Bytes of one answer's headers, as they are sent; we announce it for what they unpack to."""
_MOST_CONTINUATIONS: Final = 64
_MOST_IDLE_FRAMES: Final = 10_000
"""Frames in a row that answer no request (§10.5)."""
_SETTINGS_COST: Final = 100
"""So many frames is one SETTINGS worth: it may change every open stream."""
_LONGEST_HEAD: Final = DEFAULT_FRAME << 8 | 0xFF
_REASON: Final = 300
"""Bytes of what a peer says at the end that are kept."""


class Inbound:
    """Reads frames; `returned` is told the batches of which requests must be sent again.

    `settled`: the peer has said what it allows. `answered`: it has ended a request. `end`: why it is ending.
    """

    def __init__(self, outbound: Outbound, limits: Limits, returned: Callable[[Call], None]) -> None:
        self._outbound = outbound
        self._exchanges = outbound.exchanges
        self._uploads = outbound.uploads
        self._most_streams = limits.streams
        self._answer_bytes = limits.answer_bytes
        self._returned = returned
        self._decoder = Decoder()
        self._plain: dict[bytes, HttpResponse] = {}  # PLAIN, from when blocks are stateless
        self._block: tuple[int, bool, list[bytes]] | None = None  # headers that CONTINUATION will complete
        self._ungranted = 0
        self._idle_frames = 0
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            DATA: self._on_data,
            HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_rst_stream,
            SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            CONTINUATION: self._on_continuation,
        }
        self.settled = False
        self.answered = False
        self.end = "connection lost"

    def read(self, buffer: memoryview) -> int:
        """Take in all whole frames; how many bytes they were.

        Raises:
            ConnectionFault: the connection must end.
        """
        data, at = bytes(buffer), 0
        while True:
            plain = at if self._block is not None else self._take_plain(data, at)
            at = self._take_one(data, plain)
            if at == plain:
                break
        if self._ungranted > OUR_WINDOW // 2:
            self._outbound.put(frames.window_update(0, self._ungranted))
            self._ungranted = 0
        return at

    def _take_plain(self, data: bytes, at: int) -> int:  # noqa: C901 - a call for each frame costs as much as the frame
        """Nearly all that comes: headers that begin with a success, and the body in one frame. Nothing is decoded.

        Takes such frames from `at` on; where the first one stands that is anything else.
        """
        opened, begun, partial = self._exchanges.open, self._exchanges.begun, self._exchanges.partial
        unpack, plain, unsent = HEAD.unpack_from, self._plain, self._uploads.waiting
        filled, ended = len(data), False
        while at + HEAD_SIZE <= filled:
            head, flags, stream = unpack(data, at)
            start = at + HEAD_SIZE
            stop: int = start + (head >> 8)
            if stop > filled or head > _LONGEST_HEAD:
                break
            if head & 0xFF == HEADERS and flags | END_STREAM == END_HEADERS | END_STREAM and stream in opened:
                answer = plain.get(data[start : start + 1]) or self._written(data[start:stop])
                if answer is None or stream in begun or stream in partial or stream in unsent:
                    break
                if flags == END_HEADERS:
                    begun[stream] = answer
                    at = stop
                    continue
            elif head & 0xFF == DATA and flags == END_STREAM and stop - start <= self._answer_bytes:
                answer = begun.pop(stream, None)
                if answer is None:
                    break
                if stop > start:
                    answer = HttpResponse(answer.status, answer.headers, data[start:stop])
                    self._ungranted += stop - start
            else:
                break
            call, shift = opened.pop(stream)
            call.answers[shift + stream // 2] = answer
            call.left -= 1
            if not call.left:
                call.end()
            at, ended = stop, True
        if ended:
            self._succeeded()
        return at

    def _succeeded(self) -> None:
        self.answered = True
        self._outbound.cautious = False
        self._idle_frames = 0

    def _written(self, block: bytes) -> HttpResponse | None:
        """A success that is written in another way."""
        return plain_success(block[:STATUS_SIZE]) if self._decoder.stateless else None

    def _take_one(self, data: bytes, at: int) -> int:
        """Any frame, if it is there whole; where the next one stands."""
        if len(data) - at < HEAD_SIZE:
            return at
        head, flags, stream = HEAD.unpack_from(data, at)
        if head > _LONGEST_HEAD:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame longer than we read")  # §4.2
        start = at + HEAD_SIZE
        stop: int = start + (head >> 8)
        if stop > len(data):
            return at
        self._frame(head & 0xFF, flags, stream & LARGEST_STREAM, data[start:stop])
        return stop

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if not self.settled and kind not in (SETTINGS, GOAWAY):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")  # §3.4
        if self._block is not None and (kind, stream) != (CONTINUATION, self._block[0]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "headers are not continued")  # §6.10
        self._idle_frames += 1
        if self._idle_frames > _MOST_IDLE_FRAMES:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many frames that answer nothing")
        self._exchanges.unfold(stream)
        handle = self._handlers.get(kind)
        if handle is None:
            return  # of a type that we do not know, §5.5
        try:
            handle(flags, stream, payload)
        except StreamFault as fault:
            self._outbound.cancel(stream, f"{fault.code.name}: {fault.reason}", fault.code)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = frames.unpadded(flags, payload, priority=True)
        ended = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._on_block(stream, block, ended=ended)
        else:
            self._block = (stream, ended, [block])

    def _on_continuation(self, flags: int, _stream: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        stream, ended, parts = self._block
        parts.append(payload)
        if len(parts) > _MOST_CONTINUATIONS or sum(map(len, parts)) > LARGEST_BLOCK:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "headers too long")
        if flags & END_HEADERS:
            self._block = None
            self._on_block(stream, b"".join(parts), ended=ended)

    def _on_block(self, stream: int, block: bytes, *, ended: bool) -> None:
        """The headers of an answer, or its trailers (§8.1)."""
        exchange = self._exchanges.open.get(stream)
        if exchange is None:
            self._decoder.follow(block)
            self._pass_over(stream, ended=ended)
        elif stream in self._exchanges.partial:
            if not ended or ":status" in self._decoder.decode(block):
                raise StreamFault(Code.PROTOCOL_ERROR, "trailers that end nothing")
            self._end(stream)
        else:
            headers = self._headers_of(block)
            self._begin(stream, status_of(headers), headers, ended=ended)

    def _headers_of(self, block: bytes) -> dict[str, str]:
        """With `:status`. Of a success, if it is simply written, no others."""
        if self._decoder.stateless and (plain := plain_success(block)):
            return {":status": str(plain.status)}
        return self._decoder.decode(block)

    def _begin(self, stream: int, status: int, headers: dict[str, str], *, ended: bool) -> None:
        if status >= 200:  # noqa: PLR2004 - before it, the final answer is still to come (RFC 9110 15.2)
            self._exchanges.begin(stream, status, headers)
            self._outbound.cautious &= status >= 300  # noqa: PLR2004 - no success (RFC 9110 15.3)
        elif ended:
            raise StreamFault(Code.PROTOCOL_ERROR, "ended before the final answer")
        if ended:
            self._end(stream)

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._ungranted += len(payload)
        part = frames.unpadded(flags, payload)
        ended = bool(flags & END_STREAM)
        if stream not in self._exchanges.open:
            self._pass_over(stream, ended=ended)
            return
        granted = self._exchanges.add(stream, part, len(payload))
        if ended:
            self._end(stream)
        elif granted is None:  # longer than anybody wants to read
            self._end(stream)
            self._outbound.stop(stream, Code.CANCEL)
        elif granted:
            self._outbound.put(frames.window_update(stream, granted))

    def _end(self, stream: int) -> None:
        """The answer is whole. Nobody needs what may still be unsent of the request (§8.1)."""
        self._exchanges.end(stream)
        self.answered = True
        self._idle_frames = 0
        if stream in self._uploads.waiting:
            self._outbound.stop(stream, Code.CANCEL)

    def _pass_over(self, stream: int, *, ended: bool) -> None:
        """A frame on a stream that is not open: in order only where we ended it and the peer did not know (§5.1)."""
        self._check_known(stream)
        if stream not in self._exchanges.cancelled:
            raise ConnectionFault(Code.STREAM_CLOSED, "a frame on a stream that has ended")
        if ended:
            self._exchanges.cancelled.discard(stream)

    def _check_known(self, stream: int) -> None:
        if stream % 2 == 0 or stream >= self._outbound.next:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a frame on a stream that we did not open")

    def _on_rst_stream(self, _flags: int, stream: int, payload: bytes) -> None:
        code = frames.read_number("RST_STREAM", payload)
        self._check_known(stream)
        self._exchanges.cancelled.discard(stream)
        self._uploads.drop(stream)
        if stream not in self._exchanges.open:
            return
        self.answered = True
        reason = f"stream reset: {frames.name_of(code)}"
        if code == Code.REFUSED_STREAM:
            self._give_back(stream, reason, counts=True)  # §8.7
        else:
            self._exchanges.cut_off(stream, reason)

    def _give_back(self, stream: int, reason: str, *, counts: bool) -> None:
        call = self._exchanges.give_back(stream, reason, counts=counts)
        if call is not None:
            self._returned(call)

    # --- the connection -----------------------------------------------------------------------------------------------

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        values = frames.read_settings(flags, stream, payload)
        if values is None:
            if not self._decoder.stateless:
                self._decoder.acknowledged()
                self._plain = PLAIN
            return
        self._idle_frames += _SETTINGS_COST
        outbound, uploads = self._outbound, self._uploads
        outbound.put(frames.frame(SETTINGS, ACK, 0))
        outbound.streams = min(values.get(Setting.MAX_CONCURRENT_STREAMS, outbound.streams), self._most_streams)
        uploads.largest = values.get(Setting.MAX_FRAME_SIZE, uploads.largest)
        if Setting.HEADER_TABLE_SIZE in values:
            outbound.encoder.resize(values[Setting.HEADER_TABLE_SIZE])
        if Setting.INITIAL_WINDOW_SIZE in values:
            outbound.put(*uploads.resize(values[Setting.INITIAL_WINDOW_SIZE]))
        self.settled = True

    def _on_ping(self, flags: int, stream: int, payload: bytes) -> None:
        answer = frames.read_ping(flags, stream, payload)
        if answer is not None:
            self._outbound.put(answer)

    def _on_goaway(self, _flags: int, stream: int, payload: bytes) -> None:
        """No new streams; those after the last one that the peer looks at are sent elsewhere (§6.8)."""
        last, code, debug = frames.read_goaway(stream, payload)
        self._outbound.draining = True
        self.end = f"GOAWAY {frames.name_of(code)} {debug[:_REASON].decode(errors='replace')}".rstrip()
        for late in [each for each in self._exchanges.open if each > last]:
            self._uploads.drop(late)
            self._give_back(late, self.end, counts=not self.answered)  # who works through them all may go on so

    def _on_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        size = frames.read_number("WINDOW_UPDATE", payload) & frames.LARGEST_WINDOW
        if stream:
            self._check_known(stream)
        self._outbound.put(*self._uploads.widen(stream, size))

    def _on_priority(self, _flags: int, stream: int, payload: bytes) -> None:
        """Of no use to us (§5.3.2)."""
        if stream == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PRIORITY without a stream")
        if len(payload) != 5:  # noqa: PLR2004 - §6.3
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PRIORITY of a wrong length")

    def _on_push_promise(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a push that we forbade")  # §8.4
