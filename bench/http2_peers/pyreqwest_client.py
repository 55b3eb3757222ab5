"""reqwest (Rust) by pyreqwest: one client a connection, since each keeps one to a host."""

from pathlib import Path

from pyreqwest.client import Client, ClientBuilder

from http2_peers.asking import send_each
from http2_peers.target import BODY, PATH, SHARED, Target


class PyreqwestClient:
    """Its threads' time counts, as everything of the process."""

    async def open(self, target: Target) -> None:
        self._target = target
        certificate = Path(target.authority).read_bytes()  # noqa: ASYNC240 - before anything is measured
        self._clients = [
            ClientBuilder().http2(enable=True).add_root_certificate_pem(certificate).build()
            for _ in range(target.connections)
        ]
        for client in self._clients:
            await self._one(client, "first")  # or it would open a connection for each request that waits for one

    async def send(self, ids: list[str]) -> int:
        return await send_each(self._clients, self._target.streams, ids, self._one)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def _one(self, client: Client, id: str) -> bool:
        request = client.post(self._target.origin + PATH).headers(SHARED).header("apns-id", id).body_bytes(BODY)
        response = await request.build().send()
        return response.status == 200 and response.version == "HTTP/2.0"
