"""Connections to the services of others over HTTP/2: a pool for each origin, and for each that we are there."""

import asyncio
import ssl
import tempfile
from pathlib import Path

from clarion.ports import ClientIdentity
from clarion.transport.http2 import Pool, client_context

_Key = tuple[str, str, ClientIdentity | None]


class Http2Senders:
    """`ports.Senders`. `authority`: a PEM file of whom to trust instead of the system's authorities.

    A pool that nobody uses keeps no connection, so the few that there are stay.
    """

    def __init__(self, *, authority: Path | None = None) -> None:
        self._authority = str(authority) if authority is not None else None
        self._pools: dict[_Key, Pool] = {}
        self._shared: ssl.SSLContext | None = None

    def to(
        self, origin: str, *, sender: str = "", identity: ClientIdentity | None = None, cautious: bool = False
    ) -> Pool:
        key = (origin, sender, identity)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(origin, tls=self._context(identity), cautious=cautious)
        return pool

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        self._pools.clear()

    def _context(self, identity: ClientIdentity | None) -> ssl.SSLContext:
        if identity is not None:
            return _with_identity(client_context(authority=self._authority), identity)
        if self._shared is None:
            self._shared = client_context(authority=self._authority)
        return self._shared


def _with_identity(context: ssl.SSLContext, identity: ClientIdentity) -> ssl.SSLContext:
    # OpenSSL reads files only: this one is ours alone, and gone before anything is sent.
    with tempfile.NamedTemporaryFile(prefix="clarion-", suffix=".pem") as file:
        file.write(identity.certificate + b"\n" + identity.private_key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise ValueError(f"certificate and key are no pair: {error.reason or error}") from None
    return context
