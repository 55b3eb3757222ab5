"""What a device may send, frame by frame, and what RFC 6455 and protocols of ours say must come of it.

Written from the specifications alone: a small oracle beside the real service.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import strategies as st

from contract import raw_socket
from contract.raw_socket import BINARY, CLOSE, CONTINUATION, HELLO, PING, PONG, TEXT

LARGEST = 64 * 1024
PROTOCOL, NOT_TEXT, NOT_UTF8, TOO_BIG, WRONG, GOODBYE = 1002, 1003, 1007, 1009, 1011, 1000
CHANNEL = str(UUID(int=7))


class Frame(NamedTuple):
    """`announced`: a length in 64 bits that is not the payload's; what follows is then never seen."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    reserved: int = 0
    mask: bool = True
    announced: int | None = None

    @property
    def raw(self) -> bytes:
        return raw_socket.frame(
            self.opcode,
            self.payload,
            fin=self.fin,
            reserved=self.reserved,
            mask=self.mask,
            size=self.announced,
        )


class Judge:
    """Says of each frame in turn with which code it ends the connection, if it does."""

    def __init__(self) -> None:
        self._begun: bytes | None = None
        self._greeted = False
        self._pinged = False
        self._goodbye = False

    def __call__(self, frame: Frame) -> int | None:
        return self._framing(frame) or (self._control(frame) if frame.opcode >= CLOSE else self._data(frame))

    def _framing(self, frame: Frame) -> int | None:
        """RFC 6455 section 5.2 and 5.5."""
        control = frame.opcode >= CLOSE
        if frame.opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG) or not frame.mask:
            return PROTOCOL
        if control and (not frame.fin or len(frame.payload) > 125 or frame.announced is not None):
            return PROTOCOL
        if frame.announced is not None:
            return TOO_BIG if LARGEST < frame.announced < 2**63 else PROTOCOL
        if not control and len(frame.payload) > LARGEST:
            return TOO_BIG
        return PROTOCOL if frame.reserved and frame.opcode != CLOSE else None

    def _control(self, frame: Frame) -> int | None:
        """RFC 6455 section 5.5.1 and 7.4.1: a goodbye is answered with its own code."""
        if frame.opcode != CLOSE:
            return None
        again, self._goodbye = self._goodbye, True
        code = int.from_bytes(frame.payload[:2]) if frame.payload else GOODBYE
        if len(frame.payload) == 1 or not (3000 <= code < 5000 or code in (1000, 1001, 1002, 1003, *range(1007, 1015))):
            return PROTOCOL
        try:
            frame.payload[2:].decode()
        except UnicodeDecodeError:
            return NOT_UTF8
        return PROTOCOL if again else code

    def _data(self, frame: Frame) -> int | None:
        """RFC 6455 section 5.4."""
        if frame.opcode == BINARY:
            return NOT_TEXT
        if (frame.opcode == CONTINUATION) is (self._begun is None):
            return PROTOCOL
        whole = (self._begun or b"") + frame.payload
        if len(whole) > LARGEST:
            return TOO_BIG
        self._begun = None if frame.fin else whole
        return self._message(whole) if frame.fin else None

    def _message(self, text: bytes) -> int | None:
        """The autopush protocol, for the messages below."""
        if text not in GOOD:
            return WRONG
        if (text == HELLO) is self._greeted:
            return WRONG
        if text in PINGS:
            if self._pinged:
                return WRONG  # at most one in 45 s, and the clock stands still
            self._pinged = True
        self._greeted = True
        return None


def _said(message_type: str, **more: Any) -> bytes:
    return json.dumps({"messageType": message_type, **more}).encode()


PINGS = (b"{}", _said("ping"))
GOOD = (
    HELLO,
    *PINGS,
    _said("register", channelID=CHANNEL),
    _said("register", channelID=CHANNEL, key="no key"),  # answered 400
    _said("unregister", channelID=CHANNEL, code=200),
    _said("ack", updates=[{"channelID": CHANNEL, "version": "12", "code": 100}]),
    _said("ack", updates=[]),
    _said("nack", version="1", code=301),
    _said("broadcast_subscribe", broadcasts={"a": "b"}),
)
BAD = (
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"7",
    b"{",
    b'{"messageType":"hello"} {}',
    _said("goodbye"),
    _said("register"),
    _said("register", channelID=7),
    _said("register", channelID="not-a-uuid"),
    _said("register", channelID=CHANNEL.upper().replace("0", "A")),
    _said("unregister", channelID=CHANNEL.replace("-", "")),
    _said("ack", updates={}),
    _said("ack", updates=[{"version": 1}]),
    b'{"messageType":"nack","code":1e999}',
    b'{"messageType":"nack","code":' + b"9" * 30_000 + b"}",
    b'{"messageType":"hello","uaid":' + b"[" * 30_000 + b"}",
    b'{"messageType":"hello","uaid":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b'{"messageType":"hello","broadcasts":{"a":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001 + b"}",
)

texts = st.sampled_from(GOOD) | st.sampled_from(GOOD) | st.sampled_from(BAD)
_codes = st.sampled_from([999, 1000, 1001, 1004, 1005, 1006, 1008, 1014, 1015, 2999, 3000, 4774, 4999])
_bits = (st.booleans(), st.sampled_from([0, 0, 16, 32, 64, 112]), st.booleans(), st.none())
_opcodes = st.integers(0, 15).filter(lambda opcode: opcode != CLOSE)
_right = (st.just(True), st.just(0), st.just(True), st.none())
_lengths = st.sampled_from([0, 1, 125, 65_535, 65_537, 2**31, 2**32 + 5, 2**62, 2**63, 2**64 - 1])


def _split(text: bytes, cuts: list[float]) -> list[Frame]:
    """A message in fragments."""
    places = sorted({int(cut * len(text)) for cut in cuts})
    parts = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    last = len(parts) - 1
    return [Frame(CONTINUATION if n else TEXT, part, fin=n == last) for n, part in enumerate(parts)]


def _of_one(frames: st.SearchStrategy[Frame]) -> st.SearchStrategy[list[Frame]]:
    return frames.map(lambda frame: [frame])


messages = st.builds(_split, texts, st.lists(st.floats(0, 1), max_size=3))
odd = st.one_of(
    _of_one(st.builds(Frame, _opcodes, st.binary(max_size=140), *_bits)),
    _of_one(st.builds(Frame, st.sampled_from([PING, PONG]), st.binary(max_size=125), *_right)),
    _of_one(st.builds(Frame, st.just(TEXT), texts, *_bits)),
    _of_one(st.builds(lambda n: Frame(TEXT, announced=n), _lengths)),
    _of_one(st.builds(lambda n: Frame(TEXT, b" " * n), st.sampled_from([LARGEST, LARGEST + 1]))),
    _of_one(st.builds(lambda code: Frame(CLOSE, code.to_bytes(2) + b"bye"), _codes)),
    _of_one(st.builds(lambda why: Frame(CLOSE, GOODBYE.to_bytes(2) + why), st.binary(max_size=20))),
    _of_one(st.sampled_from([Frame(CLOSE), Frame(CLOSE, b"\x03"), Frame(CLOSE, b"\0\0")])),
)
conversations: st.SearchStrategy[list[Frame]] = st.lists(st.one_of(messages, messages, odd), max_size=8).map(
    lambda parts: [Frame(TEXT, HELLO), *(frame for part in parts for frame in part)]
) | st.lists(messages | odd, max_size=4).map(lambda parts: [frame for part in parts for frame in part])


def first_code(frames: Sequence[Frame]) -> int | None:
    """With what the connection ends, when each frame is heard before the next is sent."""
    judge = Judge()
    return next((code for code in map(judge, frames) if code is not None), None)


def all_codes(frames: Sequence[Frame]) -> set[int]:
    """With what it may end when all are sent at once: the first that is wrong need not be the first that is seen."""
    judge = Judge()
    return {code for code in map(judge, frames) if code is not None}
