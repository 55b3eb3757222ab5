"""aioapns, on its own pool; only told that the service is on this machine."""

import ssl
from typing import Any

from aioapns.common import NotificationRequest, NotificationResult, PushType
from aioapns.connection import APNsBaseConnectionPool, APNsTLSClientProtocol, AuthorizationHeaderProvider

from http2_peers.asking import send_each
from http2_peers.target import MESSAGE, PATH, SHARED, Target


class _Authorization(AuthorizationHeaderProvider):
    def get_header(self) -> str:
        return SHARED["authorization"]


class _Protocol(APNsTLSClientProtocol):
    """Knows an answer by its stream: the server here does not repeat the `apns-id`, by which aioapns knows it."""

    APNS_SERVER = "localhost"

    def on_response_received(self, headers: dict[bytes, bytes]) -> None:
        self.statuses = headers[b":status"].decode()

    def on_data_received(self, raw_data: bytes, stream_id: int) -> None: ...

    def on_stream_ended(self, stream_id: int) -> None:
        super().on_stream_ended(stream_id)
        id = self.request_streams.pop(stream_id)
        self.requests.pop(id).set_result(NotificationResult(id, self.statuses))


class _Pool(APNsBaseConnectionPool):
    def __init__(self, target: Target) -> None:
        super().__init__(topic=SHARED["apns-topic"], max_connections=target.connections)
        self._target = target
        self._tls: ssl.SSLContext = target.tls()

    async def create_connection(self) -> Any:
        def make() -> _Protocol:
            protocol = _Protocol(SHARED["apns-topic"], self.loop, None, _Authorization())
            protocol.free_channels.bound = self._target.streams
            return protocol

        _, protocol = await self.loop.create_connection(make, "localhost", self._target.port, ssl=self._tls)
        return protocol


class AioapnsClient:
    """All tasks on its one pool."""

    async def open(self, target: Target) -> None:
        self._target = target
        self._pool = _Pool(target)

    async def send(self, ids: list[str]) -> int:
        return await send_each([self._pool], self._target.at_once, ids, self._one)

    async def close(self) -> None:
        self._pool.close()

    async def _one(self, pool: _Pool, id: str) -> bool:
        token = PATH.rpartition("/")[2]
        request = NotificationRequest(token, MESSAGE, id, priority=10, push_type=PushType.ALERT)
        result: NotificationResult = await pool.send_notification(request)
        return result.status == "200"
