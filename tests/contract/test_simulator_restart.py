"""Counts outlive a simulator, however it ends: in one process, and as `clarion simulate` killed with SIGKILL."""

import asyncio
import time
from pathlib import Path

import httpx
import jwt
import pytest

from clarion.testing import ManualClock
from clarion.testing.simulators import ApnsSimulator
from clarion.testing.simulators.journal import Journal
from contract.support_simulators import ALERT, TOKEN, Command, http, provider_token, push_headers
from free_ports import free_port

MANY = 300
FEW = 20


async def test_counts_come_back(tmp_path: Path, clock: ManualClock) -> None:
    state = tmp_path / "state"
    async with ApnsSimulator(folder=tmp_path, state=state, now=clock.now) as apns, http(apns) as client:
        headers = push_headers(provider_token(apns, clock.now() / 1000), apns_id="00000000-0000-0000-0000-000000000007")
        for collapse in ("a", "a", "b"):
            await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers | {"apns-collapse-id": collapse})
        apns.shown.switch_off(TOKEN)
        await client.post(f"/3/device/{TOKEN}", content=ALERT, headers=headers | {"apns-collapse-id": "c"})
        before = apns.shown.on(TOKEN).told()
    async with ApnsSimulator(folder=tmp_path, state=state, now=clock.now) as apns:
        assert apns.shown.on(TOKEN).told() == before
        assert (apns.shown.accepted, apns.shown.notifications, apns.shown.duplicates) == (4, 2, 3)
        apns.shown.switch_on(TOKEN)
        assert apns.shown.on(TOKEN).screen == {"a": 2, "b": 1, "c": 1}
        apns.forget()
    async with ApnsSimulator(folder=tmp_path, state=state, now=clock.now) as apns:
        assert apns.shown.accepted == 0


def test_an_unfinished_line_was_never_answered(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_bytes(b'["off","a"]\n["on",')
    journal = Journal(file)
    assert list(journal.read()) == [["off", "a"]]
    journal.add(["on", "a"])
    journal.close()
    assert file.read_bytes() == b'["off","a"]\n["on","a"]\n'


# --- as a command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    return ["--json", "--port", str(free_port()), "--data", str(tmp_path / "keys"), "--state", str(tmp_path / "state")]


@pytest.mark.process
async def test_what_was_accepted_is_counted_although_the_simulator_was_killed(arguments: list[str]) -> None:
    accepted = 0
    few = asyncio.Semaphore(FEW)

    async def send(client: httpx.AsyncClient, number: int) -> None:
        nonlocal accepted
        async with few:
            response = await client.post(f"/3/device/{number:064x}", content=ALERT)
        assert response.status_code == 200
        accepted += 1
        if accepted == MANY // 3:
            command.kill()

    with Command("apns", *arguments) as command:
        about = command.about
        headers = push_headers(sign(about))
        async with command.client(headers=headers) as client:
            await send(client, 0)
            await asyncio.gather(*(send(client, number) for number in range(1, MANY)), return_exceptions=True)
    assert MANY // 3 <= accepted < MANY // 3 + FEW
    with Command("apns", *arguments) as again:
        assert again.about == about
        async with again.client(headers=headers) as client:
            told = (await client.get("/simulator")).json()
            assert accepted <= told["accepted"] <= accepted + FEW
            await send(client, MANY)
        assert again.end()["accepted"] == told["accepted"] + 1


def sign(about: dict[str, str]) -> str:
    """A provider token of the credential that a command told about."""
    key = Path(about["key_file"]).read_text("utf-8")
    return jwt.encode({"iss": about["team_id"], "iat": int(time.time())}, key, "ES256", {"kid": about["key_id"]})
