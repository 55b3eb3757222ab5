"""A service that speaks HTTP/1.1 over TLS and takes everything: for the libraries that know no HTTP/2."""

import asyncio
import ssl
import sys

import uvloop

_BODY = b'{"name": "projects/shop-1234/messages/0:1"}'
_HEAD = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)


class _Connection(asyncio.Protocol):
    """Answers each request when its body is complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
            length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._transport.write(_HEAD + _BODY)  # type: ignore[attr-defined] # a TCP transport is a write transport


async def _serve(port: int, certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, ssl=context, backlog=1_000)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
