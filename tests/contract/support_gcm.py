"""A small Chromium: check-in, registration and MCS over real TLS, with the messages of Google's protobuf library."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from clarion.crypto.p256 import KeyPair
from clarion.ports import PushStore
from clarion.testing import ManualClock
from clarion.transport.authority import AUTHORITY, OwnCertificate
from contract.support_gateway import PATIENCE_S, Meddler, PushService, push_service, vapid

PING, PING_ACK, LOGIN, WELCOME, CLOSE, IQ, DATA, STREAM_ERROR = 0, 1, 2, 3, 4, 7, 8, 10
GOOGLE = "https://jmt17.google.com"
STREAM_ACK, SELECTIVE_ACK = 13, 12
_Type = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "int": _Type.TYPE_INT64,
    "fixed": _Type.TYPE_FIXED64,
    "text": _Type.TYPE_STRING,
    "bytes": _Type.TYPE_BYTES,
    "bool": _Type.TYPE_BOOL,
}
# Number, name and type of the fields, as Chromium's google_apis/gcm/protocol/*.proto has them; `*`: repeated.
_MESSAGES = {
    "Heartbeat": "1 stream_id int, 2 last_stream_id_received int, 3 status int",
    "ErrorInfo": "1 code int, 2 message text, 3 type text",
    "Setting": "1 name text, 2 value text",
    "LoginRequest": "1 id text, 2 domain text, 3 user text, 4 resource text, 5 auth_token text, 6 device_id text, "
    "8 setting *Setting, 10 received_persistent_id *text, 12 adaptive_heartbeat bool, 14 use_rmq2 bool, "
    "16 auth_service int, 17 network_type int",
    "LoginResponse": "1 id text, 3 error ErrorInfo, 5 stream_id int, 6 last_stream_id_received int, "
    "8 server_timestamp int",
    "StreamError": "1 type text, 2 text text",
    "Close": "",
    "Extension": "1 id int, 2 data bytes",
    "Iq": "1 rmq_id int, 2 type int, 3 id text, 7 extension Extension, 8 persistent_id text, "
    "10 last_stream_id_received int",
    "AppData": "1 key text, 2 value text",
    "DataMessage": "2 id text, 3 from text, 5 category text, 6 token text, 7 app_data *AppData, 9 persistent_id text, "
    "11 last_stream_id_received int, 17 ttl int, 18 sent int, 21 raw_data bytes, 24 immediate_ack bool",
    "SelectiveAck": "1 id *text",
    "CheckinSetting": "1 name bytes, 2 value bytes",
    "CheckinRequest": "2 id int, 13 security_token fixed, 14 version int",
    "CheckinResponse": "1 stats_ok bool, 3 time_msec int, 5 setting *CheckinSetting, 7 android_id fixed, "
    "8 security_token fixed, 9 settings_diff bool",
}
_TAGS = {
    PING: "Heartbeat",
    PING_ACK: "Heartbeat",
    LOGIN: "LoginRequest",
    WELCOME: "LoginResponse",
    CLOSE: "Close",
    IQ: "Iq",
    DATA: "DataMessage",
    STREAM_ERROR: "StreamError",
}


def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="gcm.proto", package="gcm", syntax="proto2")
    for name, fields in _MESSAGES.items():
        made = file.message_type.add(name=name)
        for number, called, kind in (each.split() for each in fields.split(", ") if each):
            label = _Type.LABEL_REPEATED if kind.startswith("*") else _Type.LABEL_OPTIONAL
            bare = kind.removeprefix("*")
            told = {"type": _KINDS[bare]} if bare in _KINDS else {"type_name": f".gcm.{bare}"}
            made.field.add(name=called, number=int(number), label=label, **told)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(found(f"gcm.{name}")) for name in _MESSAGES}


PROTO = _classes()


def framed(tag: int, message: bytes) -> bytes:
    """A frame; messages here are shorter than 2¹⁴ bytes."""
    size = len(message)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([tag]) + length + message


class Hung(Exception):
    """The server closed the connection."""


@dataclass
class Browser:
    """Speaks GCM as Chromium does, and acknowledges only what it is told to."""

    service: PushService
    trust: Path
    id: int = 0
    token: int = 0
    pair: KeyPair = field(default_factory=KeyPair.generate)
    heard: int = 0  # frames of the server: their stream ids
    said: int = 0
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def port(self) -> int | None:
        """Of MCS."""
        return self.service.gateway.gcm_port

    # --- over HTTP ---

    async def call(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, bytes]:
        """Status and body."""
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        sent: list[Any] = []
        bodies = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            return next(bodies)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.service.gateway.gcm_app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    async def check_in(self) -> tuple[int, Any]:
        request = PROTO["CheckinRequest"](id=self.id, security_token=self.token, version=3)
        status, body = await self.call("/gcm/checkin", request.SerializeToString())
        if status != 200:
            return status, body
        response = PROTO["CheckinResponse"].FromString(body)
        self.id, self.token = response.android_id, response.security_token
        return status, response

    async def form(self, **fields: str) -> tuple[int, str]:
        """What register3 answers."""
        told = {"app": "com.chrome.linux", "X_subtype": "wp:https://shop.example/#1-V2"} | fields
        body = urlencode({name.replace("_", "-"): value for name, value in told.items()}).encode()
        status, text = await self.call("/gcm/register3", body, {"Authorization": f"AidLogin {self.id}:{self.token}"})
        return status, text.decode()

    async def register(self, **fields: str) -> str:
        """The endpoint that it tells senders."""
        status, text = await self.form(sender=self.pair.public_text, **fields)
        assert (status, text[:6]) == (200, "token="), text
        return f"{GOOGLE}/fcm/send/{text[6:]}"

    async def unregister(self, **fields: str) -> None:
        """As Chromium does: without saying for whom."""
        told = {"delete": "true", "sender": "*", "scope": "*"} | fields
        status, text = await self.form(**told)
        assert status == 200
        assert "token=" in text

    # --- over MCS ---

    async def connect(self) -> "Browser":
        context = ssl.create_default_context(cafile=str(self.trust / AUTHORITY))
        self._streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="localhost")
        self.heard = self.said = 0
        return self

    async def write(self, data: bytes) -> None:
        assert self._streams
        self._streams[1].write(data)
        await self._streams[1].drain()

    async def say(self, tag: int, **fields: Any) -> None:
        self.said += 1
        await self.write(framed(tag, PROTO[_TAGS[tag]](**fields).SerializeToString()))

    async def hear(self, wait_s: float = PATIENCE_S) -> tuple[int, Any]:
        """Tag and message. Raises Hung."""
        try:
            return await asyncio.wait_for(self._hear(), wait_s)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Hung from error

    async def _hear(self) -> tuple[int, Any]:
        assert self._streams
        reader = self._streams[0]
        if not self.heard:
            assert await reader.readexactly(1) == bytes([41])
        tag = (await reader.readexactly(1))[0]
        size = shift = 0
        while True:
            byte = (await reader.readexactly(1))[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        self.heard += 1
        return tag, PROTO[_TAGS[tag]].FromString(await reader.readexactly(size))

    async def login(self, received: tuple[str, ...] = (), **fields: Any) -> Any:
        """The answer to a login."""
        told = {
            "id": "chrome-156",
            "domain": "mcs.android.com",
            "user": str(self.id),
            "resource": str(self.id),
            "auth_token": str(self.token),
            "device_id": f"android-{self.id:x}",
            "received_persistent_id": received,
            "use_rmq2": True,
            "auth_service": 2,
        } | fields
        await self.write(bytes([41]))
        await self.say(LOGIN, **told)
        tag, answer = await self.hear()
        assert tag == WELCOME
        return answer

    async def back(self, received: tuple[str, ...] = ()) -> "Browser":
        """Connect again and log in."""
        await self.leave()
        await self.connect()
        assert not (await self.login(received)).HasField("error")
        return self

    async def message(self) -> Any:
        """The next push message."""
        tag, message = await self.hear()
        assert tag == DATA, (tag, message)
        return message

    async def ack(self, up_to: int | None = None) -> None:
        """All that was heard, or all up to a stream id."""
        await self.say(
            IQ, type=1, id="", extension={"id": STREAM_ACK, "data": b""}, last_stream_id_received=up_to or self.heard
        )

    async def silence(self) -> Any:
        """Nothing waits to be heard: asked by a ping, whose answer would come after it. Returns the answer."""
        await self.say(PING)
        tag, answer = await self.hear()
        assert tag == PING_ACK, answer
        return answer

    async def leave(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    # --- its senders ---

    async def push(
        self, endpoint: str, body: bytes = b"sealed", ttl: int = 60, audience: str = GOOGLE, **headers: str
    ) -> None:
        """A push by the sender whose key it registered is accepted."""
        authorization = vapid(self.pair, audience, self.service.clock.now())
        await self.service.push(endpoint, body, ttl, Authorization=authorization, **headers)


# --- what tests share ------------------------------------------------------------------------------------------------

WITHOUT_CAUSE = {"beat", "broadcasts"}
"""What a node asks of its store by itself."""


def gcm_service(
    meddler: Meddler, clock: ManualClock, folder: Path, **more: Any
) -> AbstractAsyncContextManager[PushService]:
    """A gateway that Chromium can connect to; its certificate is made in the folder."""
    # By the machine's own time, which TLS goes by.
    tls = OwnCertificate(folder, ["127.0.0.1", "localhost"], ManualClock(time.time_ns() // 1_000_000)).listening()
    return push_service(cast("PushStore", meddler), clock, gcm=True, gcm_port=0, data=folder, gcm_tls=tls, **more)


@asynccontextmanager
async def checked_in(service: PushService, trust: Path) -> AsyncIterator[Browser]:
    """A browser that has a name."""
    browser = Browser(service, trust)
    await browser.check_in()
    yield browser
    await browser.leave()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.005)
