"""The peer's side of HPACK: we offer no table, so a plain success is known by the first bytes of its block."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import hpack

from clarion.ports import HttpResponse
from clarion.transport.http2.frames import Code, ConnectionFault, StreamFault

LARGEST_LIST: Final = 65_536
"""Bytes of one response's headers, counted as RFC 9113 §6.5.2 does; we keep them only until the caller has them."""

PLAIN: Final = {b"\x88": HttpResponse(200), b"\x89": HttpResponse(204), b"\x8a": HttpResponse(206)}
"""Successes by the first byte of a block: `:status` out of the static table (RFC 7541 §6.1 and appendix A)."""

STATUS_SIZE: Final = 5
"""Bytes of a block by which a success is known, however it is written."""
_NAMED_STATUS = frozenset(first | index for first in (0x00, 0x10, 0x40) for index in range(8, 15))
_WRITTEN = {b"\x03%d" % status: HttpResponse(status) for status in (200, 201, 202, 203, 204, 205)}
_HUFFMAN = {
    b"\x82\x10\x01": HttpResponse(200),
    b"\x82\x10\x03": HttpResponse(201),
    b"\x82\x10\x05": HttpResponse(202),
}


def plain_success(block: bytes) -> HttpResponse | None:
    """The success that a stateless block begins with, if it does; its first STATUS_SIZE bytes are enough.

    201 must be written out (RFC 7541 §6.2). The name's index takes 4 bits or 6; 8 to 14, all `:status`, fit both.
    """
    if not block:
        return None
    if block[0] in _NAMED_STATUS:
        return _WRITTEN.get(block[1:5]) or _HUFFMAN.get(block[1:4])
    return PLAIN.get(block[:1])


class Decoder:
    """What is not a plain success. Until the peer has acknowledged our SETTINGS it may use a table of 4,096 bytes."""

    def __init__(self) -> None:
        self._hpack = hpack.Decoder(LARGEST_LIST)
        self.stateless = False

    def acknowledged(self) -> None:
        """From here on the peer has no table: each block stands for itself (RFC 7541 §4.2)."""
        self._hpack = hpack.Decoder(LARGEST_LIST)
        self._hpack.header_table_size = self._hpack.max_allowed_table_size = 0
        self.stateless = True

    def follow(self, block: bytes) -> None:
        """A block that nobody reads, but that the table may depend on.

        Raises:
            ConnectionFault: it cannot be decoded.
        """
        if not self.stateless:
            with suppress(StreamFault):
                self.decode(block)

    def decode(self, block: bytes) -> dict[str, str]:
        """Headers by name; of a name that comes several times, the values joined (RFC 9110 §5.3).

        Raises:
            ConnectionFault: the block cannot be decoded (RFC 9113 §4.3).
            StreamFault: the fields break RFC 9113 §8.2.1 or §8.3.
        """
        try:
            fields = list(self._hpack.decode(block, raw=True))  # a value need not be UTF-8
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "headers too large") from error
        except hpack.HPACKError as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "headers cannot be decoded") from error
        headers: dict[str, str] = {}
        for field in fields:
            name, value = (str(part, "latin-1") for part in field)
            _check(name, headers)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers


def _check(name: str, before: Mapping[str, str]) -> None:
    if name != name.lower():
        raise StreamFault(Code.PROTOCOL_ERROR, "header name in capitals")
    if name.startswith(":") and (name != ":status" or before):
        raise StreamFault(Code.PROTOCOL_ERROR, "pseudo-header in the wrong place")


def status_of(headers: dict[str, str]) -> int:
    """Takes `:status` out of the headers of a response.

    Raises:
        StreamFault: it is missing, no status, or 101, which HTTP/2 does not have (RFC 9113 §8.3.2, §8.6).
    """
    text = headers.pop(":status", "")
    if len(text) != 3 or not text.isascii() or not text.isdigit() or text < "100" or text == "101":  # noqa: PLR2004
        raise StreamFault(Code.PROTOCOL_ERROR, "no proper status")
    return int(text)
