"""Our HTTP/2 client against servers that others wrote: many streams, restarts, and ends in the middle of the work."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from certificates import Authority, Pair
from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2 import Limits, Pool, client_context
from contract.http2_real import REAL, RealServer
from contract.support_http2 import SHARED, requests_of, statuses

MANY = 3_000
QUICK = Limits(tick_s=0.05, backoff_s=(0.01, 0.05))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Pair]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    pair = Pair(folder / "cert.pem", folder / "key.pem")
    authority.issue(pair)
    return authority, pair


@pytest.fixture(params=list(REAL))
async def server(
    request: pytest.FixtureRequest, tmp_path: Path, authority: tuple[Authority, Pair]
) -> AsyncIterator[RealServer]:
    real = REAL[request.param](tmp_path, authority[1])
    try:
        await real.start()
        yield real
    finally:
        await real.kill()


@pytest.fixture
async def open_pool(server: RealServer, authority: tuple[Authority, Pair]) -> AsyncIterator[Callable[[Limits], Pool]]:
    pools: list[Pool] = []

    def make(limits: Limits = QUICK) -> Pool:
        pools.append(Pool(server.origin, tls=client_context(authority=str(authority[0].path)), limits=limits))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


def batch_of(server: RealServer, requests: list[BatchRequest]) -> HttpBatch:
    return HttpBatch.of(server.origin, SHARED, requests)


def check_each_got_its_own(server: RealServer, batch: HttpBatch, answers: list[HttpResponse]) -> None:
    for request, answer in zip(batch.requests, answers, strict=True):
        assert (answer.error, answer.body) == (None, server.expected(request))
        assert 200 <= answer.status < 300


def check_once_each(server: RealServer, batch: HttpBatch, answers: list[HttpResponse], *, killed: bool = False) -> None:
    """Nothing was processed twice; what was answered was processed; what was said to be unsent was not."""
    seen = Counter(server.seen())
    assert max(seen.values()) == 1
    for request, answer in zip(batch.requests, answers, strict=True):
        if answer.status:
            assert answer.body == server.expected(request) or answer.error
            assert seen[request.path] == 1 or (killed and not server.names_them_first)
        elif not answer.unknown:
            assert seen[request.path] == 0


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_large_batch(server: RealServer, open_pool: Callable[..., Pool], connections: int) -> None:
    batch = batch_of(server, requests_of(MANY))
    answers = await open_pool(Limits(connections=connections)).send_batch(batch)
    check_each_got_its_own(server, batch, answers)
    if server.names_requests:
        assert Counter(server.seen()) == Counter(request.path for request in batch.requests)


@pytest.mark.parametrize("kind", REAL)
def test_a_large_batch_on_the_loop_that_clarion_runs_on(
    kind: str, tmp_path: Path, authority: tuple[Authority, Pair]
) -> None:
    """The other tests run on asyncio's own."""
    server = REAL[kind](tmp_path, authority[1])
    batch = batch_of(server, requests_of(MANY))

    async def send() -> list[HttpResponse]:
        try:
            await server.start()
            pool = Pool(server.origin, tls=client_context(authority=str(authority[0].path)), limits=QUICK)
            answers = await pool.send_batch(batch)
            await pool.close()
            return answers
        finally:
            await server.kill()

    check_each_got_its_own(server, batch, uvloop.run(send()))


async def test_many_small_batches(server: RealServer, open_pool: Callable[..., Pool]) -> None:
    pool = open_pool()
    batches = [batch_of(server, requests_of(3, prefix=f"{number}-")) for number in range(200)]
    for batch, answers in zip(batches, await asyncio.gather(*map(pool.send_batch, batches)), strict=True):
        check_each_got_its_own(server, batch, answers)


async def test_bodies_larger_than_a_frame_and_none_at_all(server: RealServer, open_pool: Callable[..., Pool]) -> None:
    sizes = [0, 1, 16_384, 16_385, 70_000] * 4
    requests = [BatchRequest(f"/{number}", (), b"x" * size) for number, size in enumerate(sizes)]
    batch = batch_of(server, requests)
    answers = await open_pool(Limits(answer_bytes=100_000)).send_batch(batch)
    check_each_got_its_own(server, batch, answers)


async def test_several_templates_share_a_connection(server: RealServer, open_pool: Callable[..., Pool]) -> None:
    """So many that the table of headers is begun anew again and again."""
    pool = open_pool(Limits(connections=1))
    batches = [
        HttpBatch.of(
            server.origin, (("authorization", f"bearer {number}" + "x" * 500),), requests_of(20, prefix=f"{number}-")
        )
        for number in range(30)
    ]
    for batch, answers in zip(batches, await asyncio.gather(*map(pool.send_batch, batches)), strict=True):
        check_each_got_its_own(server, batch, answers)


async def test_killed_and_started_again(server: RealServer, open_pool: Callable[..., Pool]) -> None:
    pool = open_pool()
    batch = batch_of(server, requests_of(10))
    check_each_got_its_own(server, batch, await pool.send_batch(batch))
    await server.kill()
    later = batch_of(server, requests_of(300, prefix="later-"))
    sending = asyncio.create_task(pool.send_batch(later))
    await server.start()
    answers = await sending
    known = [answer for answer in answers if not answer.unknown]
    assert len(known) >= 290 or statuses(answers).count(0) == len(answers) - len(known)
    assert all(answer.status for answer in known)


@pytest.mark.parametrize("server", [kind for kind, each in REAL.items() if each.names_requests], indirect=True)
async def test_killed_in_the_middle(server: RealServer, open_pool: Callable[..., Pool]) -> None:
    pool = open_pool(Limits(connections=2, tick_s=0.05, backoff_s=(0.01, 0.05)))
    batch = batch_of(server, requests_of(MANY))
    sending = asyncio.create_task(pool.send_batch(batch))
    await server.until_seen(lambda count: count > 100)
    await server.kill()
    await server.start()
    check_once_each(server, batch, await sending, killed=True)


@pytest.mark.parametrize("server", [kind for kind, each in REAL.items() if each.ends_gracefully], indirect=True)
async def test_ended_gracefully_in_the_middle(server: RealServer, open_pool: Callable[..., Pool]) -> None:
    """GOAWAY: who waits is sent to the next process, and none of them is lost or doubled."""
    pool = open_pool()
    batch = batch_of(server, requests_of(MANY))
    sending = asyncio.create_task(pool.send_batch(batch))
    await server.until_seen(lambda count: count > 100)
    server.end()
    await asyncio.to_thread(server.process.wait, 30)
    await server.start()
    answers = await sending
    check_once_each(server, batch, answers)
    assert statuses(answers).count(201) > 100
