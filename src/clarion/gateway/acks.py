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
_PAUSE_S = 0.005  # between rounds that are not full: a few large ones cost less than many small ones


class Acknowledgements:
    """Acks on their way to the store. One that cannot be written is lost: the message is then delivered again."""

    def __init__(self, store: PushStore, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._waiting: dict[Key, list[Key]] = {}
        self._writing: dict[Key, list[Key]] = {}
        self._lost: set[Key] = set()
        self._round_done: asyncio.Future[None] | None = None

    def add(self, device: Key, keys: Sequence[Key]) -> None:
        """Forget these messages of the device, soon."""
        self._waiting.setdefault(device, []).extend(keys)
        if self._round_done is None:
            self._round_done = asyncio.get_running_loop().create_future()
            self._tasks.start(self._write())

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
        while self._round_done is not None and self.under_way(device):
            await asyncio.shield(self._round_done)

    async def _write(self) -> None:
        while self._round_done is not None:
            self._writing = {device: self._waiting.pop(device) for device in list(islice(self._waiting, _ROUND))}
            own = [(device, key) for device, keys in self._writing.items() for key in keys]
            try:
                await self._acknowledge(own)
            except Exception as error:  # noqa: BLE001 - the devices are told, and get the messages again
                log.error("acks_not_written", devices=len(self._writing), error=str(error))  # noqa: TRY400 - one line
                self._lost.update(self._writing)
            self._writing = {}
            done, self._round_done = self._round_done, asyncio.get_running_loop().create_future()
            done.set_result(None)
            if len(self._waiting) < _ROUND:
                await asyncio.sleep(_PAUSE_S)
            if not self._waiting:
                self._round_done = None

    async def _acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        try:
            await self._store.acknowledge(own)
        except Unavailable:  # of a connection that broke: the store's next one is new
            await self._store.acknowledge(own)
