"""Protocol Buffers on the wire, as far as GCM needs them: numbered fields that hold a number or bytes.

A codec of our own, because the protocol is eight small messages of which we read and write two dozen fields: PyPI's
`protobuf` would bring generated classes without types, and parse what strangers send before any bound of ours.
The tests hold it against that library. https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, TypeAlias

Value: TypeAlias = int | bytes
"""Of a field: a number for varint and fixed ones, bytes for strings, bytes and messages."""

_CONTINUES: Final = 0x80
_SEVEN_BITS: Final = 0x7F
_MAX_VARINT: Final = 10  # bytes; 64 bits
_64_BITS: Final = (1 << 64) - 1


class _Wire(IntEnum):
    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


_FIXED = {_Wire.FIXED64: 8, _Wire.FIXED32: 4}


class NotProtobuf(ValueError):
    """The bytes are no message."""


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Field numbers and values in the order of the wire. Raises NotProtobuf, at the latest at the end."""
    place = 0
    while place < len(message):
        key, place = _whole(read_varint(message, place))
        number, wire = key >> 3, key & 7
        if number == 0:
            raise NotProtobuf("field 0")
        if wire == _Wire.VARINT:
            value, place = _whole(read_varint(message, place))
            yield number, value
        elif wire == _Wire.BYTES:
            size, place = _whole(read_varint(message, place))
            yield number, _cut(message, place, size)
            place += size
        elif wire in _FIXED:
            size = _FIXED[_Wire(wire)]
            yield number, int.from_bytes(_cut(message, place, size), "little")
            place += size
        else:
            raise NotProtobuf(f"wire type {wire}")


def read_varint(data: bytes | bytearray, place: int) -> tuple[int, int] | None:
    """A varint at `place` and the place after it; None when it is not all there yet. Raises NotProtobuf."""
    value = 0
    for count, byte in enumerate(data[place : place + _MAX_VARINT]):
        value |= (byte & _SEVEN_BITS) << (7 * count)
        if not byte & _CONTINUES:
            return value & _64_BITS, place + count + 1
    if len(data) - place >= _MAX_VARINT:
        raise NotProtobuf("a varint has at most 10 bytes")
    return None


def varint(value: int) -> bytes:
    """The shortest form of a number in 0…2⁶⁴-1."""
    out = bytearray()
    while value > _SEVEN_BITS:
        out.append(value & _SEVEN_BITS | _CONTINUES)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """An integer or a boolean."""
    return varint(number << 3 | _Wire.VARINT) + varint(value)


def fixed64_field(number: int, value: int) -> bytes:
    """A number in eight bytes."""
    return varint(number << 3 | _Wire.FIXED64) + value.to_bytes(8, "little")


def bytes_field(number: int, value: bytes | str) -> bytes:
    """Bytes, a text, or a message that is made."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _Wire.BYTES) + varint(len(data)) + data


def _whole(read: tuple[int, int] | None) -> tuple[int, int]:
    if read is None:
        raise NotProtobuf("a varint is cut off")
    return read


def _cut(message: bytes, place: int, size: int) -> bytes:
    if size > len(message) - place:
        raise NotProtobuf("a field is cut off")
    return message[place : place + size]
