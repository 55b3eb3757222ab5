"""WebSocket frames as bytes (RFC 6455), for what no client library would send."""

import asyncio
import json
from typing import Any

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b'{"messageType":"hello","use_webpush":true}'
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_PATIENCE_S = 10


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, mask: bool = True, size: int | None = None
) -> bytes:
    """One frame. `size` announces another length than the payload's, in 64 bits. The mask is all zeros."""
    if size is not None:
        length = b"\x7f" + size.to_bytes(8)
    elif len(payload) < 126:
        length = bytes([len(payload)])
    elif len(payload) < 65_536:
        length = b"\x7e" + len(payload).to_bytes(2)
    else:
        length = b"\x7f" + len(payload).to_bytes(8)
    first = (0x80 if fin else 0) | reserved | opcode
    return bytes([first, length[0] | (0x80 if mask else 0)]) + length[1:] + (b"\0\0\0\0" if mask else b"") + payload


class _Reader(asyncio.StreamReader):
    """Hears what came before a reset, which asyncio's own forgets: who sends to a socket that was closed is reset."""

    def set_exception(self, exc: BaseException) -> None:
        if isinstance(exc, ConnectionError):
            self.feed_eof()
        else:
            super().set_exception(exc)


class RawSocket:
    """A connection to the device port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int | None, *, receive_buffer: int | None = None) -> "RawSocket":
        """Without a word. `receive_buffer`: bytes that the reader takes before it stops to read."""
        loop = asyncio.get_running_loop()
        reader = _Reader(limit=receive_buffer or 65_536, loop=loop)
        transport, protocol = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop), "127.0.0.1", port
        )
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    @classmethod
    async def open(cls, port: int | None, **options: Any) -> "RawSocket":
        """Upgraded to WebSocket."""
        raw = await cls.connect(port, **options)
        raw.writer.write(UPGRADE)
        head = await raw.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return raw

    async def hello(self) -> str:
        """Our name."""
        self.send(TEXT, HELLO)
        return str((await self.message())["uaid"])

    def send(self, opcode: int, payload: bytes, **options: Any) -> None:
        """See `frame`."""
        self.writer.write(frame(opcode, payload, **options))

    def say(self, message: Any) -> None:
        """A message of the device."""
        self.send(TEXT, json.dumps(message).encode())

    async def receive(self) -> tuple[int, bytes]:
        """The opcode and payload of the next frame."""
        head = await asyncio.wait_for(self.reader.readexactly(2), _PATIENCE_S)
        size = head[1]
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2))
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8))
        return head[0] & 15, await self.reader.readexactly(size)

    async def message(self) -> Any:
        """The server's next message."""
        opcode, payload = await self.receive()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def close_code(self) -> int | None:
        """What the server closes with, after whatever it still has to say; None when it only cuts the connection."""
        try:
            while True:
                opcode, payload = await self.receive()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2])
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def is_cut(self) -> bytes:
        """Until the server ends the connection; what it said before."""
        said = b""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while chunk := await self.reader.read(65_536):
                    said += chunk
        except ConnectionError:
            pass
        return said

    def leave(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()
