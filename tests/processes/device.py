"""A device of our push service, as Firefox is one: keeps its name, knows what it has seen, comes back by itself."""

import asyncio
import contextlib
import json
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp

from clarion.crypto import base64url
from clarion.crypto.webpush import Receiver
from processes.waiting import until

# Firefox: dom.push.maxRecentMessageIDsPerSubscription.
REMEMBERED = 100
_RECONNECT_S = 0.05
_REPORT_S = 0.05
_DELIVERED, _NOT_DELIVERED = 100, 102

Told = Callable[[str], None]
"""Called when something happened: `frame` (a message came), `acked` (its ack left), `hello`."""


class Device:
    """One subscription of one user. Its application is what a service worker is to a browser: it gets payloads."""

    def __init__(self, urls: Sequence[str], user_id: str, chance: random.Random, told: Told = lambda _: None) -> None:
        """`urls`: of sockets; each connection takes one of them."""
        self.user_id = user_id
        self.told = told
        self.reports = True  # whether the application sends receipts
        self.received: list[dict[str, Any]] = []  # payloads, in the order in which they reached the application
        self.repeated = 0  # versions that came again and went no further
        self.renamed = 0  # times that the server did not know us any more: all subscriptions lost
        self.closings: Counter[int] = Counter()
        self._urls = urls
        self._chance = chance
        self._keys = Receiver.generate()
        self._channel = str(uuid4())
        self._uaid: str | None = None
        self._endpoint: str | None = None
        self._vapid: str | None = None
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._receipts: deque[dict[str, str]] = deque()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._wanted = asyncio.Event()

    @property
    def online(self) -> bool:
        """Whether it is connected and the server has said hello."""
        return self._socket is not None

    @property
    def reported(self) -> bool:
        """Whether no receipt waits to be taken."""
        return not self._receipts

    @asynccontextmanager
    async def alive(self) -> AsyncIterator["Device"]:
        """Connected whenever there is a server to connect to."""
        self._wanted.set()
        async with aiohttp.ClientSession() as http:
            tasks = [asyncio.create_task(self._stay_connected(http)), asyncio.create_task(self._report(http))]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(result, Exception):
                        raise result

    async def subscribe(self, vapid: str) -> dict[str, str]:
        """The subscription, in the words of `POST /v1/devices`."""
        self._vapid = vapid
        if self._socket is not None:
            await self._register(self._socket)
        await until(lambda: self._endpoint is not None, "an endpoint")
        assert self._endpoint is not None
        return {"address": self._endpoint, "vapid_public_key": vapid, **self._keys.keys()}

    async def go_offline(self) -> None:
        """Cut the connection without a word, and stay away."""
        self._wanted.clear()
        if self._socket is not None and self._socket._response.connection is not None:
            transport = self._socket._response.connection.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        await until(lambda: self._socket is None, "the connection is cut")

    async def go_online(self) -> None:
        """Come back."""
        self._wanted.set()
        await until(lambda: self._socket is not None, "the device is connected")

    async def move_to(self, url: str) -> None:
        """Connect to that server from now on."""
        self._urls = [url]
        await self.go_offline()
        await self.go_online()

    # --- the connection ---

    async def _stay_connected(self, http: aiohttp.ClientSession) -> None:
        while True:
            await self._wanted.wait()
            url = self._chance.choice(self._urls)
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async with http.ws_connect(url, protocols=("push-notification",), max_msg_size=0) as socket:
                    await self._session(socket)
                    self.closings[socket.close_code or 0] += 1
            self._socket = None
            await asyncio.sleep(_RECONNECT_S)

    async def _session(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        hello: dict[str, Any] = {"messageType": "hello", "use_webpush": True, "broadcasts": {}}
        await socket.send_json(hello | ({"uaid": self._uaid} if self._uaid else {}))
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            match message["messageType"]:
                case "hello":
                    await self._welcomed(socket, message)
                case "register":
                    assert message["status"] == 200, message
                    self._endpoint = message["pushEndpoint"]
                case "notification":
                    await self._notified(socket, message)

    async def _welcomed(self, socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any]) -> None:
        if self._uaid is not None and message["uaid"] != self._uaid:
            self.renamed += 1
        self._uaid = message["uaid"]
        self._socket = socket
        self.told("hello")
        if self._vapid is not None and self._endpoint is None:
            await self._register(socket)

    async def _register(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_json({"messageType": "register", "channelID": self._channel, "key": self._vapid})

    async def _notified(self, socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any]) -> None:
        self.told("frame")
        version, code = message["version"], _DELIVERED
        if version in self._seen:
            self.repeated += 1
            code = _NOT_DELIVERED  # what Firefox says of a repetition
        else:
            self._seen.append(version)
            self._application(json.loads(self._keys.decrypt(base64url.decode(message["data"]))))
        update = {"channelID": message["channelID"], "version": version, "code": code}
        await socket.send_json({"messageType": "ack", "updates": [update]})
        self.told("acked")

    # --- the application ---

    def _application(self, payload: dict[str, Any]) -> None:
        self.received.append(payload)
        if self.reports:
            self._receipts.append({"url": payload["receipts_url"], "receipt": payload["receipt"], "kind": "displayed"})

    async def _report(self, http: aiohttp.ClientSession) -> None:
        """Receipts in batches, each until it is taken, as the web SDK does."""
        while True:
            await asyncio.sleep(_REPORT_S)
            batch = list(self._receipts)[:100]
            if not batch:
                continue
            body = {"receipts": [{"receipt": each["receipt"], "kind": each["kind"]} for each in batch]}
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async with http.post(batch[0]["url"], json=body) as answer:
                    if answer.status == 202:
                        for _ in batch:
                            self._receipts.popleft()
