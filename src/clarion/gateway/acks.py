"""Deletes what devices have acknowledged: the acks of all sessions together, in rounds, so that they share commits."""

import asyncio
from collections.abc import Sequence
from itertools import islice

import structlog

from clarion.errors import Unavailable
from clarion.gateway.tasks import Tasks
from clarion.model import Key
from clarion.ports import PushStore

log = structlog.get_logger(__name__)

_ROUND = 1_000  # devices; what comes while one round is written goes into the next
_PAUSE_S = 0.02  # between rounds that nobody waits for: each is a commit, for which those of new messages must wait


class Acknowledgements:
    """Acks on their way to the store. One that cannot be written is lost: the message is then delivered again."""

    def __init__(self, store: PushStore, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._waiting: dict[Key, list[Key]] = {}
        self._writing: dict[Key, list[Key]] = {}
        self._lost: set[Key] = set()
        self._round: asyncio.Future[None] | None = None  # the one that is being written
        self._next: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    def add(self, device: Key, keys: Sequence[Key]) -> None:
        """Forget these messages of the device, soon."""
        self._waiting.setdefault(device, []).extend(keys)
        if len(self._waiting) >= _ROUND:
            self._hurry()
        else:
            self._plan()

    def under_way(self, device: Key) -> bool:
        """Whether something that was added for this device is not written yet."""
        return device in self._waiting or device in self._writing

    def written(self, device: Key) -> bool:
        """Whether all that was added for this device since its last `forgive` is in the store."""
        return not self.under_way(device) and device not in self._lost

    def forgive(self, device: Key) -> None:
        """The device's connection has ended: what was lost on it is nobody's any more."""
        self._lost.discard(device)

    async def settle(self, device: Key) -> None:
        """Until everything that was added for this device is written."""
        while self.under_way(device):
            await self._one_round()

    async def finish(self) -> None:
        """Until everything is written."""
        while self._waiting or self._writing:
            await self._one_round()

    async def _one_round(self) -> None:
        self._hurry()
        if self._round is not None:
            await asyncio.shield(self._round)

    def _hurry(self) -> None:
        """Write now what waits, however little it is."""
        if self._waiting and self._round is None:
            self._begin()

    def _plan(self) -> None:
        if self._waiting and self._round is None and self._next is None:
            self._next = asyncio.get_running_loop().call_at(self._not_before, self._begin)

    def _begin(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._round = asyncio.get_running_loop().create_future()
        self._tasks.start(self._write(self._round))

    async def _write(self, done: "asyncio.Future[None]") -> None:
        self._writing = {device: self._waiting.pop(device) for device in list(islice(self._waiting, _ROUND))}
        own = [(device, key) for device, keys in self._writing.items() for key in keys]
        try:
            await self._acknowledge(own)
        except Exception as error:  # noqa: BLE001 - the devices are told, and get the messages again
            log.error("acks_not_written", devices=len(self._writing), error=str(error))  # noqa: TRY400 - one line
            self._lost.update(self._writing)
        self._writing = {}
        self._round = None
        self._not_before = asyncio.get_running_loop().time() + _PAUSE_S
        done.set_result(None)
        if len(self._waiting) >= _ROUND:
            self._hurry()
        else:
            self._plan()

    async def _acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        try:
            await self._store.acknowledge(own)
        except Unavailable:  # of a connection that broke: the store's next one is new
            await self._store.acknowledge(own)
