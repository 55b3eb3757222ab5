"""Web Push services of others: HTTP/2 where they offer it, HTTP/1.1 where not, and the same guard for both."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from clarion.crypto.webpush import Receiver
from clarion.ports import Accepted, HttpRequest, Transport
from clarion.providers.webpush import WebPushProvider
from clarion.testing import ManualClock
from clarion.transport import origins
from clarion.transport.http import HttpTransport
from clarion.transport.http2 import Limits
from clarion.transport.origins import ASK_AGAIN_S, LIMITS, REST_S, RESTING, SLOW_S, OriginsTransport
from contract.http2_server import Asked as Http2Asked
from contract.http2_server import Authority, Resolver, Server, Session, serving
from contract.support_batches import send, send_and_close
from contract.test_providers import SECRETS, RecordingTransport, outgoing

HOST = "push.example"
QUICK = Limits(connections=4, connect_s=0.2, patience_s=0.3, backoff_s=(0.01, 0.05))


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """Two services behind one name, on a port each; what they were asked, and a transport that trusts them."""

    def __init__(self, authority: Authority, http2: Server, http1_port: int, http1_asked: list[str]) -> None:
        self.authority = authority
        self.http2 = http2
        self.http1_asked = http1_asked
        self.h2, self.h1 = f"https://{HOST}:{http2.port}", f"https://{HOST}:{http1_port}"
        self.clock = Clock()
        self.names = Resolver("127.0.0.1")

    def plain(self, *, allow_private: bool = True, trusted: bool = True, **bounds: float) -> HttpTransport:
        tls = self.authority.client() if trusted else ssl.create_default_context()
        return HttpTransport(allow_private=allow_private, resolver=self.names, tls=tls, **bounds)

    def transport(
        self,
        plain: Transport | None = None,
        *,
        allow_private: bool = True,
        trusted: bool = True,
        most_origins: int = 9,
        limits: Limits = LIMITS,
    ) -> OriginsTransport:
        tls = self.authority.client() if trusted else ssl.create_default_context()
        tls.set_alpn_protocols(["h2"])
        return OriginsTransport(
            plain or self.plain(allow_private=allow_private, trusted=trusted),
            allow_private=allow_private,
            tls=tls,
            resolver=self.names,
            most_origins=most_origins,
            limits=limits,
            time=self.clock,
        )


def created(session: Session, stream: int, asked: Http2Asked) -> None:
    """As a push service answers."""
    headers = [(":status", "201"), ("location", f"https://{HOST}/m{asked.path}"), ("ttl", asked.headers["ttl"])]
    session.h2.send_headers(stream, headers)
    session.h2.send_data(stream, asked.path.encode(), end_stream=True)
    session.flush()


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    authority, asked = Authority(), []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path_qs)
        if request.path == "/moved":
            return web.Response(status=307, headers={"Location": "https://other.example/"})
        return web.Response(
            status=201, text=request.path_qs, headers={"Location": f"https://{HOST}/m{request.path_qs}"}
        )

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server(HOST, alpn="http/1.1"))
    await site.start()
    async with serving(created) as http2:
        http2.stop()
        http2.port = 0
        await http2.listen(authority.server(HOST))
        yield Setting(authority, http2, runner.addresses[0][1], asked)
    await runner.cleanup()


def post(url: str, body: bytes = b"x", **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, {"ttl": "60", **headers}, body)


async def test_a_mixed_batch_is_answered_in_order_each_by_its_own_protocol(setting: Setting) -> None:
    requests = [
        post(f"{(setting.h2, setting.h1)[number % 2]}/s/{number}?t={number}", ttl=str(number % 3))
        for number in range(60)
    ]
    answers = await send_and_close(setting.transport(), *requests)
    assert [answer.body.decode() for answer in answers] == [f"/s/{number}?t={number}" for number in range(60)]
    assert len(setting.http2.seen) == len(setting.http1_asked) == 30
    assert len(setting.http2.addresses) == 1


async def test_a_service_without_http2_is_asked_for_it_once_an_hour(setting: Setting) -> None:
    transport = setting.transport()
    counts = []
    for step in (0.0, 1.0, ASK_AGAIN_S, 1.0):
        setting.clock.now += step
        before = setting.names.asked
        [answer] = await send(transport, [post(f"{setting.h1}/s")])
        assert answer.status == 201
        counts.append(setting.names.asked - before)
    await transport.close()
    # aiohttp keeps its connection: a look-up more is our trying HTTP/2.
    assert [count > 0 for count in counts] == [True, False, True, False]


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://127.1/x",
        "https://user:secret@push.example/x",
        "http://push.example/x",
        "https:///x",
        "nonsense",
    ],
)
async def test_what_may_not_be_asked_is_refused_before_anything_is_sent(setting: Setting, url: str) -> None:
    [answer] = await send_and_close(setting.transport(allow_private=False), post(url))
    assert (answer.status, (answer.error or "")[:8]) == (0, "refused:"), answer


async def test_a_name_that_leads_inside_is_refused(setting: Setting) -> None:
    for url in (setting.h2, setting.h1):
        [answer] = await send_and_close(setting.transport(allow_private=False), post(f"{url}/s"))
        assert answer.status == 0
        assert answer.error == f"refused: {HOST}: a private or special address"
    assert setting.http2.addresses == setting.http1_asked == []


async def test_one_bad_address_among_good_ones_is_enough(setting: Setting) -> None:
    setting.names.addresses = ("127.0.0.1", "169.254.169.254")
    [answer] = await send_and_close(setting.transport(), post(f"{setting.h2}/s"))
    assert answer.error == f"refused: {HOST}: an address that no push service has"


async def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(setting: Setting) -> None:
    [answer] = await send_and_close(setting.transport(trusted=False), post(f"{setting.h2}/s"))
    assert answer.status == 0
    assert "certificate" in (answer.error or "")
    assert not (answer.error or "").startswith("refused")  # it may be mended: the message is tried again
    assert setting.http2.seen == []


async def test_a_redirect_is_an_answer(setting: Setting) -> None:
    [answer] = await send_and_close(setting.transport(), post(f"{setting.h1}/moved"))
    assert answer.status == 307


async def test_where_nobody_listens(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "LIMITS", msgspec.structs.replace(origins.LIMITS, patience_s=0.5))
    setting.http2.stop()
    [answer] = await send_and_close(setting.transport(limits=QUICK), post(f"{setting.h2}/s"))
    assert answer.status == 0
    assert not answer.unknown


async def test_origins_without_end_do_not_take_memory_without_end(setting: Setting) -> None:
    transport = setting.transport(most_origins=1)
    for _ in range(3):
        answers = await send(transport, [post(f"{setting.h2}/a"), post(f"{setting.h1}/b")])
        assert [answer.status for answer in answers] == [201, 201]
    await transport.close()


@pytest.mark.parametrize("path", ["/s p", "/s/ü", "?only=query", "/s#fragment"])
async def test_urls_that_are_not_written_out_go_over_http1(setting: Setting, path: str) -> None:
    [answer] = await send_and_close(setting.transport(), post(f"{setting.h1}{path}"))
    assert answer.status == 201
    assert "#" not in setting.http1_asked[0]


async def test_an_odd_path_says_nothing_about_its_service(setting: Setting) -> None:
    """Else anybody could turn a service with HTTP/2 into one without, for all others."""
    plain = RecordingTransport()
    transport = setting.transport(plain)
    for _ in range(2):
        answers = await send(transport, [post(f"{setting.h2}/odd path"), post(f"{setting.h2}/good")])
        assert [answer.status for answer in answers] == [201, 201]
    await transport.close()
    assert setting.http2.seen == ["/good"] * 2
    assert [request.url for request in plain.requests] == [f"{setting.h2}/odd path"] * 2


async def test_the_provider_sends_over_it(setting: Setting) -> None:
    transport = setting.transport()
    provider = WebPushProvider(transport, subject="mailto:a@example.com", own_origin="https://own.example")
    batch = [outgoing(Receiver.generate(), endpoint=f"{setting.h2}/s/{number}") for number in range(20)]
    outcomes = await provider.send(batch, SECRETS, ManualClock().now())
    await transport.close()
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 20
    assert sorted(setting.http2.seen) == sorted(f"/s/{number}" for number in range(20))


# --- who never answers ------------------------------------------------------------------------------------------------


class Silent:
    """A service that takes connections, reads whatever comes, and says nothing."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while await reader.read(65_536):
                pass
        writer.close()

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"


@pytest.fixture(params=["http/1.1", "h2"])
async def silent(setting: Setting, request: pytest.FixtureRequest) -> AsyncIterator[Silent]:
    service = Silent()
    tls = setting.authority.server(HOST, alpn=request.param)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=tls)
    service.port = server.sockets[0].getsockname()[1]
    yield service
    server.close()


async def connected(service: Silent, more_than: int = 0) -> None:
    async with asyncio.timeout(10):
        while service.connections <= more_than:  # noqa: ASYNC110 - it stands in for a foreign program
            await asyncio.sleep(0.005)


async def test_one_that_never_answers_keeps_nobody_else_waiting(setting: Setting, silent: Silent) -> None:
    transport = setting.transport(setting.plain(connections=8))
    unanswered = asyncio.create_task(send(transport, [post(f"{silent.origin}/{number}") for number in range(300)]))
    await connected(silent)
    async with asyncio.timeout(4):  # a request may take 20 s
        for origin in (setting.h1, setting.h2):
            answers = await send(transport, [post(f"{origin}/{number}") for number in range(100)])
            assert [answer.status for answer in answers] == [201] * 100
    assert not unanswered.done()
    assert silent.connections <= 4 + 1  # one of them to ask for HTTP/2
    unanswered.cancel()
    await asyncio.wait([unanswered])
    await transport.close()


async def test_waiting_for_it_ends_and_what_was_not_sent_is_known(setting: Setting, silent: Silent) -> None:
    transport = setting.transport(setting.plain(timeout_s=0.3, patience_s=0.2), limits=QUICK)
    async with asyncio.timeout(10):
        answers = await send_and_close(transport, *(post(f"{silent.origin}/{number}") for number in range(100)))
    assert {answer.status for answer in answers} == {0}
    assert 0 <= sum(answer.unknown for answer in answers) <= 4 + 4
    assert all("within" in (answer.error or "") for answer in answers)


async def test_it_is_left_alone_for_a_while_and_then_asked_again(setting: Setting, silent: Silent) -> None:
    transport = setting.transport(setting.plain(timeout_s=0.2), limits=QUICK)
    for rested in (0.0, REST_S):
        setting.clock.now += rested
        before = silent.connections
        asking = asyncio.create_task(send(transport, [post(f"{silent.origin}/s")]))
        await connected(silent, before)
        setting.clock.now += SLOW_S
        await asking
        before = silent.connections
        [left_alone] = await send(transport, [post(f"{silent.origin}/s")])
        assert (left_alone.error, left_alone.unknown) == (RESTING, False)
        assert silent.connections == before
    await transport.close()
