"""All connections to one origin: order, growth, restarts, addresses, patience, and nothing sent twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from h2.errors import ErrorCodes
from structlog.testing import capture_logs

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http import GuardedResolver
from clarion.transport.http2 import Limits, Pool, for_http2
from clarion.transport.http2.frames import GOAWAY, PREFACE, SETTINGS, frame
from contract.http2_server import Asked, Authority, Resolver, Server, Session, echo, serving
from contract.support_http2 import batch_of, requests_of, statuses

QUICK = Limits(tick_s=0.02, backoff_s=(0.01, 0.05))
NEVER_SENT = (0, False)


@pytest.fixture
async def open_pool() -> AsyncIterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(server: Server, limits: Limits = QUICK, **options: object) -> Pool:
        pools.append(Pool(server.origin, limits=limits, **options))  # type: ignore[arg-type]
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


def ask(server: Server, count: int, body: bytes = b"{}") -> HttpBatch:
    return batch_of(count, body, server.origin)


def is_own(answers: list[HttpResponse], batch: HttpBatch) -> bool:
    """Whether each request got the answer to itself."""
    expected = [request.path.encode() + b"\n" + request.body for request in batch.requests]
    return [answer.body for answer in answers] == expected


async def test_answers_come_in_order_whatever_the_order_they_came_in(open_pool: Callable[..., Pool]) -> None:
    waiting: list[tuple[Session, int, Asked]] = []

    def backwards(session: Session, stream: int, asked: Asked) -> None:
        waiting.append((session, stream, asked))
        if len(waiting) == 10:
            while waiting:
                echo(*waiting.pop())

    async with serving(backwards, max_concurrent_streams=20) as server:
        batch = ask(server, 100)
        assert is_own(await open_pool(server).send_batch(batch), batch)
        assert Counter(server.seen) == Counter(request.path for request in batch.requests)


async def test_batches_at_once_share_the_connections(open_pool: Callable[..., Pool]) -> None:
    async with serving(max_concurrent_streams=7) as server:
        pool = open_pool(server)
        batches = [
            HttpBatch.of(server.origin, (("x-batch", str(n)),), requests_of(50, b"", f"{n}-")) for n in range(10)
        ]
        answers = await asyncio.gather(*(pool.send_batch(batch) for batch in batches))
        assert all(is_own(each, batch) for each, batch in zip(answers, batches, strict=True))
        assert len(server.seen) == 500


async def test_a_small_batch_does_not_wait_for_the_end_of_a_large_one(open_pool: Callable[..., Pool]) -> None:
    async with serving(max_concurrent_streams=5) as server:
        pool = open_pool(server, Limits(connections=1))
        large = asyncio.create_task(pool.send_batch(ask(server, 2_000)))
        await server.until(lambda: bool(server.seen))
        [small] = await pool.send_batch(HttpBatch.of(server.origin, (), requests_of(1, prefix="small")))
        assert small.status == 200
        assert not large.done()
        assert len(await large) == 2_000


async def test_nothing_is_nothing(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        assert await open_pool(server).send_batch(ask(server, 0)) == []


# --- bad input -------------------------------------------------------------------------------------------------------

PATH = "refused: the path must begin with / and hold no space and no fragment"
CHARACTER = "holds a character that is not printable ASCII"
BAD = [
    (BatchRequest(path, (("apns-id", id),), b""), words)
    for path, id, words in [
        ("3/device", "", PATH),
        ("/a#b", "", PATH),
        ("/a b", "", PATH),
        ("", "", PATH),
        ("/\n", "", f"refused: path {CHARACTER}"),
        ("/ü", "", f"refused: path {CHARACTER}"),
        ("/" + "a" * 4_095, "", "refused: path has 4096 characters, and may have 4095"),
        ("/", "b\r\nc: d", f"refused: apns-id {CHARACTER}"),
        ("/", "ü", f"refused: apns-id {CHARACTER}"),
        ("/", "a" * 4_096, "refused: apns-id has 4096 characters, and may have 4095"),
    ]
]


async def test_what_cannot_be_sent_does_not_hold_back_the_others(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        good = requests_of(2)
        answers = await open_pool(server).send_batch(
            HttpBatch.of(server.origin, (), [good[0], *(request for request, _ in BAD), good[1]])
        )
        assert [answer.error for answer in answers[1:-1]] == [words for _, words in BAD]
        assert {(answer.status, answer.unknown) for answer in answers[1:-1]} == {NEVER_SENT}
        assert (answers[0].status, answers[-1].status) == (200, 200)
        assert len(server.seen) == 2


async def test_what_cannot_be_sent_at_all_is_answered_at_once(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        batch = HttpBatch.of(server.origin, (), [request for request, _ in BAD])
        answers = await open_pool(server).send_batch(batch)
        assert [answer.error for answer in answers] == [words for _, words in BAD]
        assert server.sessions == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("authorization", "bearer a\nb", "authorization holds a character that is not printable ASCII"),
        ("A", "b", "'A' is no name of a request header in lower case"),
        (":path", "/", "':path' is no name of a request header in lower case"),
        ("connection", "x", "'connection' is no name of a request header in lower case"),
    ],
)
async def test_a_batch_with_a_bad_header_is_refused_whole(
    open_pool: Callable[..., Pool], name: str, value: str, reason: str
) -> None:
    async with serving() as server:
        pool, requests = open_pool(server), requests_of(2)
        answers = await pool.send_batch(HttpBatch.of(server.origin, ((name, value),), requests))
        if reason.endswith("lower case"):  # of one that varies, the name is everybody's, a value is not
            paths, bodies = [each.path for each in requests], [each.body for each in requests]
            answers += await pool.send_batch(HttpBatch(server.origin, (), paths, bodies, {name: [value] * 2}))
        assert {answer.error for answer in answers} == {f"refused: {reason}"}
        assert server.sessions == []


@pytest.mark.parametrize(
    "origin",
    ["push.example", "ftp://push.example", "https://", "https://push.example/path", "https://a@b.c", "https://a?b", ""],
)
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    with pytest.raises(ValueError, match="it must be https://host"):
        Pool(origin)


# --- connections open and close ---------------------------------------------------------------------------------------


async def test_connections_open_with_load_up_to_a_bound_and_close_without(open_pool: Callable[..., Pool]) -> None:
    held: list[tuple[Session, int, Asked]] = []
    async with serving(lambda *each: held.append(each), max_concurrent_streams=10) as server:
        pool = open_pool(server, Limits(connections=3, idle_s=0.05, tick_s=0.02))
        batch = ask(server, 40)
        sending = asyncio.create_task(pool.send_batch(batch))
        await server.until(lambda: len(held) == 30)
        assert len(server.sessions) == 3
        server.script = echo
        for each in held:
            echo(*each)
        assert is_own(await sending, batch)
        await server.until(lambda: not server.sessions)


async def test_a_spare_connection_that_nobody_needed_is_no_failure(open_pool: Callable[..., Pool]) -> None:
    held: list[tuple[Session, int, Asked]] = []
    async with serving(lambda *each: held.append(each), max_concurrent_streams=1) as server:
        pool = open_pool(server, Limits(connections=2, idle_s=0.05, tick_s=0.02))
        with capture_logs() as logs:
            sending = [asyncio.create_task(pool.send_batch(ask(server, 1))) for _ in range(2)]
            await server.until(lambda: bool(held))
            sending.pop().cancel()  # what the second connection was for
            await server.until(lambda: len(server.sessions) == 2)
            echo(*held[0])
            assert statuses(await sending[0]) == [200]
            await server.until(lambda: not server.sessions)
        assert {each["event"] for each in logs} == {"http2_connection_ended"}


async def test_one_request_opens_one_connection(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        pool = open_pool(server)
        for _ in range(5):
            await pool.send_batch(ask(server, 1))
        assert len(server.addresses) == 1


async def test_connections_go_to_all_addresses_and_around_dead_ones(open_pool: Callable[..., Pool]) -> None:
    held: list[tuple[Session, int, Asked]] = []
    async with serving(lambda *each: held.append(each), max_concurrent_streams=5) as server:
        await server.listen(hosts=("127.0.0.2",))
        resolver = Resolver("127.0.0.3", "127.0.0.1", "127.0.0.2")  # nobody listens on the first
        pool = open_pool(server, Limits(connections=4), resolver=resolver)
        sending = asyncio.create_task(pool.send_batch(ask(server, 20)))
        await server.until(lambda: len(held) == 20)
        assert Counter(server.addresses) == {"127.0.0.1": 2, "127.0.0.2": 2}
        for each in held:
            echo(*each)
        assert set(statuses(await sending)) == {200}


async def test_stream_numbers_run_out_and_nothing_is_lost(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        batch = ask(server, 100)
        answers = await open_pool(server, Limits(connections=2, last_stream=19)).send_batch(batch)
        assert is_own(answers, batch)
        assert len(server.addresses) == 10
        assert len(server.seen) == 100


async def test_cautious_until_the_first_success(open_pool: Callable[..., Pool]) -> None:
    held: list[tuple[Session, int, Asked]] = []
    async with serving(lambda *each: held.append(each)) as server:
        pool = open_pool(server, Limits(connections=1), cautious=True)
        sending = asyncio.create_task(pool.send_batch(ask(server, 20)))
        await server.until(lambda: bool(held))
        assert len(held) == 1
        echo(*held.pop())
        await server.until(lambda: len(held) == 19)
        for each in held:
            echo(*each)
        assert set(statuses(await sending)) == {200}


# --- the peer goes and comes back -------------------------------------------------------------------------------------


async def test_a_goaway_loses_and_doubles_nothing(open_pool: Callable[..., Pool]) -> None:
    """Each connection looks at some requests, says goodbye, answers those and closes."""
    processed: Counter[str] = Counter()
    ended: dict[Session, int] = {}

    def some(session: Session, stream: int, asked: Asked) -> None:
        if stream > ended.get(session, 2**31):
            return
        processed[asked.path] += 1
        echo(session, stream, asked)
        if stream == 31:
            ended[session] = stream
            session.goaway(stream)

    async with serving(some) as server:
        batch = ask(server, 200)
        answers = await open_pool(server, Limits(backoff_s=(0.001, 0.002))).send_batch(batch)
        assert is_own(answers, batch)
        assert processed == Counter(request.path for request in batch.requests)


async def test_what_a_dying_peer_may_have_processed_is_unknown_and_not_sent_again(
    open_pool: Callable[..., Pool],
) -> None:
    def die(session: Session, stream: int, asked: Asked) -> None:
        if stream == 11:
            server.script = echo
            session.drop()
        elif stream < 11:
            echo(session, stream, asked)

    async with serving(die, max_concurrent_streams=10) as server:
        batch = ask(server, 30)
        answers = await open_pool(server, Limits(connections=1, backoff_s=(0.01, 0.05))).send_batch(batch)
        unknown = [answer for answer in answers if answer.status == 0]
        assert unknown
        assert all(answer.unknown for answer in unknown)
        assert max(Counter(server.seen).values()) == 1
        assert statuses(answers).count(200) + len(unknown) == 30


async def test_a_restart_is_lived_through(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        pool = open_pool(server, resolver=(resolver := Resolver("127.0.0.1")))
        assert statuses(await pool.send_batch(ask(server, 1))) == [200]
        server.stop()
        await server.until(lambda: not server.sessions)
        sending = asyncio.create_task(pool.send_batch(ask(server, 50)))
        while resolver.asked < 4:  # noqa: ASYNC110 - attempts that fail, inside the pool
            await asyncio.sleep(0)
        assert not sending.done()
        await server.listen()
        assert statuses(await sending) == [200] * 50


async def test_attempts_to_connect_come_ever_more_slowly(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        pool = open_pool(server, Limits(backoff_s=(0.001, 0.005), patience_s=0.2, tick_s=0.02), jitter=lambda: 1.0)
        server.stop()
        with capture_logs() as logs:
            answers = await pool.send_batch(ask(server, 2))
        assert [each["again_in_s"] for each in logs][:5] == [0.001, 0.002, 0.004, 0.005, 0.005]
        assert {(answer.status, answer.unknown) for answer in answers} == {NEVER_SENT}
        assert "not sent within 0.2 s: ConnectionRefusedError" in str(answers[0].error)


async def test_a_peer_that_closes_at_once_is_not_asked_without_end(open_pool: Callable[..., Pool]) -> None:
    async with serving(lambda session, *_: session.drop()) as server:
        pool = open_pool(server, Limits(backoff_s=(0.001, 0.005), streams=1, connections=1), jitter=lambda: 1.0)
        with capture_logs() as logs:
            answers = await pool.send_batch(ask(server, 4))
        assert all(answer.unknown for answer in answers)
        waits = [each["again_in_s"] for each in logs if each["event"] == "http2_not_connected"]
        assert waits == [0.001, 0.002, 0.004, 0.005]
        assert not pool._connections


async def test_a_peer_that_ends_as_soon_as_it_begins_is_not_kept(open_pool: Callable[..., Pool]) -> None:
    """Its SETTINGS and its GOAWAY come in one piece: the connection is over before anybody has it."""
    hello = frame(SETTINGS, 0, 0) + frame(GOAWAY, 0, 0, bytes(8))

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(hello)

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    pool = Pool(origin, limits=Limits(backoff_s=(0.001, 0.001), patience_s=0.1, tick_s=0.02))
    [answer] = await pool.send_batch(batch_of(1, origin=origin))
    assert (answer.status, answer.unknown) == NEVER_SENT
    assert not pool._connections
    await pool.close()
    listening.close()


# --- patience ---------------------------------------------------------------------------------------------------------


async def test_a_slow_answer_is_given_up_and_the_rest_goes_on(open_pool: Callable[..., Pool]) -> None:
    def all_but_one(session: Session, stream: int, asked: Asked) -> None:
        if asked.path != "/3/device/3":
            echo(session, stream, asked)

    async with serving(all_but_one) as server:
        answers = await open_pool(server, Limits(request_s=0.1, tick_s=0.02)).send_batch(ask(server, 10))
        assert answers[3] == HttpResponse(0, error="no answer within 0.1 s", unknown=True)
        assert statuses(answers).count(200) == 9


async def test_a_peer_that_allows_no_streams_is_not_waited_for(open_pool: Callable[..., Pool]) -> None:
    async with serving(max_concurrent_streams=0) as server:
        answers = await open_pool(server, Limits(patience_s=0.1, tick_s=0.02)).send_batch(ask(server, 2))
        assert {(answer.status, answer.unknown) for answer in answers} == {NEVER_SENT}
        assert server.seen == []


async def test_a_server_that_says_nothing_is_not_waited_for(open_pool: Callable[..., Pool]) -> None:
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    pool = Pool(f"http://127.0.0.1:{port}", limits=Limits(connect_s=0.05, patience_s=0.2, tick_s=0.02))
    [answer] = await pool.send_batch(batch_of(1))
    assert "127.0.0.1 did not answer within 0.05 s" in str(answer.error)
    await pool.close()
    silent.close()


async def test_who_stops_waiting_wants_nothing_more_sent(open_pool: Callable[..., Pool]) -> None:
    held: list[tuple[Session, int, Asked]] = []
    async with serving(lambda *each: held.append(each), max_concurrent_streams=5) as server:
        pool = open_pool(server, Limits(connections=1))
        sending = asyncio.create_task(pool.send_batch(ask(server, 20)))
        await server.until(lambda: len(held) == 5)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        server.script = echo
        for session, stream, _ in held:
            session.h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            session.flush()
        batch = ask(server, 3)
        assert is_own(await pool.send_batch(batch), batch)
        assert len(server.seen) == 8


async def test_close_tells_everybody(open_pool: Callable[..., Pool]) -> None:
    held: list[tuple[Session, int, Asked]] = []
    async with serving(lambda *each: held.append(each), max_concurrent_streams=5) as server:
        pool = open_pool(server, Limits(connections=1))
        sending = asyncio.create_task(pool.send_batch(ask(server, 6)))
        await server.until(lambda: len(held) == 5)
        await pool.close()
        answers = await sending
        assert [answer.unknown for answer in answers] == [True] * 5 + [False]
        [late] = await pool.send_batch(ask(server, 1))
        assert late.error == "not sent: the transport is closed"
        await server.until(lambda: not server.sessions)


# --- TLS and addresses ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def _secure(server_tls: object, client_tls: object, name: str = "localhost") -> tuple[HttpResponse, Server]:
    server = Server(echo)
    await server.listen(server_tls)  # type: ignore[arg-type]
    pool = Pool(
        f"https://{name}:{server.port}",
        tls=client_tls,  # type: ignore[arg-type]
        resolver=Resolver("127.0.0.1"),
        limits=Limits(patience_s=0.1, tick_s=0.02, backoff_s=(0.01, 0.02)),
    )
    [response] = await pool.send_batch(batch_of(1))
    await pool.close()
    server.stop()
    return response, server


async def test_tls_with_a_certificate_that_we_trust(authority: Authority) -> None:
    response, _ = await _secure(authority.server(), for_http2(authority.client()))
    assert response.status == 200


async def test_tls_with_a_certificate_of_our_own(authority: Authority) -> None:
    client = for_http2(authority.client(certificate="com.example.shop"))
    response, server = await _secure(authority.server(wants_client=True), client)
    assert response.status == 200
    assert "com.example.shop" in str(server.certificates)


async def test_tls_without_the_certificate_that_the_service_wants(authority: Authority) -> None:
    response, _ = await _secure(authority.server(wants_client=True), for_http2(authority.client()))
    assert (response.status, response.unknown) == NEVER_SENT


@pytest.mark.parametrize("name", ["localhost", "push.example"])
async def test_tls_with_a_certificate_that_we_do_not_trust(authority: Authority, name: str) -> None:
    """Of somebody else, or for another name."""
    client = None if name == "localhost" else for_http2(authority.client())
    response, server = await _secure(authority.server(), client, name)
    assert (response.status, response.unknown) == NEVER_SENT
    assert "certificate verify failed" in str(response.error)
    assert str(response.error).startswith("refused: ")
    assert server.seen == []


@pytest.mark.parametrize("alpn", ["http/1.1", None])
async def test_a_service_without_http2_is_refused(authority: Authority, alpn: str | None) -> None:
    response, _ = await _secure(authority.server(alpn=alpn), for_http2(authority.client()))
    assert (response.status, response.unknown) == NEVER_SENT
    assert str(response.error).startswith("refused: ")
    assert "does not speak HTTP/2" in str(response.error)


async def test_an_address_that_the_resolver_refuses_is_not_connected_to(open_pool: Callable[..., Pool]) -> None:
    async with serving() as server:
        guarded = GuardedResolver(Resolver("127.0.0.1"), allow_private=False)
        [answer] = await open_pool(server, resolver=guarded).send_batch(ask(server, 1))
        assert answer.error == "refused: 127.0.0.1: a private or special address"
        assert server.addresses == []
