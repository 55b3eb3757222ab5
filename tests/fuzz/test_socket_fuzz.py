"""Frames, fragments, half frames and garbage over real sockets: the answer is the protocol's, and nothing is left."""

import asyncio
import gc
import itertools
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import pytest
import structlog
import uvloop
from frames import Frame, all_codes, conversations, first_code
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.gateway.session import Session
from contract.raw_socket import CLOSE, PING, PONG, UPGRADE, RawSocket
from contract.support_gateway import Device, PushService, data_of, push_service, random_body


class Town:
    """A service on the loop of production, and a device that must be served whatever the others do."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._complaints: list[dict[str, Any]] = []
        self._runner.get_loop().set_exception_handler(lambda _, context: self._complaints.append(context))
        self.run(self._open())

    async def _open(self) -> None:
        self._opened = push_service()
        self.service: PushService = await self._opened.__aenter__()
        self.device: Device
        self.device, self.endpoint = await self.service.subscribed()

    def close(self) -> None:
        self.run(self._opened.__aexit__(None, None, None))
        self._runner.close()

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """A story, after which everything is as before and nobody has complained."""
        with structlog.testing.capture_logs() as logs:
            self._runner.run(story)
        assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
        assert self._complaints == []

    async def as_before(self) -> None:
        """The device gets its message; no other connection, session or task is left."""
        body = random_body(40)
        await self.service.push(self.endpoint, body)
        notification = await self.device.hear()
        assert data_of(notification) == body
        await self.device.ack(notification)
        async with asyncio.timeout(10):
            while self.left != (1, 1, 0):  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.001)

    @property
    def left(self) -> tuple[int, int, int]:
        """Connections, places in the registry, tasks."""
        gateway = self.service.gateway
        return gateway._sockets._connections, len(gateway._node.registry), len(gateway._node.tasks)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


async def step_by_step(town: Town, frames: Sequence[Frame]) -> int | None:
    """Send each when the one before is done with; the close code, or None when it goes on."""
    raw = await RawSocket.open(town.service.gateway.port)
    try:
        for number, frame in enumerate(frames):
            raw.writer.write(frame.raw)
            raw.send(PING, b"%d" % number)
            code = await _until_pong(raw, b"%d" % number)
            if code is not None:
                return code
            while len(town.service.gateway._node.tasks):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0)
        raw.send(PING, b"end")
        return await _until_pong(raw, b"end")
    finally:
        raw.leave()


async def _until_pong(raw: RawSocket, mark: bytes) -> int | None:
    while (heard := await raw.receive()) != (PONG, mark):
        if heard[0] == CLOSE:
            return int.from_bytes(heard[1][:2])
    return None


@given(conversations)
@settings(max_examples=300)
def test_each_frame_is_answered_as_the_specifications_say(town: Town, frames: list[Frame]) -> None:
    async def story() -> None:
        assert await step_by_step(town, frames) == first_code(frames)
        await town.as_before()

    town.run(story())


@given(conversations, st.lists(st.integers(1, 3_000), min_size=1, max_size=5), st.booleans())
@settings(max_examples=300)
def test_frames_in_any_pieces_come_to_one_of_their_ends(
    town: Town, frames: list[Frame], pieces: list[int], slowly: bool
) -> None:
    async def story() -> None:
        raw = await RawSocket.open(town.service.gateway.port)
        stream = b"".join(frame.raw for frame in frames) + Frame(PING, b"end").raw
        sizes = itertools.cycle(pieces)
        while stream and not raw.writer.is_closing():
            size = next(sizes)
            raw.writer.write(stream[:size])
            stream = stream[size:]
            if slowly:
                await asyncio.sleep(0)
        expected = all_codes(frames)
        # Who goes on sending after the server's last word may be cut off before it hears it.
        code = await (raw.close_code() if expected else _until_pong(raw, b"end"))
        assert code in expected | {None}
        raw.leave()
        await town.as_before()

    town.run(story())


@given(st.binary(max_size=3_000), st.binary(max_size=300), st.booleans())
@settings(max_examples=200)
def test_bytes_without_any_sense_leave_nothing(town: Town, stream: bytes, before: bytes, upgraded: bool) -> None:
    async def story() -> None:
        raw = await (RawSocket.open if upgraded else RawSocket.connect)(town.service.gateway.port)
        raw.writer.write(stream if upgraded else before + stream + b"\r\n\r\n")
        raw.writer.write_eof()
        await raw.is_cut()
        raw.leave()
        await town.as_before()

    town.run(story())


LINES = [line for line in UPGRADE.split(b"\r\n") if line]
odd_lines = st.sampled_from(
    [
        b"POST / HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET /elsewhere HTTP/1.1",
        b"GET",
        b"Connection: close",
        b"Upgrade: h2c",
        b"Sec-WebSocket-Version: 8",
        b"Sec-WebSocket-Key: short",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"No colon",
        b": no name",
        b"X: " + b"y" * 2_000,
        b"X: \x00\xff",
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(LINES)), odd_lines), min_size=1, max_size=4))
@settings(max_examples=200)
def test_an_upgrade_that_is_none_is_refused_as_http(town: Town, changes: list[tuple[int, bytes]]) -> None:
    async def story() -> None:
        lines = list(LINES)
        for place, line in changes:
            lines[place : place + 1] = [line]
        raw = await RawSocket.connect(town.service.gateway.port)
        raw.writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        raw.writer.write_eof()
        assert (await raw.is_cut())[:13] in (b"HTTP/1.1 101 ", b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")
        raw.leave()
        await town.as_before()

    town.run(story())


def test_nothing_keeps_a_session_that_is_over(town: Town) -> None:
    async def story() -> None:
        gc.collect()
        gc.disable()
        try:
            for stream in (b"GET / HTTP/1.1\r\n\r\n", b"GARBAGE\r\n\r\n", UPGRADE, UPGRADE + Frame(3).raw):
                raw = await RawSocket.connect(town.service.gateway.port)
                raw.writer.write(stream)
                raw.writer.write_eof()
                await raw.is_cut()
                raw.leave()
                await town.as_before()
            assert sum(isinstance(each, Session) for each in gc.get_objects()) == 1
        finally:
            gc.enable()

    town.run(story())
