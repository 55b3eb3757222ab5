"""What Chromium and its push service say to each other over TLS: frames of MCS, version 41, as typed messages.

After one byte with the version, each way is a row of frames: a tag, the length as a varint, a message. Frames have
stream ids without saying so: both sides count them, the login exchange being number 1.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from clarion.gateway.gcm.protobuf import (
    NotProtobuf,
    bytes_field,
    fields,
    number_field,
    read_varint,
    varint,
)

VERSION: Final = 41
MAX_FRAME: Final = 64 * 1024
"""Bytes of one message from a browser."""
_MAX_LENGTH: Final = 5  # bytes of a frame's length
_SELECTIVE_ACK: Final = 12


class Tag(IntEnum):
    """Which message a frame holds."""

    HEARTBEAT_PING = 0
    HEARTBEAT_ACK = 1
    LOGIN_REQUEST = 2
    LOGIN_RESPONSE = 3
    CLOSE = 4
    IQ = 7
    DATA_MESSAGE = 8
    STREAM_ERROR = 10


# Where each message says how many frames of the other side have come.
_LAST_RECEIVED = {
    Tag.HEARTBEAT_PING: 2,
    Tag.HEARTBEAT_ACK: 2,
    Tag.LOGIN_RESPONSE: 6,
    Tag.IQ: 10,
    Tag.DATA_MESSAGE: 11,
}
_TAGS = frozenset(Tag)
CONFIRMING: Final = frozenset(_LAST_RECEIVED)
"""What can tell the other side how far it was heard."""


class NotMcs(ValueError):
    """What a browser sent is not this protocol; the text says what would be right. `too_big`: only for its size."""

    def __init__(self, text: str, *, too_big: bool = False) -> None:
        super().__init__(text)
        self.too_big = too_big


class Login(msgspec.Struct, frozen=True):
    """The first message. `received`: persistent ids that came on earlier connections, as acknowledgement."""

    id: str
    android_id: int
    security_token: int
    received: list[str]


class Packet(msgspec.Struct, frozen=True):
    """Any later message. `last_received`: the stream id up to which ours have come, 0 when it does not say."""

    tag: Tag
    last_received: int
    received: list[str] = []


class FrameReader:
    """Bytes in as they come, tags and messages out; keeps no more than one frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[tuple[Tag, bytes]]:
        """The frames that these bytes complete. Raises NotMcs."""
        self._buffer += data
        if not self._greeted and self._buffer:
            if self._buffer[0] != VERSION:
                raise NotMcs(f"the version must be {VERSION}")
            self._greeted = True
            del self._buffer[:1]
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> tuple[Tag, bytes] | None:
        buffer = self._buffer
        if not buffer:
            return None
        if buffer[0] not in _TAGS:
            raise NotMcs(f"there is no tag {buffer[0]}")
        # One byte more than a length may have, so that a length without an end is seen as one.
        length = _read_length(buffer)
        if length is None:
            return None
        size, start = length
        if size > MAX_FRAME:
            raise NotMcs(f"a message has at most {MAX_FRAME} bytes", too_big=True)
        if len(buffer) < start + size:
            return None
        frame = Tag(buffer[0]), bytes(buffer[start : start + size])
        del buffer[: start + size]
        return frame


def _read_length(buffer: bytearray) -> tuple[int, int] | None:
    read = read_varint(buffer[: 1 + _MAX_LENGTH], 1)
    if read is None and len(buffer) > _MAX_LENGTH:
        raise NotMcs(f"the length of a message has at most {_MAX_LENGTH} bytes", too_big=True)
    return read


# --- from the browser -------------------------------------------------------------------------------------------------


def parse_login(message: bytes) -> Login:
    """A LoginRequest. Raises NotMcs."""
    texts: dict[int, str] = {}
    received = []
    try:
        for number, value in fields(message):
            if number in (1, 3, 5) and isinstance(value, bytes):
                texts[number] = value.decode()
            elif number == 10 and isinstance(value, bytes):  # noqa: PLR2004 - received_persistent_id
                received.append(value.decode())
        return Login(texts.get(1, ""), _identifier(texts[3]), _identifier(texts[5]), received)
    except KeyError:
        raise NotMcs("a login has a user and an auth token") from None
    except ValueError as error:
        raise NotMcs(f"the login cannot be read: {error}") from error


def parse_packet(tag: Tag, message: bytes) -> Packet:
    """Any other message, as far as it matters to us. Raises NotMcs."""
    last_received = 0
    received: list[str] = []
    try:
        for number, value in fields(message):
            if number == _LAST_RECEIVED.get(tag) and isinstance(value, int):
                last_received = value
            elif tag is Tag.IQ and number == 7 and isinstance(value, bytes):  # noqa: PLR2004 - extension
                received += _selective_ack(value)
    except ValueError as error:
        raise NotMcs(f"the message cannot be read: {error}") from error
    return Packet(tag, last_received, received)


def _selective_ack(extension: bytes) -> list[str]:
    """The persistent ids of an extension, if it is a SelectiveAck."""
    held = dict(fields(extension))
    data = held.get(2)
    if held.get(1) != _SELECTIVE_ACK or not isinstance(data, bytes):
        return []
    return [value.decode() for number, value in fields(data) if number == 1 and isinstance(value, bytes)]


def _identifier(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 20:  # noqa: PLR2004 - digits of 2⁶⁴
        raise NotProtobuf("user and auth token are numbers of 64 bits")
    return int(text)


# --- to the browser ---------------------------------------------------------------------------------------------------


def frame(tag: Tag, message: bytes = b"", last_received: int = 0) -> bytes:
    """A message as it goes out, with how many frames of the browser have come, unless that is 0."""
    if last_received:
        message += number_field(_LAST_RECEIVED[tag], last_received)
    return bytes([tag]) + varint(len(message)) + message


def login_response(id: str, now_ms: int) -> bytes:
    """A LoginResponse: welcome."""
    return bytes_field(1, id) + number_field(8, now_ms)


def login_error(id: str, code: int, text: str) -> bytes:
    """A LoginResponse: not you."""
    return bytes_field(1, id) + bytes_field(3, number_field(1, code) + bytes_field(2, text))


def stream_error(kind: str, text: str) -> bytes:
    """A StreamErrorStanza."""
    return bytes_field(1, kind) + bytes_field(2, text)


def data_message(
    category: str,
    sender: str,
    data: dict[str, str],
    body: bytes,
    *,
    persistent_id: str | None,
    ttl_s: int,
    sent_ms: int,
) -> bytes:
    """A DataMessageStanza. With a `persistent_id` it is to be acknowledged, and at once."""
    message = bytes_field(3, sender) + bytes_field(5, category)
    for key, value in data.items():
        message += bytes_field(7, bytes_field(1, key) + bytes_field(2, value))
    if persistent_id is not None:
        message += bytes_field(9, persistent_id)
    message += number_field(17, ttl_s) + number_field(18, sent_ms)
    if body:
        message += bytes_field(21, body)
    # Without `immediate_ack` (24) a browser acknowledges every tenth message, and the rest when it pings, in minutes.
    return message + number_field(24, 1) if persistent_id is not None else message
