"""TLS on both ports, over real sockets: who gets in, who does not, and what connections notice of a renewal."""

import asyncio
import contextlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from certificates import Authority, Pair, serial_of
from clarion.api.http import Answer, Receive, Scope, Send, write
from clarion.api.listener import HttpServer
from clarion.config import Settings
from clarion.testing import ManualClock
from clarion.transport.tls import Certificate
from contract.support_gateway import PATIENCE_S, Device, push_service
from free_ports import free_port

ON_BOTH_LOOPS = True
PLAIN = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# The beginning of a ClientHello that announces 512 bytes more.
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Talk(Protocol):
    """One open connection."""

    @property
    def ssl_object(self) -> ssl.SSLObject: ...

    async def speak(self) -> None:
        """Say something, and be answered."""

    async def end(self) -> None: ...


class HttpTalk:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def ssl_object(self) -> ssl.SSLObject:
        return self._writer.get_extra_info("ssl_object")

    async def speak(self) -> None:
        self._writer.write(PLAIN)
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await self._reader.readexactly(len(WORDS)) == WORDS

    async def end(self) -> None:
        self._writer.close()


class DeviceTalk:
    def __init__(self, device: Device) -> None:
        self._device = device

    @property
    def ssl_object(self) -> ssl.SSLObject:
        return self._device.socket.get_extra_info("ssl_object")

    async def speak(self) -> None:
        if self._device.uaid is None:
            await self._device.hello()
        assert await self._device.silence()

    async def end(self) -> None:
        await self._device.leave()


WORDS = b"Here."


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await write(send, Answer(200, WORDS))


class Port(Protocol):
    """One of the two."""

    def listening(self, certificate: Certificate) -> AbstractAsyncContextManager[int]: ...

    async def connect(self, port: int, tls: ssl.SSLContext) -> Talk: ...


class HttpPort:
    @asynccontextmanager
    async def listening(self, certificate: Certificate) -> AsyncIterator[int]:
        ready = asyncio.Event()
        settings = Settings(port=free_port())
        server = HttpServer(app, settings, certificate.listening(), ready.set)
        serving = asyncio.create_task(server.serve())
        await ready.wait()
        try:
            yield settings.port
        finally:
            server.should_exit = True
            await serving

    async def connect(self, port: int, tls: ssl.SSLContext) -> Talk:
        return HttpTalk(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost"))


class DevicePort:
    @asynccontextmanager
    async def listening(self, certificate: Certificate) -> AsyncIterator[int]:
        async with push_service(tls=certificate.listening()) as service:
            assert service.gateway.port is not None
            yield service.gateway.port

    async def connect(self, port: int, tls: ssl.SSLContext) -> Talk:
        device = Device(f"wss://localhost:{port}/")
        try:
            return DeviceTalk(await device.connect(ssl=tls))
        except Exception:
            await device.leave()
            raise


class World:
    """One port with a certificate, and what would trust it."""

    def __init__(self, port: Port, folder: Path) -> None:
        self.authority = Authority(folder)
        self.pair = Pair(folder / "cert.pem", folder / "key.pem")
        self.serial = self.authority.issue(self.pair)
        self.complaints: list[Any] = []
        self._port = port
        self._clock = ManualClock(round(datetime.now(UTC).timestamp() * 1000))
        self._stack = contextlib.AsyncExitStack()

    async def listen(self, **options: Any) -> "World":
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.complaints.append(context))
        self.certificate = Certificate(self.pair.cert, self.pair.key, self._clock, **options)
        self.number = await self._stack.enter_async_context(self._port.listening(self.certificate))
        return self

    async def close(self) -> None:
        await self._stack.aclose()

    async def talk(self, **options: Any) -> Talk:
        tls = self.authority.trust()
        for name, value in options.items():
            setattr(tls, name, value)
        return await self.connect(tls)

    async def connect(self, tls: ssl.SSLContext) -> Talk:
        talk = await self._port.connect(self.number, tls)
        self._stack.push_async_callback(talk.end)
        return talk

    async def refuses(self, tls: ssl.SSLContext) -> None:
        """The server ends the handshake: with an alert, which asyncio's loop does not always get out of the door."""
        with pytest.raises((ssl.SSLError, ConnectionError)) as caught:
            await asyncio.open_connection("127.0.0.1", self.number, ssl=tls, server_hostname="localhost")
        if isinstance(caught.value, ssl.SSLError):
            assert "ALERT" in str(caught.value.reason)

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        self._stack.callback(writer.close)
        return reader, writer

    async def serial_now(self) -> int:
        """Of the certificate that a new connection is shown."""
        return serial_of((await self.talk()).ssl_object.getpeercert(binary_form=True))


@pytest.fixture(params=[HttpPort, DevicePort], ids=["http", "devices"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = World(request.param(), tmp_path)
    yield world
    await world.close()
    assert world.complaints == []


# --- who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_who_trusts_the_authority_gets_in(world: World, version: ssl.TLSVersion) -> None:
    await world.listen()
    talk = await world.talk(maximum_version=version, minimum_version=version)
    await talk.speak()
    assert talk.ssl_object.version() == version.name.replace("_", ".")
    assert serial_of(talk.ssl_object.getpeercert(binary_form=True)) == world.serial


async def test_the_protocol_agreed_on_is_http_1_1(world: World) -> None:
    """A proxy or browser that would rather speak HTTP/2 must know that it cannot."""
    await world.listen()
    tls = world.authority.trust()
    tls.set_alpn_protocols(["h2", "http/1.1"])
    talk = await world.connect(tls)
    assert talk.ssl_object.selected_alpn_protocol() == "http/1.1"
    await talk.speak()


async def test_a_stranger_who_does_not_trust_it_hangs_up(world: World) -> None:
    await world.listen()
    with pytest.raises(ssl.SSLCertVerificationError):
        await world.connect(ssl.create_default_context())
    await (await world.talk()).speak()


async def test_tls_1_1_is_refused_by_the_server(world: World) -> None:
    await world.listen()
    tls = world.authority.trust()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is what is under test
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is not the client that refuses
    await world.refuses(tls)


async def test_a_cipher_without_forward_secrecy_is_refused(world: World) -> None:
    await world.listen()
    tls = world.authority.trust()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers("AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    await world.refuses(tls)


async def test_plain_words_are_hung_up_on(world: World) -> None:
    await world.listen()
    reader, writer = await world.raw()
    writer.write(PLAIN)
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert not answer.startswith(b"HTTP/")
    await (await world.talk()).speak()


@pytest.mark.parametrize("said", [b"", HALF_HELLO], ids=["nothing", "half a hello"])
async def test_a_handshake_that_stalls_is_hung_up_on(world: World, said: bytes) -> None:
    await world.listen(handshake_s=0.2)
    reader, writer = await world.raw()
    writer.write(said)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    await (await world.talk()).speak()


# --- renewed ---------------------------------------------------------------------------------------------------------


async def test_a_renewal_is_for_new_connections_and_open_ones_go_on(world: World) -> None:
    await world.listen()
    before = await world.talk()
    await before.speak()
    renewed = world.authority.issue(world.pair)
    assert await world.serial_now() == world.serial  # nobody looked yet
    await world.certificate.renew()
    assert await world.serial_now() == renewed
    await before.speak()


@pytest.mark.parametrize("rsa_first", [True, False])
async def test_a_renewal_may_change_the_kind_of_key(world: World, rsa_first: bool) -> None:
    world.authority.issue(world.pair, rsa_key=rsa_first)
    await world.listen()
    renewed = world.authority.issue(world.pair, rsa_key=not rsa_first)
    await world.certificate.renew()
    assert await world.serial_now() == renewed


async def test_a_broken_pair_leaves_the_old_one_in_service(world: World) -> None:
    await world.listen()
    for written in (world.pair.cert.read_bytes()[:100], b""):
        world.pair.cert.write_bytes(written)
        await world.certificate.renew()
        assert await world.serial_now() == world.serial
    world.authority.issue(Pair(world.pair.cert, world.pair.key.with_name("elsewhere.pem")))
    await world.certificate.renew()
    assert await world.serial_now() == world.serial
    renewed = world.authority.issue(world.pair)
    await world.certificate.renew()
    assert await world.serial_now() == renewed


async def test_a_session_is_resumed_across_a_renewal(world: World) -> None:
    """A thousand devices that come back after a restart of their network save us a thousand signatures."""
    await world.listen()
    tls = world.authority.trust()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    session, reused = await asyncio.to_thread(_handshake, world.number, tls, None)
    assert not reused
    world.authority.issue(world.pair)
    await world.certificate.renew()
    _, reused = await asyncio.to_thread(_handshake, world.number, tls, session)
    assert reused


def _handshake(port: int, tls: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession, bool]:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
        tls.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
    ):
        assert secure.session is not None
        return secure.session, bool(secure.session_reused)
