"""Who runs a simulator as a process of its own asks it and tells it over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clarion.testing import ManualClock
from clarion.testing.simulators import ApnsSimulator
from contract.support_simulators import ALERT, TOKEN, frames, http, provider_token, push_headers


@pytest.fixture
async def apns(clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


@pytest.fixture(params=["HTTP/2", "HTTP/1.1"])
async def desk(apns: ApnsSimulator, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever asks, over either version."""
    async with http(apns, http2=request.param == "HTTP/2") as client:
        yield client


@pytest.fixture
async def sender(apns: ApnsSimulator, clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    headers = push_headers(provider_token(apns, clock.now() / 1000), apns_collapse_id="a")
    async with http(apns, headers=headers) as client:
        yield client


async def push(sender: httpx.AsyncClient, token: str = TOKEN) -> int:
    return (await sender.post(f"/3/device/{token}", content=ALERT)).status_code


async def test_counts(desk: httpx.AsyncClient, sender: httpx.AsyncClient) -> None:
    assert [await push(sender), await push(sender), await push(sender, "bad")] == [200, 200, 400]
    assert (await desk.get("/simulator")).json() == {
        "requests": 3,
        "accepted": 2,
        "notifications": 1,
        "duplicates": 0,
        "devices": 1,
        "connections": 2,
        "answers": {"200": 2, "400 BadDeviceToken": 1},
    }


async def test_a_device(desk: httpx.AsyncClient, sender: httpx.AsyncClient) -> None:
    await push(sender)
    told = (await desk.get(f"/simulator/devices/{TOKEN}")).json()
    assert (told["accepted"], told["by_key"], told["off"]) == (1, {"a": 1}, False)
    assert (await desk.post(f"/simulator/devices/{TOKEN}/off")).json()["off"] is True
    await push(sender)
    assert (await desk.get(f"/simulator/devices/{TOKEN}")).json()["waiting"] == 1
    assert (await desk.post(f"/simulator/devices/{TOKEN}/on")).json()["by_key"] == {"a": 2}
    assert (await desk.get("/simulator/devices/unknown")).json()["accepted"] == 0


async def test_the_newest_messages(desk: httpx.AsyncClient, sender: httpx.AsyncClient) -> None:
    for number in range(3):
        await push(sender, f"{number:064x}")
    told = (await desk.get("/simulator/messages", params={"last": 2})).json()["messages"]
    assert [message["token"] for message in told] == [f"{number:064x}" for number in (1, 2)]
    assert told[0]["payload"] == {"aps": {"alert": {"title": "Shipped"}}}
    assert told[0]["headers"]["apns-collapse-id"] == "a"


async def test_a_script(desk: httpx.AsyncClient, sender: httpx.AsyncClient) -> None:
    script = {TOKEN: [{"do": "refuse", "reason": "Unregistered", "times": 1}, {"do": "accept"}]}
    assert (await desk.put("/simulator/script", json=script)).json() == {"tokens": 1}
    assert [await push(sender), await push(sender)] == [410, 200]
    await desk.put("/simulator/script", json={TOKEN: {"do": "refuse", "reason": "Shutdown"}})
    assert await push(sender) == 503
    await desk.delete("/simulator/script")
    assert await push(sender) == 200


async def test_connections_leave_and_drop(
    apns: ApnsSimulator, desk: httpx.AsyncClient, sender: httpx.AsyncClient
) -> None:
    async with frames(apns) as connection:
        await connection.streams()
        assert (await desk.post("/simulator/goaway", json={"reason": "IdleTimeout"})).status_code == 200
        assert (await connection.goaway()).additional_data == b'{"reason":"IdleTimeout"}'
    async with frames(apns) as connection:
        await connection.streams()
        assert (await desk.post("/simulator/hangup")).status_code == 200
        await connection.end()


async def test_begin_at_zero(desk: httpx.AsyncClient, sender: httpx.AsyncClient) -> None:
    await push(sender)
    await desk.delete("/simulator/counts")
    told = (await desk.get("/simulator")).json()
    assert (told["requests"], told["accepted"], told["answers"]) == (0, 0, {})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/simulator/nothing", None, 404, "There is no GET /simulator/nothing"),
        ("POST", "/simulator", None, 404, "There is no POST /simulator"),
        ("GET", "/simulator/messages?last=all", None, 400, "last: a number from 1"),
        ("PUT", "/simulator/script", b"{", 400, "truncated"),
        ("PUT", "/simulator/script", b'{"a": {"do": "refuse"}}', 400, "reason"),
        (
            "PUT",
            "/simulator/script",
            b'{"a": {"do": "refuse", "reason": "x"}}',
            400,
            "a: there is no reason x; there are",
        ),
        ("POST", "/simulator/goaway", b'{"because": "x"}', 400, "because"),
        ("POST", "/simulator/goaway", b'{"reason": "x"}', 400, "there is no reason x"),
    ],
)
async def test_wrong_questions(
    desk: httpx.AsyncClient, method: str, path: str, body: Any, status: int, words: str
) -> None:
    response = await desk.request(method, path, content=body)
    assert response.status_code == status
    assert words in response.json()["error"]
