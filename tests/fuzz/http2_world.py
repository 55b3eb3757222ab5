"""A pool and the adversaries that it believes to be servers: h2 is the referee of what we send; no sockets."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import ClassVar

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2 import Limits, Pool
from clarion.transport.http2.connection import Connection
from clarion.transport.http2.frames import frame

ORIGIN = "http://adversary.example"
MINE = h2.settings.SettingCodes


class Wire:
    """Stands where the socket was."""

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.closed = False

    def write(self, data: bytes) -> None:
        self.peer.unread += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class Peer:
    """One connection's other end. Whatever h2 raises while it reads is a fault of ours."""

    def __init__(self, world: "World", connection: Connection) -> None:
        self.world = world
        self.connection = connection
        self.wire = Wire(self)
        self.unread = b""
        self.unsent = b""
        self.streams: dict[int, str] = {}  # open ones, and the path that each asked for
        self.whole: set[int] = set()  # those of which the request has ended
        self.begun: dict[int, int] = {}  # those that have headers already, and the bytes of their bodies
        self.last: int | None = None  # since GOAWAY
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=world.settings)
        self.h2.initiate_connection()
        connection.connection_made(self.wire)  # type: ignore[arg-type] # of the shape that is used
        self.read()
        self.deliver()

    @property
    def alive(self) -> bool:
        return not self.wire.closed and not self.connection.ended

    def read(self) -> None:
        """What the client wrote."""
        data, self.unread = self.unread, b""
        try:
            events = self.h2.receive_data(data) if data else []
        except h2.exceptions.H2Error:
            if not self.world.hostile:
                raise
            self.drop()
            return
        for event in events:
            stream = getattr(event, "stream_id", 0)
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[":path"]
                self.world.received[path] += 1
                self.world.check_headers(dict(event.headers))
                if self.last is not None and stream > self.last:
                    self.world.returned[path] += 1  # it was on its way when we said goodbye
                else:
                    self.streams[stream] = path
            elif isinstance(event, h2.events.DataReceived):
                self.world.bodies[self, stream] = self.world.bodies.get((self, stream), b"") + event.data
            elif isinstance(event, h2.events.StreamEnded):
                self.whole.add(stream)
                self.world.check_body(self.streams.get(stream), self.world.bodies.get((self, stream), b""))
            elif isinstance(event, h2.events.StreamReset):
                self.forget(stream)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.drop()

    def deliver(self, size: int | None = None) -> None:
        """What the server wrote, or only its first bytes."""
        self.unsent += self.h2.data_to_send()
        data, self.unsent = self.unsent[:size], self.unsent[len(self.unsent[:size]) :]
        while data and self.alive:
            room = self.connection.get_buffer(-1)
            part = data[: len(room)]
            room[: len(part)] = part
            data = data[len(part) :]
            self.connection.buffer_updated(len(part))
        if self.alive or self.unread:
            self.read()

    def raw(self, data: bytes) -> None:
        """Anything."""
        self.unsent += self.h2.data_to_send() + data

    def forget(self, stream: int) -> None:
        self.streams.pop(stream, None)
        self.whole.discard(stream)
        self.begun.pop(stream, None)

    # --- what a server may do -----------------------------------------------------------------------------------------

    def pick(self, number: int) -> int | None:
        """An open stream that we look at."""
        mine = [stream for stream in self.streams if self.last is None or stream <= self.last]
        return mine[number % len(mine)] if mine else None

    def begin(self, stream: int, status: int, *, ended: bool) -> None:
        if stream in self.begun:
            return
        path = self.streams[stream]
        self.world.process(path, status)
        self.h2.send_headers(stream, [(":status", str(status)), ("x-path", path)], end_stream=ended)
        if ended:
            self.forget(stream)
        else:
            self.begun[stream] = 0

    def add(self, stream: int, *, ended: bool, pad: int | None) -> None:
        """A part of the body, which is the path; at the end, all that is missing of it."""
        path = self.streams[stream].encode()
        sent = self.begun[stream]
        part = path[sent:] if ended else path[sent : sent + 3]
        self.h2.send_data(stream, part, end_stream=ended, pad_length=pad)
        self.begun[stream] = sent + len(part)
        if ended:
            self.forget(stream)

    def trail(self, stream: int) -> None:
        if self.begun.get(stream) == len(self.streams[stream].encode()):
            self.h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
            self.forget(stream)

    def hint(self, stream: int) -> None:
        if stream not in self.begun:
            self.h2.send_headers(stream, [(":status", "103"), ("link", "</>")])

    def reset(self, stream: int, code: int) -> None:
        path = self.streams[stream]
        if code == h2.errors.ErrorCodes.REFUSED_STREAM and stream not in self.begun:
            self.world.returned[path] += 1
        self.h2.reset_stream(stream, code)
        self.forget(stream)

    def say(self, settings: Mapping[int, int]) -> None:
        self.h2.update_settings(dict(settings))

    def grant(self, stream: int | None, size: int) -> None:
        if stream is None or stream not in self.whole:
            self.h2.increment_flow_control_window(size, stream)

    def goaway(self, last: int) -> None:
        """Those after `last` that have begun to be answered cannot be given back any more."""
        last = max([last, *self.begun])
        self.last = last if self.last is None else min(self.last, last)
        for stream in [each for each in self.streams if each > self.last]:
            self.world.returned[self.streams[stream]] += 1
            self.forget(stream)
        self.raw(frame(7, 0, 0, self.last.to_bytes(4, "big") + bytes(4)))

    def drop(self) -> None:
        self.wire.closed = True
        if not self.connection.ended:
            self.connection.connection_lost(None)


class World:
    """The pool, its peers, and what each request went through."""

    limits: ClassVar[Limits] = Limits(connections=3, streams=8, backoff_s=(0.0, 0.0), last_stream=41, tick_s=3_600)

    def __init__(self, settings: Mapping[int, int], *, cautious: bool, hostile: bool = False) -> None:
        """`hostile`: peers break rules, so that the referee does not know any more what is right."""
        self.hostile = hostile
        self.settings = dict(settings)
        self.pool = Pool(ORIGIN, limits=self.limits, cautious=cautious)
        self.pool._dialer = self  # type: ignore[assignment] # we are the network
        self.peers: list[Peer] = []
        self.sent: dict[str, BatchRequest] = {}
        self.bodies: dict[tuple[Peer, int], bytes] = {}
        self.received: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()
        self.processed: Counter[str] = Counter()
        self.status: dict[str, int] = {}
        self.sending: list[tuple[HttpBatch, asyncio.Task[list[HttpResponse]]]] = []

    async def open(self, make: Callable[[], Connection], _used: Mapping[str, int]) -> tuple[str, Connection]:
        """What the dialer does."""
        peer = Peer(self, make())
        self.peers.append(peer)
        return "adversary", peer.connection

    def send(self, count: int, size: int) -> None:
        requests = []
        for _ in range(count):
            path = f"/{len(self.sent)}"
            request = BatchRequest(path, (("x-own", path),), path.encode() * size)
            self.sent[path] = request
            requests.append(request)
        shared = (("authorization", f"bearer {len(self.sending) % 3}" + "t" * 60),)
        batch = HttpBatch.of(ORIGIN, shared, requests)
        self.sending.append((batch, asyncio.ensure_future(self._all_of(batch))))

    async def _all_of(self, batch: HttpBatch) -> list[HttpResponse]:
        """A request that is answered twice would end the batch before another is answered."""
        answers = await self.pool.send_batch(batch)
        assert None not in answers
        return list(answers)

    def do(self, peer: Peer | None, act: Callable[[], object]) -> None:
        """What a peer does; one that has broken the rules may be past doing anything."""
        try:
            act()
        except h2.exceptions.H2Error:
            if not self.hostile or peer is None:
                raise
            peer.drop()

    async def settle(self) -> None:
        """Let everybody do what is to be done at once."""
        for _ in range(5):
            await asyncio.sleep(0)
            for peer in self.peers:
                if peer.unread:
                    peer.read()

    async def finish(self) -> None:
        """The peers come to reason: all that waits is answered."""
        self.settings = {MINE.MAX_CONCURRENT_STREAMS: 100}
        for _ in range(200):
            if all(task.done() for _, task in self.sending):
                return
            for peer in self.peers:
                if peer.alive:
                    self.do(peer, lambda peer=peer: self.calm(peer))  # type: ignore[misc] # bound to this peer
            await self.settle()
        raise AssertionError("requests are left without an answer")

    def calm(self, peer: Peer) -> None:
        peer.deliver()
        if peer.alive and not peer.streams and (self.hostile or not peer.connection.room()):
            peer.drop()  # it allows nothing, or nobody knows any more what it is about
            return
        for stream in list(peer.streams):
            if peer.last is None or stream <= peer.last:
                peer.begin(stream, 200, ended=False)
                peer.add(stream, ended=True, pad=None)
        peer.deliver()

    # --- what must hold -----------------------------------------------------------------------------------------------

    def process(self, path: str, status: int) -> None:
        self.processed[path] += 1
        self.status[path] = status
        assert self.processed[path] == 1, f"{path} was processed twice"

    def check_headers(self, headers: Mapping[str, str]) -> None:
        assert headers["x-own"] == headers[":path"]
        assert headers["authorization"].startswith("bearer ")

    def check_body(self, path: str | None, body: bytes) -> None:
        assert path is None or body == self.sent[path].body

    def check(self) -> None:
        """Each request is answered once, with its own answer, and was sent again only when the peer gave it back."""
        for batch, task in self.sending:
            for request, answer in zip(batch.requests, task.result(), strict=True):
                self.check_answer(request.path, answer)
        for path, count in self.received.items():
            assert count <= 1 + self.returned[path], f"{path} was sent again without need"

    def check_answer(self, path: str, answer: HttpResponse) -> None:
        if answer.status:
            assert self.status[path] == answer.status
            assert path.encode().startswith(answer.body)
            assert answer.error or answer.body in (b"", path.encode())
            assert answer.headers.get("x-path", path) == path
        elif not answer.unknown:
            assert not self.processed[path], f"{path} was said to be unsent"
