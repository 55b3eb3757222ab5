"""Recording: what fired batches came to is written behind the sending, while millions wait for their message."""

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog

from clarion.ports import AudienceWork, Clock, Effects, Lease, Work
from clarion.workers.delivery import LEASE_MS, RENEW_S

Commit = Callable[[Lease, Effects], Awaitable[None]]

MOST_MESSAGES: Final = 1_000_000
"""That may wait to be written, at 16 bytes each; whoever sends more waits."""
LONGEST_S: Final = 30.0
"""So long it waits at most while others are still being sent."""
QUIET_S: Final = 0.1
"""Sending is over when nothing was sent for so long: between two batches the next one is fetched."""
_AT_ONCE: Final = 16
_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


class _Entry(msgspec.Struct):
    lease: Lease
    effects: Effects
    commit: Commit
    size: int
    since: float


class BehindTheSending:
    """`ports.Recorder`. Batches of which all was taken wait in memory, under their leases; others are written at once.

    A process that is killed has sent what is not written: it goes out again under the same ids.
    """

    def __init__(self, work: Work, clock: Clock, *, most: int = MOST_MESSAGES) -> None:
        self._work = work
        self._clock = clock
        self._most = most
        self._waiting: deque[_Entry] = deque()
        self._size = 0
        self._sending = 0
        self._sent_at = 0.0
        self._moved = asyncio.Event()
        self._room = asyncio.Condition()
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Messages that were sent and are not written down yet."""
        return self._size

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._renew())]

    async def stop(self) -> None:
        """Write what waits, as far as the database takes it, and end."""
        self._ending = True
        self._moved.set()
        if self._tasks:
            writing, renewing = self._tasks
            await writing
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        self._tasks = []

    @contextmanager
    def sending(self) -> Iterator[None]:
        """See `ports.Recorder`."""
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1
            self._sent_at = asyncio.get_running_loop().time()

    async def record(self, lease: Lease, effects: Effects, commit: Commit) -> None:
        """See `ports.Recorder`."""
        if not self._tasks or self._ending or effects.outcomes or effects.work or not effects.sent:
            await commit(lease, effects)
            return
        size = sum(len(each.users) for each in effects.sent)
        async with self._room:
            await self._room.wait_for(lambda: self._size < self._most)
        # The messages themselves are not needed any more.
        stub = msgspec.structs.replace(lease, job=AudienceWork(notification=effects.sent[0].notification))
        entry = _Entry(stub, _compact(effects), commit, size, asyncio.get_running_loop().time())
        self._waiting.append(entry)
        self._size += size
        self._moved.set()

    async def _run(self) -> None:
        while self._waiting or not self._ending:
            self._moved.clear()
            if not self._is_time():
                await self._pause()
                continue
            some = [self._waiting[number] for number in range(min(_AT_ONCE, len(self._waiting)))]
            failed = [each for each in await asyncio.gather(*map(self._write, some)) if each is not None]
            for _ in some:
                self._size -= self._waiting.popleft().size
            if failed and not self._ending:
                self._waiting.extendleft(reversed(failed))
                self._size += sum(each.size for each in failed)
                await asyncio.sleep(_AGAIN_S)
            async with self._room:
                self._room.notify_all()

    def _is_time(self) -> bool:
        if not self._waiting:
            return False
        now = asyncio.get_running_loop().time()
        quiet = not self._sending and now - self._sent_at >= QUIET_S
        return quiet or self._ending or now - self._waiting[0].since >= LONGEST_S or self._size >= self._most

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(QUIET_S if self._waiting else None):
                await self._moved.wait()
        except TimeoutError:
            pass

    async def _write(self, entry: _Entry) -> _Entry | None:
        """The entry again when it could not be written; who lost its lease writes nothing, and that is that."""
        try:
            await entry.commit(entry.lease, entry.effects)
        except Exception:
            log.exception("cannot write down what was sent", messages=entry.size)
            return entry
        return None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            now = self._clock.now()
            soon = [each for each in self._waiting if each.lease.until < now + LEASE_MS * 2 // 3]
            if not soon:
                continue
            try:
                await self._work.renew([each.lease for each in soon], now + LEASE_MS)
            except Exception:
                log.exception("cannot renew leases of what was sent", batches=len(soon))
            else:
                for each in soon:
                    each.lease = msgspec.structs.replace(each.lease, until=now + LEASE_MS)


def _compact(effects: Effects) -> Effects:
    """Sixteen bytes a message instead of a hundred."""
    return msgspec.structs.replace(
        effects,
        sent=[
            msgspec.structs.replace(each, users=array("q", each.users), devices=array("q", each.devices))
            for each in effects.sent
        ],
    )
