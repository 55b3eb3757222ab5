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


class Acknowledgements:
    """Acks on their way to the store. One that cannot be written is lost: the message is then delivered again."""

    def __init__(self, store: PushStore, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._waiting: dict[Key, list[Key]] = {}
        self._writing: dict[Key, list[Key]] = {}
        self._round_done: asyncio.Future[None] | None = None

    def add(self, device: Key, keys: Sequence[Key]) -> None:
        """Forget these messages of the device, soon."""
        self._waiting.setdefault(device, []).extend(keys)
        if self._round_done is None:
            self._round_done = asyncio.get_running_loop().create_future()
            self._tasks.start(self._write())

    async def settle(self, device: Key) -> None:
        """Until everything that was added for this device is written."""
        while self._round_done is not None and (device in self._waiting or device in self._writing):
            await asyncio.shield(self._round_done)

    async def _write(self) -> None:
        while self._round_done is not None:
            self._writing = {device: self._waiting.pop(device) for device in list(islice(self._waiting, _ROUND))}
            results = await asyncio.gather(
                *(self._acknowledge(device, keys) for device, keys in self._writing.items()),
                return_exceptions=True,
            )
            self._writing = {}
            _report([result for result in results if isinstance(result, BaseException)])
            done = self._round_done
            self._round_done = asyncio.get_running_loop().create_future() if self._waiting else None
            done.set_result(None)

    async def _acknowledge(self, device: Key, keys: Sequence[Key]) -> None:
        try:
            await self._store.acknowledge(device, keys)
        except Unavailable:  # of a connection that broke: the store's next one is new
            await self._store.acknowledge(device, keys)


def _report(failures: list[BaseException]) -> None:
    if failures:
        log.error("acks_not_written", devices=len(failures), error=str(failures[0]))
