"""httpx with its extra http2: one client a connection."""

import httpx

from http2_peers.asking import send_each
from http2_peers.target import BODY, PATH, SHARED, Target


class HttpxClient:
    """On the same loop as the others."""

    async def open(self, target: Target) -> None:
        self._target = target
        limits = httpx.Limits(max_connections=1)
        self._clients = [
            httpx.AsyncClient(http2=True, verify=target.tls(), headers=SHARED, limits=limits, timeout=60)
            for _ in range(target.connections)
        ]

    async def send(self, ids: list[str]) -> int:
        return await send_each(self._clients, self._target.streams, ids, self._one)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def _one(self, client: httpx.AsyncClient, id: str) -> bool:
        response = await client.post(self._target.origin + PATH, headers={"apns-id": id}, content=BODY)
        return response.status_code == 200 and response.http_version == "HTTP/2"
