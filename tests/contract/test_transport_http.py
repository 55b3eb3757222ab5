"""Requests to URLs that strangers chose: only to public https addresses, and never an exception for one of a batch."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from clarion.ports import HttpRequest
from clarion.transport.addresses import why_refused
from clarion.transport.http import MAX_ANSWER, HttpTransport
from contract.support_batches import send_and_close as send

# --- addresses -------------------------------------------------------------------------------------------------------

PUBLIC = [
    "1.1.1.1",
    "142.250.1.188",
    "2a00:1450:4001:80b::200a",
    "2606:4700::1111",
    "64:ff9b::101:101",  # NAT64 of 1.1.1.1
    "::ffff:1.1.1.1",
]
PRIVATE = [
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "::10.0.0.1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:c0a8:101::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
]
NEVER = [
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "0.1.2.3",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "::",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "not an address",
    "",
]


def test_addresses_of_the_whole_world_may_be_connected_to() -> None:
    assert {address: why_refused(address, allow_private=False) for address in PUBLIC} == dict.fromkeys(PUBLIC)


def test_private_addresses_only_when_allowed() -> None:
    for address in PRIVATE:
        assert why_refused(address, allow_private=False), address
        assert why_refused(address, allow_private=True) is None, address


def test_some_never() -> None:
    for address in NEVER:
        assert why_refused(address, allow_private=True), address
        assert why_refused(address, allow_private=False), address


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(address: object) -> None:
    for allow in (False, True):
        refused = why_refused(str(address), allow_private=allow) is not None
        for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert (why_refused(form, allow_private=allow) is not None) is refused


@given(st.ip_addresses(v=4))
def test_pythons_own_list_of_private_addresses_is_covered(address: object) -> None:
    if not getattr(address, "is_global"):  # noqa: B009 - hypothesis has no type for it
        assert why_refused(str(address), allow_private=False)


# --- requests --------------------------------------------------------------------------------------------------------


class Names(AbstractResolver):
    """Every name is at `addresses`; counts how often it is asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the interface's
    ) -> list[ResolveResult]:
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


class Service:
    """A push service on this machine, with bad manners on some paths."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.heard = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path)
        match request.path:
            case "/echo":
                headers = {"X-Said": request.headers.get("TTL", ""), "Location": "https://a.example/m/1"}
                return web.Response(status=201, body=await request.read(), headers=headers)
            case "/redirect":
                return web.Response(status=307, headers={"Location": "/secret"})
            case "/large":
                return web.Response(status=400, body=b"x" * 1_000_000)
            case "/bomb":
                packed = gzip.compress(b"\0" * 10_000_000)
                return web.Response(status=400, body=packed, headers={"Content-Encoding": "gzip"})
            case "/slow":
                self.heard.set()
                await asyncio.sleep(60)
            case "/drop":
                assert request.transport is not None
                request.transport.abort()
        return web.Response(text=str(sorted(request.headers)))


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, int]]:
    handler = Service()
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield handler, runner.addresses[0][1]
    await runner.cleanup()


def post(url: str, body: bytes = b"", **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, headers, body)


async def test_a_batch_is_answered_in_order(service: tuple[Service, int]) -> None:
    _, port = service
    base = f"http://127.0.0.1:{port}"
    bodies = [b"%d" % number for number in range(50)]
    responses = await send(HttpTransport(allow_private=True), *(post(base + "/echo", body, TTL="9") for body in bodies))
    assert [response.body for response in responses] == bodies
    assert {(response.status, response.headers["x-said"]) for response in responses} == {(201, "9")}
    assert responses[0].headers["location"] == "https://a.example/m/1"


async def test_a_name_is_looked_up_once_and_the_connection_goes_there(service: tuple[Service, int]) -> None:
    handler, port = service
    names = Names("127.0.0.1")
    [response] = await send(
        HttpTransport(allow_private=True, resolver=names), post(f"http://push.example:{port}/echo", b"hi")
    )
    assert (response.status, response.body) == (201, b"hi")
    assert (names.asked, handler.seen) == (1, ["/echo"])


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
async def test_a_name_that_leads_inside_is_refused(service: tuple[Service, int], addresses: list[str]) -> None:
    handler, port = service
    transport = HttpTransport(resolver=Names(*addresses))
    [response] = await send(transport, post(f"https://push.example:{port}/echo"))
    assert response.status == 0
    assert response.error is not None
    assert response.error.startswith("refused: push.example: ")
    assert handler.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example/x",
        "ftp://push.example/x",
        "file:///etc/passwd",
        "https:///x",
        "https://user:word@push.example/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/x",
        "https://127.1/x",
        "https://0/x",
        "//push.example/x",
        "",
    ],
)
async def test_urls_that_are_not_connected_to(url: str) -> None:
    names = Names("1.1.1.1")
    [response] = await send(HttpTransport(resolver=names), post(url))
    assert response.status == 0
    assert response.error is not None
    assert response.error.startswith("refused: ")
    assert names.asked == 0


@pytest.mark.parametrize(
    "url", ["https://0x7f.1/x", "https://017700000001/x", "https://localhost/x", "https://localhost./x"]
)
async def test_other_spellings_of_this_machine_are_refused_too(url: str) -> None:
    [response] = await send(HttpTransport(timeout_s=5), post(url))
    assert response.status == 0
    assert response.error


async def test_metadata_is_refused_even_where_private_networks_are_allowed() -> None:
    transport = HttpTransport(allow_private=True, resolver=Names("169.254.169.254"))
    responses = await send(transport, post("http://metadata.example/"), post("http://169.254.169.254/"))
    assert all((response.error or "").startswith("refused: ") for response in responses)


async def test_bad_manners_fail_one_request_and_not_the_batch(service: tuple[Service, int]) -> None:
    handler, port = service
    base = f"http://127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", 0)) as full:
        closed_port = full.getsockname()[1]
    transport = HttpTransport(allow_private=True, timeout_s=1.0)
    responses = await send(
        transport,
        post(base + "/redirect"),
        post(base + "/large"),
        post(base + "/bomb"),
        post(base + "/slow"),
        post(base + "/drop"),
        post(f"http://127.0.0.1:{closed_port}/"),
        post(base + "/echo", b"", TTL="a\r\nInjected: yes"),
        post("http://[broken/"),
        post(base + "/echo", b"good"),
    )
    redirect, large, bomb, slow, drop, unreached, injected, broken, good = responses
    assert (redirect.status, redirect.headers["location"]) == (307, "/secret")
    assert (large.status, len(large.body)) == (400, MAX_ANSWER)
    assert bomb.status == 400
    assert len(bomb.body) <= MAX_ANSWER
    assert (slow.status, slow.error) == (0, "no answer within 1 s")
    for failed in (drop, unreached, injected, broken):
        assert failed.status == 0
        assert failed.error
        assert not failed.error.startswith("refused")
    assert (good.status, good.body) == (201, b"good")
    assert "/secret" not in handler.seen


async def test_a_proxy_of_the_environment_is_not_used(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port = service
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    [response] = await send(HttpTransport(allow_private=True), post(f"http://127.0.0.1:{port}/echo", b"direct"))
    assert response.body == b"direct"


async def test_waiting_for_a_connection_is_not_the_peers_fault(service: tuple[Service, int]) -> None:
    _, port = service
    transport = HttpTransport(allow_private=True, connections=1, timeout_s=0.5)
    slow, good = await send(
        transport, post(f"http://127.0.0.1:{port}/slow"), post(f"http://127.0.0.1:{port}/echo", b"next")
    )
    assert slow.status == 0
    assert good.body == b"next"


async def test_a_certificate_that_nobody_vouches_for_is_no_answer(tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://push.example:{listening.getsockname()[1]}/"
        serving = asyncio.get_running_loop().run_in_executor(None, _answer_without_tls, listening)
        [response] = await send(HttpTransport(allow_private=True, resolver=Names("127.0.0.1"), timeout_s=5), post(url))
        await serving
    assert response.status == 0
    assert response.error


def _answer_without_tls(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
