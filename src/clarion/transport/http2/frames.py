"""The letters of HTTP/2: frame types, flags, error codes and settings (RFC 9113 §4, §6, §7)."""

import struct
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # §3.4

HEAD: Final = struct.Struct(">IBI")
"""A frame's header: its length and type in one number (`length << 8 | type`), flags, stream (§4.1)."""
HEAD_SIZE: Final = 9

# Plain numbers, since they are compared for every frame. §6
DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

LARGEST_WINDOW: Final = 2**31 - 1  # §6.9.1
LARGEST_STREAM: Final = 2**31 - 1  # §5.1.1
DEFAULT_WINDOW: Final = 65_535  # §6.9.2
DEFAULT_FRAME: Final = 16_384  # §4.2; we announce no other
LARGEST_FRAME: Final = 2**24 - 1


class Setting(IntEnum):
    """What one side tells the other about itself, §6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class Code(IntEnum):
    """Error codes, §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFault(Exception):
    """The peer broke a rule in a way that ends the connection (§5.4.1)."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamFault(ConnectionFault):
    """The peer broke a rule in a way that ends one stream (§5.4.2)."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings_frame(values: dict[Setting, int]) -> bytes:
    """SETTINGS with these values (§6.5)."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *each) for each in values.items()))


def window_update(stream: int, size: int) -> bytes:
    """WINDOW_UPDATE by `size` bytes; stream 0 is the connection (§6.9)."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def rst_stream(stream: int, code: Code) -> bytes:
    """RST_STREAM (§6.4)."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(code: Code, reason: str) -> bytes:
    """GOAWAY of a client: no stream of the peer's was processed, since it may not open one (§6.8)."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", 0, code) + reason.encode())


def name_of(code: int) -> str:
    """An error code in words; unknown ones are allowed (§7)."""
    return Code(code).name if code in Code._value2member_map_ else f"error {code:#x}"


def unpadded(flags: int, payload: bytes, *, priority: bool = False) -> bytes:
    """What a DATA or HEADERS frame holds without padding and priority (§6.1, §6.2).

    Raises:
        ConnectionFault: the padding is as long as the frame or longer, or the frame too short for its fields.
    """
    start = padding = 0
    if flags & PADDED:
        start, padding = 1, payload[0] if payload else 0
    if priority and flags & PRIORITIZED:
        start += 5
    if len(payload) < start:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "frame too short for its fields")
    if start + padding > len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[start : len(payload) - padding]


def read_settings(flags: int, stream: int, payload: bytes) -> dict[int, int] | None:
    """A server's SETTINGS by identifier, unknown ones among them; None for an acknowledgement (§6.5).

    Raises:
        ConnectionFault: the frame's form or a value breaks §6.5, §6.5.2 or §6.9.2.
    """
    if stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
    if (flags & ACK and payload) or len(payload) % 6:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
    if flags & ACK:
        return None
    values = dict(struct.iter_unpack(">HI", payload))
    if values.get(Setting.ENABLE_PUSH):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a server enables push")
    if values.get(Setting.INITIAL_WINDOW_SIZE, 0) > LARGEST_WINDOW:
        raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "initial window over 2^31-1")
    if not DEFAULT_FRAME <= values.get(Setting.MAX_FRAME_SIZE, DEFAULT_FRAME) <= LARGEST_FRAME:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "frame size out of range")
    return values


def read_ping(flags: int, stream: int, payload: bytes) -> bytes | None:
    """What to answer; None for an answer to ours (§6.7)."""
    if stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "PING on a stream")
    if len(payload) != 8:  # noqa: PLR2004 - §6.7
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PING of a wrong length")
    return None if flags & ACK else frame(PING, ACK, 0, payload)


def read_goaway(stream: int, payload: bytes) -> tuple[int, int, bytes]:
    """The last stream that was or may be looked at, the error code, and what else was said (§6.8)."""
    if stream:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
    if len(payload) < 8:  # noqa: PLR2004 - §6.8
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "GOAWAY too short")
    last, code = struct.unpack_from(">II", payload)
    return last & LARGEST_STREAM, code, payload[8:]


def read_number(what: str, payload: bytes) -> int:
    """The one number of a WINDOW_UPDATE (§6.9) or RST_STREAM (§6.4)."""
    if len(payload) != 4:  # noqa: PLR2004 - §6.4, §6.9
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"{what} of a wrong length")
    return int.from_bytes(payload, "big")
