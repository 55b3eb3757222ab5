"""The script decides what becomes of a request, and every kind of answer is one that a sender may meet."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from h2.errors import ErrorCodes
from h2.events import ResponseReceived, StreamReset

from clarion.testing import ManualClock
from clarion.testing.simulators import (
    Accept,
    ApnsSimulator,
    Break,
    Delay,
    HangUp,
    Leave,
    Raw,
    Refuse,
    Script,
    Stall,
)
from contract.support_simulators import ALERT, TOKEN, Frames, frames, http, provider_token, push_headers


def device(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
async def apns(clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


@pytest.fixture
def headers(apns: ApnsSimulator, clock: ManualClock) -> dict[str, str]:
    return push_headers(provider_token(apns, clock.now() / 1000))


async def warmed(connection: Frames, headers: dict[str, str]) -> None:
    """One accepted message, so that the connection has all its streams."""
    assert (await connection.answer(connection.ask(f"/3/device/{device(0)}", headers)))[0] == 200


def ask(connection: Frames, headers: dict[str, str], *numbers: int) -> list[int]:
    return [connection.ask(f"/3/device/{device(number)}", headers) for number in numbers]


# --- scripts ---------------------------------------------------------------------------------------------------------


async def test_answers_are_given_in_order_and_so_many_times(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    apns.script.on(TOKEN, [Refuse(reason="ServiceUnavailable", times=2), Refuse(reason="Shutdown", times=1), Accept()])
    async with http(apns) as client:
        statuses = [(await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers)).text for _ in range(4)]
    assert statuses == ['{"reason":"ServiceUnavailable"}'] * 2 + ['{"reason":"Shutdown"}', ""]
    assert apns.answers == {"503 ServiceUnavailable": 2, "503 Shutdown": 1, "200": 1}


async def test_otherwise_is_for_all_other_tokens(clock: ManualClock) -> None:
    script = Script({TOKEN: Accept()}, otherwise=Refuse(reason="ServiceUnavailable", retry_after=7))
    async with ApnsSimulator(script=script, now=clock.now) as apns, http(apns) as client:
        headers = push_headers(provider_token(apns, clock.now() / 1000))
        good, bad = [
            await client.post(f"/3/device/{token}", content=ALERT, headers=headers) for token in (TOKEN, device(1))
        ]
    assert (good.status_code, bad.status_code, bad.headers["retry-after"]) == (200, 503, "7")


def test_a_script_from_json() -> None:
    text = b'{"aa": {"do": "refuse", "reason": "Unregistered", "timestamp": 5}, "bb": [{"do": "hangup", "times": 1}]}'
    assert Script.read(text) == {"aa": Refuse(reason="Unregistered", timestamp=5), "bb": [HangUp(times=1)]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"aa": {"do": "explode"}}', "explode"),
        (b'{"aa": {"do": "delay"}}', "ms"),
        (b'{"aa": {"do": "accept", "tims": 2}}', "tims"),
        (b'{"aa": {"do": "accept", "times": 0}}', "times: 1 or more"),
        (b'{"aa": {"do": "raw", "status": 101}}', "200 to 599"),
        (b'{"aa": {"do": "delay", "ms": -1}}', "ms: 0 or more"),
        (b"{", "truncated"),
    ],
)
def test_a_wrong_script_is_told_what_is_wrong(text: bytes, words: str) -> None:
    with pytest.raises(msgspec.MsgspecError, match=words):
        Script.read(text)


def test_a_reason_must_be_one_of_the_service() -> None:
    with pytest.raises(ValueError, match=f"{TOKEN}: there is no reason UNREGISTERED; there are .*Unregistered"):
        ApnsSimulator(script=Script({TOKEN: Refuse(reason="UNREGISTERED")}))


@pytest.mark.parametrize("token", ["c0de", "c0de99" + "0" * 58, "c0dexx00" + "0" * 56])
def test_other_tokens_ask_for_nothing(token: str) -> None:
    assert ApnsSimulator.codes.read(token) is None


# --- connections that leave ------------------------------------------------------------------------------------------


async def test_goaway_in_the_middle_of_a_batch(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    apns.script.on(device(3), Leave(times=1))
    async with frames(apns) as connection:
        await warmed(connection, headers)
        streams = ask(connection, headers, 1, 2, 3, 4)
        goaway = await connection.goaway()
        await connection.end()
        assert goaway.last_stream_id == streams[1]
        assert goaway.error_code == ErrorCodes.NO_ERROR
        assert goaway.additional_data == b'{"reason":"Shutdown"}'
        assert [bool(connection.all(ResponseReceived, stream)) for stream in streams] == [True, True, False, False]
    assert [apns.shown.on(device(number)).accepted for number in (1, 2, 3, 4)] == [1, 1, 0, 0]


async def test_goaway_after_the_last_one_that_counts(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    apns.script.on(device(2), Leave(reason="InternalServerError", accepted=True))
    async with frames(apns) as connection:
        await warmed(connection, headers)
        streams = ask(connection, headers, 1, 2, 3)
        goaway = await connection.goaway()
        await connection.end()
        assert (goaway.last_stream_id, goaway.additional_data) == (streams[1], b'{"reason":"InternalServerError"}')
        assert [bool(connection.all(ResponseReceived, stream)) for stream in streams] == [True, True, False]
    assert [apns.shown.on(device(number)).accepted for number in (1, 2, 3)] == [1, 1, 0]


async def test_goaway_still_answers_what_it_keeps(
    apns: ApnsSimulator, headers: dict[str, str], clock: ManualClock
) -> None:
    apns.script.on(device(1), Delay(ms=500))
    apns.script.on(device(2), Leave(accepted=True))
    async with frames(apns) as connection:
        await warmed(connection, headers)
        slow, _ = ask(connection, headers, 1, 2)
        await connection.goaway()
        clock.advance(500)
        apns.tick()
        assert (await connection.answer(slow))[0] == 200
        await connection.end()


async def test_goaway_for_everybody(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    async with frames(apns) as one, frames(apns) as other:
        await warmed(one, headers)
        await other.streams()
        apns.go_away("IdleTimeout")
        assert (await one.goaway()).last_stream_id == 1
        assert (await other.goaway()).last_stream_id == 0
        await one.end()
        await other.end()


# --- the sender does not know ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [True, False])
async def test_the_connection_drops(apns: ApnsSimulator, headers: dict[str, str], *, accepted: bool) -> None:
    apns.script.on(TOKEN, HangUp(accepted=accepted, times=1))
    async with http(apns) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers)
        assert apns.shown.on(TOKEN).accepted == accepted
        again = await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers)
    assert again.status_code == 200
    assert apns.shown.on(TOKEN).accepted == accepted + 1


async def test_what_was_accepted_and_sent_again_shows_once(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    apns.script.on(TOKEN, HangUp(times=1))
    same = headers | {"apns-id": "00000000-0000-0000-0000-000000000007", "apns-collapse-id": "7"}
    async with http(apns) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=same)
        await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=same)
    device = apns.shown.on(TOKEN)
    assert (device.accepted, device.notifications, device.duplicates) == (2, 1, 1)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Break(), ErrorCodes.REFUSED_STREAM), (Break(code=2, accepted=True), ErrorCodes.INTERNAL_ERROR)],
)
async def test_a_stream_is_reset(apns: ApnsSimulator, headers: dict[str, str], answer: Break, code: int) -> None:
    apns.script.on(device(1), answer)
    async with frames(apns) as connection:
        await warmed(connection, headers)
        broken, whole = ask(connection, headers, 1, 2)
        assert await connection.reset(broken) == code
        assert (await connection.answer(whole))[0] == 200
    assert apns.shown.on(device(1)).accepted == answer.accepted


async def test_one_stream_is_stuck(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    apns.script.on(device(1), Stall(accepted=True))
    async with frames(apns) as connection:
        await warmed(connection, headers)
        stuck, whole = ask(connection, headers, 1, 2)
        assert (await connection.answer(whole))[0] == 200
        assert not connection.all(ResponseReceived, stuck)
        assert not connection.all(StreamReset)
    assert apns.shown.on(device(1)).accepted == 1


async def test_a_slow_answer_waits_for_the_clock(
    apns: ApnsSimulator, headers: dict[str, str], clock: ManualClock
) -> None:
    apns.script.on(device(1), Delay(ms=500))
    async with frames(apns) as connection:
        await warmed(connection, headers)
        slow, quick = ask(connection, headers, 1, 2)
        await connection.answer(quick)
        clock.advance(499)
        apns.tick()
        assert (await connection.answer(*ask(connection, headers, 3)))[0] == 200
        assert not connection.all(ResponseReceived, slow)
        assert apns.shown.on(device(1)).accepted == 1
        clock.advance(1)
        apns.tick()
        assert (await connection.answer(slow))[0] == 200


async def test_a_slow_answer_by_the_machine_s_clock(tmp_path: Path, clock: ManualClock) -> None:
    script = Script({device(1): Delay(ms=1)})
    async with ApnsSimulator(script=script) as apns, frames(apns) as connection:
        headers = push_headers(provider_token(apns, apns._now() / 1000))
        assert (await connection.answer(*ask(connection, headers, 1)))[0] == 200


async def test_a_sender_that_gives_up(apns: ApnsSimulator, headers: dict[str, str], clock: ManualClock) -> None:
    apns.script.on(device(1), Delay(ms=500))
    async with frames(apns) as connection:
        await warmed(connection, headers)
        given_up, whole = ask(connection, headers, 1, 2)
        await connection.answer(whole)
        connection.machine.reset_stream(given_up, ErrorCodes.CANCEL)
        assert (await connection.answer(*ask(connection, headers, 3)))[0] == 200
        clock.advance(500)
        apns.tick()
        assert (await connection.answer(*ask(connection, headers, 4)))[0] == 200


async def test_a_page_instead_of_an_answer(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    apns.script.on(TOKEN, Raw(status=502, body="<html>Bad gateway</html>", retry_after=3, times=1))
    async with http(apns) as client:
        response = await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers)
    assert (response.status_code, response.text) == (502, "<html>Bad gateway</html>")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["retry-after"] == "3"


def by_code() -> list[Any]:
    return [
        pytest.param(number, answer, id=f"{number:02x}-{type(answer).__name__.lower()}")
        for number, answer in ApnsSimulator.codes.answers.items()
        if not isinstance(answer, Accept | Refuse | Raw)
    ]


@pytest.mark.parametrize(("number", "answer"), by_code())
async def test_every_other_code_is_what_the_table_says(
    apns: ApnsSimulator, headers: dict[str, str], clock: ManualClock, number: int, answer: Any
) -> None:
    token = apns.codes.token(number, 1, "0" * 56)
    async with frames(apns) as connection:
        await warmed(connection, headers)
        stream = connection.ask(f"/3/device/{token}", headers)
        match answer:
            case Leave():
                await connection.goaway()
            case HangUp():
                await connection.end()
            case Break(code=code):
                assert await connection.reset(stream) == code
            case Delay(ms=ms):
                await connection.answer(*ask(connection, headers, 1))
                clock.advance(ms)
                apns.tick()
                assert (await connection.answer(stream))[0] == 200
            case Stall():
                await connection.answer(*ask(connection, headers, 1))
                assert not connection.all(ResponseReceived, stream)
    assert apns.shown.on(token).accepted == getattr(answer, "accepted", True)
