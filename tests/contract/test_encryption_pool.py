"""Large batches are encrypted by other processes, whatever becomes of these: nothing is lost, nobody outlives us."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from clarion.crypto.turns import SLICE, Turns
from clarion.crypto.webpush import BadSubscription, PayloadTooLarge, Plain, Receiver, Sealed
from clarion.workers import encryption
from clarion.workers.encryption import LARGE, EncryptionPool

RECEIVERS = [Receiver.generate() for _ in range(20)]
PARENT = """
import asyncio, signal
from clarion.crypto.webpush import Receiver
from clarion.workers.encryption import EncryptionPool

async def main():
    pool, ending = EncryptionPool(2), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    keys = Receiver.generate().keys()
    batch = [(b"x", keys["p256dh"], keys["auth"])] * 2_000
    await pool.encrypt(batch)
    while len(pool.pids) < 2:
        await asyncio.sleep(0.01)
    print(*pool.pids, flush=True)
    busy = asyncio.create_task(pool.encrypt(batch * 50))
    await ending.wait()
    busy.cancel()
    await pool.close()

asyncio.run(main())
"""


def batch_of(size: int) -> list[Plain]:
    """Messages that are told apart, to receivers in turn."""
    return [(b"message %d" % number, *_keys(number)) for number in range(size)]


def _keys(number: int) -> tuple[str, str]:
    keys = RECEIVERS[number % len(RECEIVERS)].keys()
    return keys["p256dh"], keys["auth"]


def check(batch: list[Plain], sealed: list[Sealed]) -> None:
    """Each has its own body."""
    assert len(sealed) == len(batch)
    for number, ((payload, *_), body) in enumerate(zip(batch, sealed, strict=True)):
        assert isinstance(body, bytes)
        assert RECEIVERS[number % len(RECEIVERS)].decrypt(body) == payload


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and that nobody has taken note of is not alive.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1][1] != "Z"
    except FileNotFoundError:  # it ended a moment ago, or this system has no such files
        return not Path("/proc/self/stat").exists()
    except ProcessLookupError:  # the same, while we read
        return False


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - processes do not tell
            await asyncio.sleep(0.005)


@pytest.fixture
async def pool() -> AsyncIterator[EncryptionPool]:
    pool = EncryptionPool(2)
    yield pool
    pids = pool.pids
    async with asyncio.timeout(10):
        await pool.close()
    assert not any(map(is_alive, pids))


async def test_a_large_batch_comes_back_in_order(pool: EncryptionPool) -> None:
    batch = batch_of(1_030)
    check(batch, await pool.encrypt(batch))
    assert len(pool.pids) >= 1
    assert os.getpid() not in pool.pids


@pytest.mark.parametrize("size", [0, 1, LARGE - 1])
async def test_a_small_batch_starts_no_process(pool: EncryptionPool, size: int) -> None:
    check(batch_of(size), await pool.encrypt(batch_of(size)))
    assert pool.pids == []


async def test_none_are_started_where_none_are_wanted() -> None:
    pool = EncryptionPool(0)
    check(batch_of(500), await pool.encrypt(batch_of(500)))
    assert pool.pids == []
    await pool.close()


async def test_what_cannot_be_encrypted_has_its_error_in_its_place(pool: EncryptionPool) -> None:
    batch = batch_of(300)
    batch[7] = (b"x", "no key", "AAAA")
    batch[150] = (b"x", batch[0][1], "AAAA")
    batch[299] = (b"x" * 4_000, *_keys(299))
    sealed = await pool.encrypt(batch)
    here = await Turns().encrypt(batch)
    for number, kind in ((7, BadSubscription), (150, BadSubscription), (299, PayloadTooLarge)):
        assert type(sealed[number]) is kind
        assert str(sealed[number]) == str(here[number])
    assert sum(isinstance(body, bytes) for body in sealed) == 297


async def test_batches_at_once_are_not_mixed_up(pool: EncryptionPool) -> None:
    batches = [batch_of(size) for size in (150, 700, 3, 260)]
    for batch, sealed in zip(batches, await asyncio.gather(*map(pool.encrypt, batches)), strict=True):
        check(batch, sealed)


async def test_killed_in_the_middle_they_are_replaced_and_nothing_is_lost(
    pool: EncryptionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "PAUSE_S", 0.0)  # one of them may not have had anything to do yet
    batch = batch_of(2_000)
    await pool.encrypt(batch[:200])
    await until(lambda: len(pool.pids) == 2)
    first = set(pool.pids)
    sealing = asyncio.create_task(pool.encrypt(batch))
    await asyncio.sleep(0)  # it is on its way
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    check(batch, await sealing)
    await until(lambda: len(set(pool.pids) - first) == 2)


async def test_killed_whenever_they_come_they_are_done_without(
    pool: EncryptionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "PAUSE_S", 0.0)
    batch, killed = batch_of(2_000), set[int]()
    sealing = asyncio.create_task(pool.encrypt(batch))
    while not sealing.done():
        await until(lambda: set(pool.pids) - killed or sealing.done())
        for pid in set(pool.pids) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    check(batch, await sealing)
    assert killed
    await pool.encrypt(batch)
    assert set(pool.pids) - killed


async def test_stopped_in_the_middle_it_is_given_up(pool: EncryptionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "PATIENCE_S", 0.3)
    batch = batch_of(3_000)
    sealing = asyncio.create_task(pool.encrypt(batch))
    await until(lambda: pool.pids)
    stopped = pool.pids[0]
    os.kill(stopped, signal.SIGSTOP)
    async with asyncio.timeout(20):
        check(batch, await sealing)
    await until(lambda: not is_alive(stopped))


@pytest.mark.parametrize("command", [("/no/such/program",), (sys.executable, "-c", "")], ids=["absent", "broken"])
async def test_without_processes_the_loop_does_it(command: tuple[str, ...]) -> None:
    pool = EncryptionPool(2, command=command)
    for _ in range(2):
        async with asyncio.timeout(20):
            check(batch_of(500), await pool.encrypt(batch_of(500)))
    await pool.close()


async def test_who_gives_up_waiting_is_in_nobodys_way(pool: EncryptionPool) -> None:
    given_up = asyncio.create_task(pool.encrypt(batch_of(20_000)))
    await until(lambda: pool.pids)
    given_up.cancel()
    async with asyncio.timeout(1):  # the other batch takes longer
        check(batch_of(200), await pool.encrypt(batch_of(200)))


async def test_closed_in_the_middle_it_finishes_here() -> None:
    pool = EncryptionPool(1)
    batch = batch_of(1_000)
    sealing = asyncio.create_task(pool.encrypt(batch))
    await until(lambda: pool.pids)
    await pool.close()
    check(batch, await sealing)
    check(batch[:200], await pool.encrypt(batch[:200]))
    assert pool.pids == []


async def test_a_turn_of_the_loop_takes_one_slice_however_many_batches_there_are() -> None:
    turns, passed = Turns(), 0

    async def count() -> None:
        nonlocal passed
        while True:
            await asyncio.sleep(0)
            passed += 1

    counting = asyncio.create_task(count())
    batches = [batch_of(size) for size in (2 * SLICE, 3, 3 * SLICE, 1, SLICE)]
    for batch, sealed in zip(batches, await asyncio.gather(*map(turns.encrypt, batches)), strict=True):
        check(batch, sealed)
    counting.cancel()
    assert passed >= 5


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_they_end_with_the_server(parent: subprocess.Popen[str], how: signal.Signals) -> None:
    assert parent.stdout is not None
    line = await asyncio.to_thread(parent.stdout.readline)
    pids = [int(pid) for pid in line.split()]
    assert len(pids) == 2
    for pid in pids:  # as a terminal's Ctrl-C, and as a service manager that tells all processes to end
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    await asyncio.sleep(0)
    assert all(map(is_alive, pids))
    parent.send_signal(how)
    await until(lambda: not any(map(is_alive, pids)))
    assert await asyncio.to_thread(parent.wait, 10) == (0 if how is signal.SIGTERM else -how)
