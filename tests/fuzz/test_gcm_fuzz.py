"""A Chromium that loses connections and acks at any moment, on a store that is slow and fails: all is shown, once."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from autopush_world import ORIGIN, SECRETS, SlowStore, turn
from hypothesis import given
from hypothesis import strategies as st

from clarion.config import Settings
from clarion.crypto.android import AndroidId, AndroidIds
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.signing import Signer
from clarion.errors import Unavailable
from clarion.gateway import Gateway
from clarion.gateway.gcm.apps import App
from clarion.gateway.gcm.connection import McsConnection
from clarion.ports import HttpRequest
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from contract.support_gcm import CLOSE, DATA, IQ, LOGIN, PING, PROTO, STREAM_ACK, WELCOME, framed

APP = App("com.chrome.linux", "wp:https://shop.example/#1-V2", "sender")


class FailingStore(SlowStore):
    """Besides, acknowledgements fail while it is told so."""

    failing = False

    async def acknowledge(self, *arguments: object) -> None:
        if self.failing:
            await turn(1)
            raise Unavailable("the database is away")
        await super().__getattr__("acknowledge")(*arguments)


class Wire:
    """A transport that carries at once, until it is cut."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self.open = True
        self._heard = heard

    def write(self, data: bytes) -> None:
        if self.open:
            self._heard(data)

    def close(self) -> None:
        self.open = False

    abort = close


class Chromium:
    """Keeps the ids of what it received until the server confirms them (google_apis/gcm/engine/mcs_client.cc)."""

    def __init__(self, gateway: Gateway, name: AndroidId) -> None:
        self.shown: list[bytes] = []
        self.wrong: list[str] = []
        self._gateway = gateway
        self._name = name
        self._kept: list[str] = []  # received, on whatever connection, and not confirmed
        self._acked: dict[int, list[str]] = {}  # by our stream id
        self._wire: Wire | None = None
        self._socket: McsConnection | None = None

    def connect(self) -> None:
        self.drop()
        self._kept += [id for ids in self._acked.values() for id in ids]
        self._received, self._said, self._unacked = 0, 1, list[str]()
        self._acked = {1: self._kept}
        login = PROTO["LoginRequest"](
            id="x", user=str(self._name.id), auth_token=str(self._name.token), received_persistent_id=self._kept
        )
        self._kept = []
        self._socket = McsConnection(self._gateway._browsers)
        self._wire = Wire(self._hear)
        self._socket.connection_made(self._wire)  # type: ignore[arg-type]
        self._socket.data_received(bytes([41]) + framed(LOGIN, login.SerializeToString()))

    @property
    def online(self) -> bool:
        """Whether neither end has closed the connection."""
        return self._wire is not None and self._wire.open

    def drop(self) -> None:
        """The connection breaks."""
        if self._socket is not None and self._wire is not None:
            self._wire.open = False
            self._socket.connection_lost(None)
            self._kept += self._unacked
            self._socket = self._wire = None

    def ack(self, arrives: bool) -> None:
        """All that came; `arrives`: else it is lost on the way, and the connection with it."""
        if self._socket is None or self._wire is None or not self._wire.open or not self._received:
            return
        self._said += 1
        self._acked[self._said] = self._unacked
        self._unacked = []
        iq = PROTO["Iq"](
            type=1, id="", extension={"id": STREAM_ACK, "data": b""}, last_stream_id_received=self._received
        )
        if arrives:
            self._socket.data_received(framed(IQ, iq.SerializeToString()))
        else:
            self.drop()

    def ping(self) -> None:
        if self._socket is not None and self._wire is not None and self._wire.open and self._received:
            self._said += 1
            self._socket.data_received(framed(PING, PROTO["Heartbeat"]().SerializeToString()))

    def _hear(self, data: bytes) -> None:
        if not self._received:
            data = data.removeprefix(bytes([41]))
        tag, message = data[0], data[2:] if data[1] < 128 else data[3:]
        if tag == CLOSE:
            return
        self._received += 1
        name = {WELCOME: "LoginResponse", DATA: "DataMessage"}.get(tag, "Heartbeat")
        read = PROTO[name].FromString(message)
        for id in [id for id in self._acked if id <= read.last_stream_id_received]:
            del self._acked[id]
        if tag == DATA:
            if read.raw_data in self.shown:
                self.wrong.append(f"{read.raw_data!r} is shown twice")
            self.shown.append(read.raw_data)
            self._unacked.append(read.persistent_id)


class World:
    """A gateway, one Chromium, one sender."""

    def __init__(self, turns: list[int]) -> None:
        clock = ManualClock()
        self.store = FailingStore(MemoryStore(clock).push, turns)
        self.tokens = EndpointTokens(SECRETS)
        ids = AndroidIds(SECRETS)
        self.name = ids.new()
        settings = Settings(public_endpoint_url=ORIGIN)
        store = self.store  # type: ignore[assignment]
        self.gateway = Gateway(settings, store, LocalBus(), clock, self.tokens, Signer(SECRETS), ids)  # type: ignore[arg-type]
        self.browser = Chromium(self.gateway, self.name)
        self.posted: list[bytes] = []
        self._posting: set[asyncio.Task[None]] = set()

    async def subscribe(self) -> None:
        uaid = self.name.uaid()
        await self.store.register(uaid.hex(), APP.channel_id, None, None, 0, APP.stored())
        chid = bytes.fromhex(APP.channel_id.replace("-", ""))
        self.endpoint = f"{ORIGIN}/wpush/v1/{self.tokens.make_v1(uaid, chid)}"

    def post(self, count: int) -> None:
        for _ in range(count):
            body = b"message %d" % len(self.posted)
            self.posted.append(body)
            task = asyncio.create_task(self._post(body))
            self._posting.add(task)

    async def _post(self, body: bytes) -> None:
        headers = {"TTL": "60", "Content-Encoding": "aes128gcm"}
        [response] = await self.gateway.accept([HttpRequest("POST", self.endpoint, headers, body)])
        assert response.status == 201

    async def settle(self) -> None:
        """The store recovers, the browser comes back, and everything takes its course."""
        await asyncio.gather(*self._posting)
        self.store.failing = False
        self.browser.connect()
        for _ in range(3 * len(self.posted) + 10):
            await turn(40)
            while len(self.gateway._node.tasks):  # noqa: ASYNC110 - acks are written in rounds, a pause apart
                await asyncio.sleep(0.001)
            if not self.browser.online:  # sent away for acks that were lost: a browser comes back by itself
                self.browser.connect()
            self.browser.ack(arrives=True)


Step: TypeAlias = Callable[[World], None]


def _fail(failing: bool) -> Step:
    return lambda world: setattr(world.store, "failing", failing)


steps: st.SearchStrategy[Step] = st.one_of(
    st.integers(1, 15).map(lambda count: lambda world: world.post(count)),
    st.booleans().map(lambda arrives: lambda world: world.browser.ack(arrives)),
    st.just(lambda world: world.browser.connect()),
    st.just(lambda world: world.browser.drop()),
    st.just(lambda world: world.browser.ping()),
    st.booleans().map(_fail),
)


@given(st.lists(st.tuples(steps, st.integers(0, 30)), max_size=25), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_everything_is_shown_once(story: list[tuple[Step, int]], turns: list[int]) -> None:
    async def tell() -> World:
        world = World(turns)
        await world.subscribe()
        world.browser.connect()
        for step, then in story:
            step(world)
            await turn(then)
        await world.settle()
        world.browser.drop()
        await world.gateway.close()
        return world

    world = asyncio.run(tell())
    assert world.browser.wrong == []
    assert sorted(world.browser.shown) == sorted(world.posted)
