"""Whatever a sender asks: the answer is that of the errno table, and what is refused is never looked up."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from typing import cast

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from requests_made import CREATED, NO_TOKEN, OWN, Request, requests

from clarion.crypto.endpoints import EndpointTokens
from clarion.ports import HttpRequest, HttpResponse, PushStore
from clarion.testing import ManualClock, MemoryStore
from contract.support_gateway import ORIGIN, SECRETS, Meddler, new_gateway, new_settings, request


class Desk:
    """An endpoint with one device behind it, which is away, and a store that counts what it is asked."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.meddler = Meddler(MemoryStore(self.clock).push)
        self.gateway = new_gateway(cast("PushStore", self.meddler), self.clock, new_settings())
        self._runner = asyncio.Runner()
        self.uaid, self.chid = os.urandom(16), os.urandom(16)
        tokens, others = EndpointTokens(SECRETS), EndpointTokens([b"other" * 8])
        v1, v2 = tokens.make_v1(self.uaid, self.chid), tokens.make_v2(self.uaid, self.chid, OWN.public)
        self.urls = {
            "v1": f"{ORIGIN}/wpush/v1/{v1}",
            "v2": f"{ORIGIN}/wpush/v2/{v2}",
            "v1 as v2": f"{ORIGIN}/wpush/v2/{v1}",
            "v2 as v1": f"{ORIGIN}/wpush/v1/{v2}",
            "cut": f"{ORIGIN}/wpush/v2/{v2[:-1]}",
            "flipped": f"{ORIGIN}/wpush/v2/{'B' if v2[0] == 'A' else 'A'}{v2[1:]}",
            "v2 of another server": f"{ORIGIN}/wpush/v2/{others.make_v2(self.uaid, self.chid, OWN.public)}",
        }
        hexed = self.chid.hex()
        channel_id = "-".join((hexed[:8], hexed[8:12], hexed[12:16], hexed[16:20], hexed[20:]))
        self._runner.run(self.meddler.register(self.uaid.hex(), channel_id, None, "nobody", self.clock.now()))

    def close(self) -> None:
        self._runner.close()

    def ask(self, asked: HttpRequest) -> HttpResponse:
        """The answer; nothing is logged as an error."""
        self.meddler.calls.clear()
        with structlog.testing.capture_logs() as logs:
            [response] = self._runner.run(self.gateway.accept([asked]))
        assert [line for line in logs if line["log_level"] == "error"] == []
        return response


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def verdict_of(response: HttpResponse) -> tuple[int, int | None]:
    if response.status == CREATED[0]:
        assert response.headers["location"].startswith(f"{ORIGIN}/m/")
        return CREATED
    body = json.loads(response.body)
    assert set(body) == {"code", "errno", "error", "message", "more_info"}
    assert (body["code"], bool(body["message"])) == (response.status, True)
    return response.status, body["errno"]


@given(requests)
@settings(max_examples=800)
def test_every_request_is_answered_by_the_table(desk: Desk, asked: Request) -> None:
    response = desk.ask(asked.made(desk.urls, desk.clock.now()))
    verdict = verdict_of(response)
    assert verdict in asked.verdicts()
    if verdict == CREATED:
        assert "add" in desk.meddler.calls or response.headers["ttl"] == "0"
    else:
        assert desk.meddler.calls == []
    assert ("www-authenticate" in response.headers) is (response.status == 401)


@given(st.data())
def test_no_change_of_a_token_goes_unseen(desk: Desk, data: st.DataObject) -> None:
    url = desk.urls[data.draw(st.sampled_from(["v1", "v2"]))]
    head, _, token = url.rpartition("/")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda each: each != token[place]))
    change: Callable[[], str] = data.draw(
        st.sampled_from(
            [
                lambda: token[:place] + other + token[place + 1 :],
                lambda: token[:place] + token[place + 1 :],
                lambda: token[:place] + other + token[place:],
                lambda: token[place:] + token[:place] if place else "",
            ]
        )
    )
    changed = change()
    response = desk.ask(request(f"{head}/{changed}", b"body"))
    if changed.partition("?")[0] == token:  # a query is not the token's
        return
    assert verdict_of(response) == NO_TOKEN
    assert desk.meddler.calls == []


@given(st.text(max_size=120), st.dictionaries(st.text(), st.text()))
def test_no_path_and_no_header_breaks_it(desk: Desk, path: str, headers: dict[str, str]) -> None:
    for begin, method in (("", "POST"), ("", "GET"), ("/wpush/v1/", "POST"), ("/wpush/v2/", "GET"), ("/m/", "DELETE")):
        response = desk.ask(HttpRequest(method, ORIGIN + begin + path, headers, b"body"))
        assert verdict_of(response) == NO_TOKEN
        assert desk.meddler.calls == []


@given(requests, st.dictionaries(st.text(), st.text(max_size=50)))
def test_headers_that_nobody_knows_do_not_matter(desk: Desk, asked: Request, more: dict[str, str]) -> None:
    made = asked.made(desk.urls, desk.clock.now())
    known = {"ttl", "topic", "urgency", "authorization", "crypto-key", "encryption", "content-encoding"}
    strange = {name: value for name, value in more.items() if name.lower() not in known}
    response = desk.ask(HttpRequest(made.method, made.url, {**strange, **made.headers}, made.body))
    assert verdict_of(response) in asked.verdicts()
