"""The simulators' server is a good one: flow control, large bodies, odd but right frames, and wrong ones."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from h2.events import PingAckReceived, ResponseReceived
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame

from clarion.testing import ManualClock
from clarion.testing.simulators import ApnsSimulator, FcmSimulator
from clarion.testing.simulators.exchange import MAX_BODY
from contract.support_simulators import ALERT, TOKEN, frames, http, provider_token, push_headers

PATH = f"/3/device/{TOKEN}"


@pytest.fixture
async def apns(clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


@pytest.fixture
def headers(apns: ApnsSimulator, clock: ManualClock) -> dict[str, str]:
    return push_headers(provider_token(apns, clock.now() / 1000))


async def test_a_response_waits_for_the_client_s_window(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    async with frames(apns) as connection:
        connection.machine.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        await connection.answer(connection.ask(PATH, headers))
        stream = connection.begin("GET", "/simulator/messages", {}, end=True)
        status, _, body = await connection.answer(stream)
    assert status == 200
    assert json.loads(body)["messages"][0]["payload"] == json.loads(ALERT)


async def test_a_request_that_is_far_too_large(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    async with http(apns) as client:
        assert (await client.post(PATH, content=b"x" * MAX_BODY, headers=headers)).json() == {
            "reason": "PayloadTooLarge"
        }
        assert (await client.post(PATH, content=b"x" * (MAX_BODY + 1), headers=headers)).status_code == 413
        assert (await client.post(PATH, content=ALERT, headers=headers)).status_code == 200


async def test_more_requests_than_a_window(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    body = b'{"aps":{"alert":"' + b"x" * 4_000 + b'"}}'
    async with frames(apns) as connection:
        for _ in range(100):
            assert (await connection.answer(connection.ask(PATH, headers, body)))[0] == 200


async def test_padding_pings_and_continuation(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    long = headers | {"x-filler": "y" * 30_000}
    async with frames(apns) as connection:
        connection.machine.ping(b"12345678")
        stream = connection.begin("POST", PATH, long)
        connection.machine.send_data(stream, ALERT[:10], pad_length=100)
        connection.machine.send_data(stream, ALERT[10:], end_stream=True, pad_length=0)
        assert (await connection.answer(stream))[0] == 200
        assert connection.all(PingAckReceived)


async def test_trailers_end_a_request_too(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    async with frames(apns) as connection:
        stream = connection.begin("POST", PATH, headers)
        connection.machine.send_data(stream, ALERT)
        connection.machine.send_headers(stream, [("x-checksum", "1")], end_stream=True)
        assert (await connection.answer(stream))[0] == 200


async def test_a_frame_that_is_not_allowed_ends_the_connection(apns: ApnsSimulator) -> None:
    async with frames(apns) as connection:
        await connection.streams()
        connection._writer.write(DataFrame(99, b"for no stream", flags=["END_STREAM"]).serialize())
        assert (await connection.goaway()).error_code == ErrorCodes.PROTOCOL_ERROR
        await connection.end()


async def test_a_request_that_never_ends_disturbs_nobody(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    async with frames(apns) as connection:
        await connection.answer(connection.ask(PATH, headers))
        open_ended = connection.begin("POST", PATH, headers)
        connection.machine.send_data(open_ended, ALERT)
        assert (await connection.answer(connection.ask(PATH, headers)))[0] == 200
        assert not connection.all(ResponseReceived, open_ended)
    assert apns.shown.accepted == 2


async def test_closed_streams_are_forgotten(apns: ApnsSimulator, headers: dict[str, str]) -> None:
    async with frames(apns) as connection:
        for _ in range(600):
            await connection.answer(connection.ask(PATH, headers))
        [peer] = apns.peers
        assert len(peer._machine.streams) < 300  # type: ignore[attr-defined]


async def test_a_file_with_two_authorities_is_good_for_both_also_with_the_strictest_checks(
    apns: ApnsSimulator, tmp_path: Path
) -> None:
    async with FcmSimulator() as fcm:
        both = tmp_path / "authorities.pem"
        both.write_bytes(apns.ca_file.read_bytes() + fcm.ca_file.read_bytes())
        for simulator in (apns, fcm):
            trust = ssl.create_default_context(cafile=both)
            trust.verify_flags |= ssl.VERIFY_X509_STRICT  # which Python 3.13 asks for by itself
            async with http(simulator, verify=trust) as client:
                assert (await client.get("/simulator")).status_code == 200
