"""Requests to any origins: HTTP/2 where it is spoken, HTTP/1.1 where not, and no address that is not public."""

import ssl
from collections.abc import AsyncIterator, Sequence

import pytest

from clarion.ports import HttpRequest, HttpResponse
from clarion.transport.http2 import Http2Transport, Limits, for_http2
from contract.http2_server import Authority, Resolver, Server, echo

QUICK = Limits(tick_s=0.02, backoff_s=(0.01, 0.05), patience_s=0.2)


class Elsewhere:
    """Stands for HTTP/1.1."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.closed = False

    async def send(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        self.urls += [request.url for request in requests]
        return [HttpResponse(299, body=request.url.encode()) for request in requests]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[Server]:
    running = Server(echo)
    await running.listen(authority.server("*.push.example"))
    yield running
    running.stop()


def transport_to(authority: Authority, elsewhere: Elsewhere, **options: object) -> Http2Transport:
    given: dict[str, object] = {"allow_private": True, "limits": QUICK, "resolver": Resolver("127.0.0.1"), **options}
    return Http2Transport(elsewhere, tls=for_http2(authority.client()), **given)  # type: ignore[arg-type]


def post(url: str, **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, {"TTL": "60", **headers}, b"body")


async def test_each_origin_gets_its_own_in_order(authority: Authority, server: Server) -> None:
    transport = transport_to(authority, elsewhere := Elsewhere())
    urls = [f"https://{name}.push.example:{server.port}/{number}?q" for number in range(20) for name in ("a", "b")]
    answers = await transport.send([post(url, topic=str(len(url))) for url in urls])
    assert [answer.body for answer in answers] == [f"/{number}?q\nbody".encode() for number in range(20) for _ in "ab"]
    assert len(server.addresses) == 2
    assert elsewhere.urls == []
    await transport.close()
    assert elsewhere.closed


async def test_headers_arrive_whether_shared_or_not(authority: Authority, server: Server) -> None:
    seen: list[dict[str, str]] = []
    server.script = lambda session, stream, asked: (seen.append(asked.headers), session.answer(stream))[1]
    transport = transport_to(authority, Elsewhere())
    origin = f"https://a.push.example:{server.port}"
    answers = await transport.send([post(origin + "/1", Urgency="high"), post(origin, Urgency="low"), post(origin)])
    assert [answer.status for answer in answers] == [200] * 3
    assert [(each[":path"], each["ttl"], each.get("urgency")) for each in seen] == [
        ("/1", "60", "high"),
        ("/", "60", "low"),
        ("/", "60", None),
    ]
    await transport.close()


async def test_what_http2_cannot_carry_goes_elsewhere(authority: Authority, server: Server) -> None:
    transport = transport_to(authority, elsewhere := Elsewhere())
    url = f"https://a.push.example:{server.port}/"
    answers = await transport.send([HttpRequest("DELETE", url, {}, b""), post("http://a.example/"), post("no url")])
    assert [answer.status for answer in answers] == [299] * 3
    assert elsewhere.urls == [url, "http://a.example/", "no url"]
    assert server.addresses == []
    await transport.close()


@pytest.mark.parametrize("alpn", ["http/1.1", None])
async def test_an_origin_without_http2_is_served_elsewhere(authority: Authority, alpn: str | None) -> None:
    old = Server(echo)
    await old.listen(authority.server("*.push.example", alpn))
    resolver = Resolver("127.0.0.1")
    transport = transport_to(authority, elsewhere := Elsewhere(), resolver=resolver)
    url = f"https://a.push.example:{old.port}/x"
    assert [answer.status for answer in await transport.send([post(url), post(url)])] == [299, 299]
    asked = resolver.asked
    assert [answer.status for answer in await transport.send([post(url)])] == [299]
    assert resolver.asked == asked  # it is remembered
    assert elsewhere.urls == [url] * 3
    await transport.close()
    old.stop()


REFUSED = [
    ("https://127.0.0.1:{port}/", "127.0.0.1: a private or special address"),
    ("https://a.push.example:{port}/", "a.push.example: a private or special address"),
    ("https://user@a.example:{port}/", "no origin"),
    ("https://a.push.example:{port}?x", "no origin"),
    ("https://a.push.example:{port}#x", "no origin"),
    ("https://a.push.example:port/", "Port could not be cast"),
    ("https://[::1/", "Invalid IPv6 URL"),
    ("https:///x", "no origin"),
]


@pytest.mark.parametrize(("url", "why"), REFUSED)
async def test_refused_without_a_connection(authority: Authority, server: Server, url: str, why: str) -> None:
    transport = transport_to(authority, elsewhere := Elsewhere(), allow_private=False)
    [answer] = await transport.send([post(url.format(port=server.port))])
    assert answer.status == 0
    assert not answer.unknown
    assert str(answer.error).startswith("refused: ")
    assert why in str(answer.error)
    assert (server.addresses, elsewhere.urls) == ([], [])
    await transport.close()


async def test_unused_origins_make_room_for_new_ones(authority: Authority, server: Server) -> None:
    transport = transport_to(authority, Elsewhere(), most_origins=2)
    urls = [f"https://{name}.push.example:{server.port}/" for name in "abcdef"]
    assert {answer.status for answer in await transport.send([post(url) for url in urls])} == {200}
    await server.until(lambda: len(server.sessions) <= 2)
    assert [answer.status for answer in await transport.send([post(urls[0])])] == [200]
    await transport.close()


async def test_a_certificate_of_somebody_else_is_no_reason_to_fall_back(server: Server) -> None:
    transport = Http2Transport(
        elsewhere := Elsewhere(),
        allow_private=True,
        resolver=Resolver("127.0.0.1"),
        tls=for_http2(ssl.create_default_context()),
        limits=QUICK,
    )
    [answer] = await transport.send([post(f"https://a.push.example:{server.port}/")])
    assert "certificate verify failed" in str(answer.error)
    assert elsewhere.urls == []
    await transport.close()
