"""Large batches are encrypted by a pool of processes: threads do not help, and the loop has other work to do."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Final, cast

import structlog

from clarion.crypto.turns import Turns
from clarion.crypto.webpush import Plain, Sealed
from clarion.workers.encryptor import HEAD, bodies_of, framed

LARGE: Final = 100
"""So many messages, 6 ms of encryption, are worth the way to other processes."""
CHUNK: Final = 100
"""Messages that a process gets at once: 6 ms of its work, 0.2 ms of the loop's."""
MOST_PROCESSES: Final = 4
"""More have nothing to do: for each message the loop itself works a third of the time that its encryption takes."""
PATIENCE_S: Final = 10.0
"""A process that has work and says nothing for so long is killed: somebody may have stopped it."""
PAUSE_S: Final = 5.0
"""After a process ended before it had done anything; meanwhile the loop works alone."""
_AT_ONCE: Final = 2  # chunks of one process: the next one is there when one is done
_MOST_LOST: Final = 2
_COMMAND: Final = (sys.executable, "-P", "-m", "clarion.workers.encryptor")

log = structlog.get_logger(__name__)


def default_processes() -> int:
    """One for each processor that this process may use, at most MOST_PROCESSES; none where there is only one.

    They are nicer than the loop, so they take what it leaves.
    """
    if not hasattr(socket, "AF_UNIX"):
        return 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_PROCESSES) if usable > 1 else 0


class _Chunk:
    """A part of a batch. `lost` counts the processes that ended over it."""

    __slots__ = ("done", "lost", "messages")

    def __init__(self, messages: Sequence[Plain], done: asyncio.Future[list[Sealed]]) -> None:
        self.messages = messages
        self.done = done
        self.lost = 0


class _Child(asyncio.Protocol):
    """One process, as the loop sees it: chunks go in, and come out done in the same order."""

    def __init__(self, pool: "EncryptionPool", process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.chunks: deque[_Chunk] = deque()
        self.useful = False
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()
        self._patience: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, of the same shape
        self._pool.joined(self)

    def give(self, chunk: _Chunk) -> None:
        assert self._transport is not None
        self.chunks.append(chunk)
        self._transport.write(framed(list(chunk.messages)))
        if self._patience is None:
            self._wait()

    def data_received(self, data: bytes) -> None:
        self._read += data
        while len(self._read) >= HEAD and len(self._read) >= (end := HEAD + int.from_bytes(self._read[:HEAD])):
            with memoryview(self._read) as read, read[HEAD:end] as answer:
                sealed = bodies_of(answer)
            del self._read[:end]
            chunk = self.chunks.popleft()
            self.useful = True
            if not chunk.done.done():
                chunk.done.set_result(sealed)
            self._wait()
        self._pool.feed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the process is gone, whatever it was
        if self._patience is not None:
            self._patience.cancel()
        self._pool.lost(self)

    def cut(self) -> None:
        """Whatever it is doing, nobody wants it any more."""
        if self._transport is not None:
            self._transport.abort()

    def _wait(self) -> None:
        """Begin to count its silence, if it has something to do."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(PATIENCE_S, self.process.kill) if self.chunks else None


class EncryptionPool:
    """`crypto.turns.Encrypt`. Small batches are encrypted in the loop, in turns; large ones by `processes` others.

    These are started with the first large batch. A chunk whose process ended is given to another, and after that done
    in the loop, so that nothing is lost when they are killed, or cannot be started at all.
    """

    def __init__(self, processes: int | None = None, *, command: Sequence[str] = _COMMAND) -> None:
        """`processes`: `default_processes()` of them, unless given; 0: everything is done in the loop."""
        self._most = default_processes() if processes is None else processes
        self._command = command
        self._loop = Turns()
        self._waiting: deque[_Chunk] = deque()
        self._children: set[_Child] = set()
        self._starting = 0
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are now."""
        return [child.process.pid for child in self._children]

    async def encrypt(self, batch: Sequence[Plain]) -> list[Sealed]:
        """A body or an error for each, in order, as `encrypt_many`."""
        if len(batch) < LARGE or not self._most or self._closed:
            return await self._loop.encrypt(batch)
        loop = asyncio.get_running_loop()
        chunks = [_Chunk(batch[at : at + CHUNK], loop.create_future()) for at in range(0, len(batch), CHUNK)]
        self._waiting.extend(chunks)
        self._grow()
        self.feed()
        try:
            return [sealed for chunk in chunks for sealed in await chunk.done]
        finally:
            for chunk in chunks:
                chunk.done.cancel()  # who gave up waiting wants nothing more to be done

    async def close(self) -> None:
        """End all processes, and wait until they have. What anybody still waits for is done in the loop."""
        self._closed = True
        for child in list(self._children):
            child.cut()
            self.lost(child)
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- what the processes tell --------------------------------------------------------------------------------------

    def joined(self, child: _Child) -> None:
        """It can be given work."""
        self._starting -= 1
        self._children.add(child)
        if self._closed:
            child.cut()
        else:
            self.feed()

    def feed(self) -> None:
        """Give waiting chunks to whoever has room, the idlest first."""
        for child in sorted(self._children, key=lambda child: len(child.chunks)):
            while self._waiting and len(child.chunks) < _AT_ONCE:
                chunk = self._waiting.popleft()
                if not chunk.done.done():
                    child.give(chunk)

    def lost(self, child: _Child) -> None:
        """It ended: what it had is done again."""
        if child not in self._children:
            return
        self._children.discard(child)
        self._run(_end(child.process))
        if not self._closed:
            log.warning("encryption_process_ended", pid=child.process.pid, chunks=len(child.chunks))
        if not child.useful:
            self._pause()
        for chunk in child.chunks:
            chunk.lost += 1
        self._waiting.extendleft(reversed(child.chunks))
        self._grow()
        self.feed()

    # --- starting -----------------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """As many processes as there may be; and where that is none, the loop does what waits."""
        if not self._closed and asyncio.get_running_loop().time() >= self._not_before:
            while len(self._children) + self._starting < self._most:
                self._starting += 1
                self._run(self._start())
        if not self._children and not self._starting:
            self._run(self._in_the_loop([self._waiting.popleft() for _ in range(len(self._waiting))]))
        elif worn := [chunk for chunk in self._waiting if chunk.lost >= _MOST_LOST]:
            self._waiting = deque(chunk for chunk in self._waiting if chunk.lost < _MOST_LOST)
            self._run(self._in_the_loop(worn))

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.to_thread(self._spawn, theirs)
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: _Child(self, process), sock=ours)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the chunks
            ours.close()
            log.warning("encryption_process_not_started", error=str(error))
            self._starting -= 1
            self._pause()
            self._grow()

    def _pause(self) -> None:
        self._not_before = asyncio.get_running_loop().time() + PAUSE_S

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        # A session of its own: the terminal's Ctrl-C is not for it.
        return subprocess.Popen(  # noqa: S603 - our own program
            self._command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
        )

    async def _in_the_loop(self, chunks: Sequence[_Chunk]) -> None:
        for chunk in chunks:
            if chunk.done.done():
                continue
            try:
                sealed = await self._loop.encrypt(chunk.messages)
            except Exception as error:  # noqa: BLE001 - it is the batch's, whoever waits for it
                if not chunk.done.done():
                    chunk.done.set_exception(error)
            else:
                if not chunk.done.done():
                    chunk.done.set_result(sealed)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure of its end, and take note of it."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await asyncio.to_thread(process.wait)
