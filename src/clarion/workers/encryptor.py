"""A process that encrypts and does nothing else: chunks of messages come in on a socket, bodies go back on it.

It is started by `encryption.py`, and ends when the other end of the socket is gone, however that came: it never
outlives its server. It imports the encryption only, so that it is small and ready at once.
"""

import marshal
import os
import signal
import socket
from typing import Any, Final

from clarion.crypto.webpush import BadSubscription, PayloadTooLarge, Plain, Sealed, encrypt_many

HEAD: Final = 4
"""Bytes before each chunk that say how many follow, big-endian; those are written by `marshal`, at 0.2 µs a message."""
_NICER: Final = 5
_ERRORS: Final = {error.__name__: error for error in (BadSubscription, PayloadTooLarge)}


def framed(values: list[Any]) -> bytes:
    """A chunk as it goes over the socket."""
    data = marshal.dumps(values)
    return len(data).to_bytes(HEAD) + data


def plain_of(data: bytes | memoryview) -> list[Plain]:
    """What `framed` made of them."""
    plain: list[Plain] = marshal.loads(data)  # noqa: S302 - from our own other end
    return plain


def bodies_of(data: bytes | memoryview) -> list[Sealed]:
    """Of an answer: an error is a tuple of its name and what it was made with."""
    answered: list[Any] = marshal.loads(data)  # noqa: S302 - from our own other end
    return [each if isinstance(each, bytes) else _ERRORS[each[0]](*each[1:]) for each in answered]


def answer(data: bytes | memoryview) -> bytes:
    """The whole work."""
    sealed = encrypt_many(plain_of(data))
    return framed([each if isinstance(each, bytes) else (type(each).__name__, *each.args) for each in sealed])


def _read(server: socket.socket, size: int) -> memoryview | None:
    """Exactly so many bytes; None when the other end is gone."""
    buffer = memoryview(bytearray(size))
    filled = 0
    while filled < size:
        got = server.recv_into(buffer[filled:])
        if not got:
            return None
        filled += got
    return buffer


def main() -> None:
    """Answer what comes on the socket that is standard input."""
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.SIG_IGN)  # they are for the server, which still needs us while it finishes
    os.nice(_NICER)  # what the loop does never waits for us
    with socket.socket(fileno=0) as server:
        while (head := _read(server, HEAD)) and (data := _read(server, int.from_bytes(head))) is not None:
            server.sendall(answer(data))


if __name__ == "__main__":
    try:
        main()
    except ConnectionError:
        os._exit(0)
