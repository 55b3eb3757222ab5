"""Our side of HPACK (RFC 7541): what all requests share is told once in a connection, then named by one byte each."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

Headers: TypeAlias = tuple[tuple[str, str], ...]

LARGEST_TABLE: Final = 4_096
"""Of our entries in the peer's memory, also where it offers more (§4.2)."""
_ENTRY_OVERHEAD = 32  # §4.1
_FIRST_DYNAMIC = 62  # §2.3.3

# Appendix A, what a request may need of it: index by name, and of the pairs that we send as they are.
_STATIC_NAMES: Final = {
    ":authority": 1, ":method": 2, ":path": 4, ":scheme": 6, "accept": 19, "accept-charset": 15, "accept-encoding": 16,
    "accept-language": 17, "authorization": 23, "cache-control": 24, "content-disposition": 25, "content-encoding": 26,
    "content-language": 27, "content-length": 28, "content-location": 29, "content-range": 30, "content-type": 31,
    "cookie": 32, "date": 33, "expect": 35, "from": 37, "host": 38, "if-match": 39, "if-modified-since": 40,
    "if-none-match": 41, "if-range": 42, "if-unmodified-since": 43, "link": 45, "max-forwards": 47, "range": 50,
    "referer": 51, "user-agent": 58, "via": 60,
}  # fmt: skip
_STATIC_PAIRS: Final = {
    (":method", "GET"): 2,
    (":method", "POST"): 3,
    (":path", "/"): 4,
    (":scheme", "http"): 6,
    (":scheme", "https"): 7,
    ("accept-encoding", "gzip, deflate"): 16,
}


def integer(value: int, bits: int, first: int = 0) -> str:
    """A number with a prefix of `bits` in a byte that begins with `first` (§5.1).

    Blocks are built as text, a character a byte (latin-1): Python joins text faster than bytes.
    """
    most = (1 << bits) - 1
    if value < most:
        return chr(first | value)
    out = [chr(first | most)]
    value -= most
    while value >= 0x80:  # noqa: PLR2004 - seven bits a byte
        out.append(chr(value & 0x7F | 0x80))
        value >>= 7
    return "".join([*out, chr(value)])


LENGTHS: Final = [integer(length, 7) for length in range(4_096)]
"""A literal's length, not Huffman-coded (§5.2), for the lengths that we send."""


def literal(text: str) -> str:
    """A string as it is (§5.2)."""
    return integer(len(text), 7) + text


class _Unindexed(dict[str, str]):
    """By name, what comes before the length and value of a header that is not worth a place in the table (§6.2.2)."""

    _MOST = 1_024

    def __missing__(self, name: str) -> str:
        known = _STATIC_NAMES.get(name, 0)
        written = integer(known, 4) if known else "\0" + literal(name)
        if len(self) < self._MOST:
            self[name] = written
        return written


UNINDEXED: Final = _Unindexed()
"""Quicker than a function that remembers."""


class Prefix(NamedTuple):
    """A request's block is `before`, the path's length, the path, `after`, then its own headers."""

    before: str
    after: str


class Column(NamedTuple):
    """One value for each request of a batch; `length`, where all have the same."""

    values: Sequence[str]
    length: int | None


def blocks(prefix: Prefix, paths: Column, varying: Mapping[str, Column], numbers: range) -> list[bytes]:
    """The blocks of these requests of a batch, joined column by column."""
    part = slice(numbers.start, numbers.stop)
    pieces = _pieces(prefix.before, paths, part)
    lead = prefix.after
    for name, column in varying.items():
        pieces += _pieces(lead + UNINDEXED[name], column, part)
        lead = ""
    texts = map("".join, zip(*pieces, repeat(lead), strict=False))
    return [text.encode("latin-1") for text in texts]


def _pieces(lead: str, column: Column, part: slice) -> list[Iterable[str]]:
    """What comes before each value, with its length, and the values."""
    values = column.values[part]
    if column.length is not None:
        return [repeat(lead + LENGTHS[column.length]), values]
    return [repeat(lead), map(LENGTHS.__getitem__, map(len, values)), values]


class Encoder:
    """The dynamic table that we keep at the peer (§2.3.2).

    Nothing is ever evicted one by one: when the headers of another batch do not fit beside those before, the table is
    emptied and begun anew.
    """

    def __init__(self) -> None:
        self._capacity = LARGEST_TABLE
        self._announce: list[int] = []  # capacities that the next block must tell first
        self._entries: dict[tuple[str, str], int] = {}  # the number under which each was inserted
        self._size = 0
        self._headers: tuple[Headers, Headers] | None = None
        self._steady = Prefix("", "")

    def resize(self, offered: int) -> None:
        """SETTINGS_HEADER_TABLE_SIZE of the peer: from our acknowledgement on, no more than that (§4.2)."""
        capacity = min(offered, LARGEST_TABLE)
        if capacity != self._capacity or self._announce:
            smallest = min([capacity, *self._announce])
            self._forget([smallest, capacity] if smallest < capacity else [capacity])
            self._capacity = capacity

    def prefixes(self, pseudo: Headers, headers: Headers) -> tuple[Prefix, Prefix]:
        """What the next block must begin with, and what every further block begins with.

        The caller must send a block with the first: the peer's table follows what it reads.
        """
        if self._headers == (pseudo, headers):
            return self._steady, self._steady
        wanted = dict.fromkeys(pair for pair in (*pseudo, *headers) if pair not in _STATIC_PAIRS)
        needed = sum(map(_size, wanted.keys() - self._entries.keys()))
        if self._size and self._size + needed > self._capacity:
            self._forget([0, self._capacity])
        updates = "".join(integer(capacity, 5, 0x20) for capacity in self._announce)  # §6.3
        self._announce = []
        opening = self._prefix(pseudo, headers, introduce=True)
        self._headers = (pseudo, headers)
        self._steady = self._prefix(pseudo, headers, introduce=False)
        return Prefix(updates + opening.before, opening.after), self._steady

    def _forget(self, announce: list[int]) -> None:
        self._announce = announce
        self._entries = {}
        self._size = 0
        self._headers = None

    def _prefix(self, pseudo: Headers, headers: Headers, *, introduce: bool) -> Prefix:
        before = "".join([self._field(pair, introduce=introduce) for pair in pseudo]) + UNINDEXED[":path"]
        return Prefix(before, "".join([self._field(pair, introduce=introduce) for pair in headers]))

    def _field(self, pair: tuple[str, str], *, introduce: bool) -> str:
        if index := _STATIC_PAIRS.get(pair):
            return integer(index, 7, 0x80)  # §6.1
        number = self._entries.get(pair)
        if number is not None:
            return integer(_FIRST_DYNAMIC + len(self._entries) - 1 - number, 7, 0x80)
        name, value = pair
        if not introduce or self._size + _size(pair) > self._capacity:
            return UNINDEXED[name] + literal(value)
        self._entries[pair] = len(self._entries)
        self._size += _size(pair)
        known = _STATIC_NAMES.get(name, 0)
        return (integer(known, 6, 0x40) if known else "\x40" + literal(name)) + literal(value)  # §6.2.1


def _size(pair: tuple[str, str]) -> int:
    return len(pair[0]) + len(pair[1]) + _ENTRY_OVERHEAD
