"""A few named headers out of a stateless block, without decoding the others: a quarter of the time (RFC 7541 §6)."""

from functools import lru_cache
from typing import Final

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

_STATIC: Final = [(b"", b""), *HeaderTable.STATIC_TABLE]
_STATUS: Final = ":status"
_encode: Final = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode


class Wanted:
    """Names to look for, in every form in which a block may hold them."""

    def __init__(self, names: frozenset[str]) -> None:
        self.written: dict[bytes, str] = {}
        for name in (_STATUS, *names):
            raw = name.encode("latin-1")
            self.written[raw] = self.written[_encode(raw)] = name
        self.indexed = {index: self.written.get(name) for index, (name, _) in enumerate(_STATIC)}


@lru_cache(maxsize=64)
def wanted(names: frozenset[str]) -> Wanted:
    """The same for the same names."""
    return Wanted(names)


def scan(block: bytes, names: frozenset[str]) -> dict[str, str] | None:
    """`:status` and the headers of these names; None for a block that is better decoded whole: unusual, or wrong."""
    look = wanted(names)
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:  # a pair of the static table
                name, value, at = look.indexed[first & 0x7F], _STATIC[first & 0x7F][1], at + 1
            elif first & 0x60 == 0x20:  # noqa: PLR2004 - the size of a table that we do not have
                return None
            else:
                name, value, at = _literal(block, at, look)
            if name is not None:
                if name in found:
                    return None
                found[name] = value.decode("latin-1")
    except (IndexError, KeyError, ValueError):
        return None
    return found if next(iter(found), None) == _STATUS else None


def _literal(block: bytes, at: int, look: Wanted) -> tuple[str | None, bytes, int]:
    """A header that is written out, its value decoded if anybody wants it."""
    most = 0x3F if block[at] & 0x40 else 0x0F
    index, at = _integer(block, at, most)
    if index:
        name = look.indexed[index]
    else:
        _, raw, at = _string(block, at)
        name = look.written.get(raw)
    packed, raw, at = _string(block, at)
    return name, decode_huffman(raw) if packed and name is not None else raw, at


def _string(block: bytes, at: int) -> tuple[bool, bytes, int]:
    """Whether it is in Huffman's code, its bytes, and where it ends (§5.2)."""
    packed = block[at] >= 0x80  # noqa: PLR2004 - the first bit
    size, at = _integer(block, at, 0x7F)
    if at + size > len(block):
        raise IndexError
    return packed, block[at : at + size], at + size


def _integer(block: bytes, at: int, most: int) -> tuple[int, int]:
    """A number of up to 14 bits beyond its prefix, and where it ends (§5.1)."""
    value = block[at] & most
    if value < most:
        return value, at + 1
    value += block[at + 1] & 0x7F
    if block[at + 1] < 0x80:  # noqa: PLR2004 - the last byte
        return value, at + 2
    if block[at + 2] >= 0x80:  # noqa: PLR2004 - longer than any header that we read
        raise ValueError
    return value + (block[at + 2] << 7), at + 3
