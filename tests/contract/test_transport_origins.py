"""Web Push services of others: HTTP/2 where they offer it, HTTP/1.1 where not, and the same guard for both."""

import ssl
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from clarion.crypto.webpush import Receiver
from clarion.ports import Accepted, HttpRequest, HttpResponse
from clarion.providers.webpush import WebPushProvider
from clarion.testing import ManualClock
from clarion.transport import origins
from clarion.transport.http import HttpTransport
from clarion.transport.origins import ASK_AGAIN_S, OriginsTransport
from contract.http2_server import Asked as Http2Asked
from contract.http2_server import Authority, Resolver, Server, Session, serving
from contract.test_providers import SECRETS, RecordingTransport, outgoing

HOST = "push.example"


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

    def transport(self, *, allow_private: bool = True, trusted: bool = True, most_origins: int = 9) -> OriginsTransport:
        tls = self.authority.client() if trusted else ssl.create_default_context()
        plain = HttpTransport(
            allow_private=allow_private,
            resolver=self.names,
            tls=self.authority.client() if trusted else ssl.create_default_context(),
        )
        tls.set_alpn_protocols(["h2"])
        return OriginsTransport(
            plain,
            allow_private=allow_private,
            tls=tls,
            resolver=self.names,
            most_origins=most_origins,
            time=self.clock,
        )


def created(session: Session, stream: int, asked: Http2Asked) -> None:
    """As a push service answers."""
    headers = [(":status", "201"), ("location", f"https://{HOST}/m{asked.path}"), ("ttl", asked.headers["ttl"])]
    session.h2.send_headers(stream, headers, end_stream=True)
    session.flush()


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    authority, asked = Authority(), []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path_qs)
        if request.path == "/moved":
            return web.Response(status=307, headers={"Location": "https://other.example/"})
        return web.Response(status=201, headers={"Location": f"https://{HOST}/m{request.path_qs}"})

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


async def send(transport: OriginsTransport, *requests: HttpRequest) -> list[HttpResponse]:
    try:
        return await transport.send(requests)
    finally:
        await transport.close()


async def test_a_mixed_batch_is_answered_in_order_each_by_its_own_protocol(setting: Setting) -> None:
    requests = [
        post(f"{(setting.h2, setting.h1)[number % 2]}/s/{number}?t={number}", ttl=str(number % 3))
        for number in range(60)
    ]
    answers = await send(setting.transport(), *requests)
    assert [answer.headers["location"] for answer in answers] == [
        f"https://{HOST}/m/s/{number}?t={number}" for number in range(60)
    ]
    assert len(setting.http2.seen) == len(setting.http1_asked) == 30
    assert len(setting.http2.addresses) == 1


async def test_a_service_without_http2_is_asked_for_it_once_an_hour(setting: Setting) -> None:
    transport = setting.transport()
    counts = []
    for step in (0.0, 1.0, ASK_AGAIN_S, 1.0):
        setting.clock.now += step
        before = setting.names.asked
        [answer] = await transport.send([post(f"{setting.h1}/s")])
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
    [answer] = await send(setting.transport(allow_private=False), post(url))
    assert (answer.status, (answer.error or "")[:8]) == (0, "refused:"), answer


async def test_a_name_that_leads_inside_is_refused(setting: Setting) -> None:
    for url in (setting.h2, setting.h1):
        [answer] = await send(setting.transport(allow_private=False), post(f"{url}/s"))
        assert answer.status == 0
        assert answer.error == f"refused: {HOST}: a private or special address"
    assert setting.http2.addresses == setting.http1_asked == []


async def test_one_bad_address_among_good_ones_is_enough(setting: Setting) -> None:
    setting.names.addresses = ("127.0.0.1", "169.254.169.254")
    [answer] = await send(setting.transport(), post(f"{setting.h2}/s"))
    assert answer.error == f"refused: {HOST}: an address that no push service has"


async def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(setting: Setting) -> None:
    [answer] = await send(setting.transport(trusted=False), post(f"{setting.h2}/s"))
    assert answer.status == 0
    assert "certificate" in (answer.error or "")
    assert not (answer.error or "").startswith("refused")  # it may be mended: the message is tried again
    assert setting.http2.seen == []


async def test_a_redirect_is_an_answer(setting: Setting) -> None:
    [answer] = await send(setting.transport(), post(f"{setting.h1}/moved"))
    assert answer.status == 307


async def test_where_nobody_listens(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "LIMITS", msgspec.structs.replace(origins.LIMITS, patience_s=0.5))
    setting.http2.stop()
    [answer] = await send(setting.transport(), post(f"{setting.h2}/s"))
    assert answer.status == 0
    assert not answer.unknown


async def test_origins_without_end_do_not_take_memory_without_end(setting: Setting) -> None:
    transport = setting.transport(most_origins=1)
    for _ in range(3):
        answers = await transport.send([post(f"{setting.h2}/a"), post(f"{setting.h1}/b")])
        assert [answer.status for answer in answers] == [201, 201]
    await transport.close()


@pytest.mark.parametrize("path", ["/s p", "/s/ü", "?only=query", "/s#fragment"])
async def test_urls_that_are_not_written_out_go_over_http1(setting: Setting, path: str) -> None:
    [answer] = await send(setting.transport(), post(f"{setting.h1}{path}"))
    assert answer.status == 201
    assert "#" not in setting.http1_asked[0]


async def test_the_provider_sends_over_it(setting: Setting) -> None:
    transport = setting.transport()
    provider = WebPushProvider(transport, subject="mailto:a@example.com", own_origin="https://own.example")
    batch = [outgoing(Receiver.generate(), endpoint=f"{setting.h2}/s/{number}") for number in range(20)]
    outcomes = await provider.send(batch, SECRETS, ManualClock().now())
    await transport.close()
    assert outcomes == [Accepted(f"https://{HOST}/m/s/{number}") for number in range(20)]


async def test_other_methods_are_not_its_business() -> None:
    plain = RecordingTransport(HttpResponse(204))
    transport = OriginsTransport(plain)
    [answer] = await send(transport, HttpRequest("DELETE", f"https://{HOST}/m/1", {}, b""))
    assert answer.status == 204
