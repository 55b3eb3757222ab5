"""Workers: take due jobs from the queues, hold their leases, and take them through the pipeline's steps."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog
from prometheus_client import Counter, Histogram

from clarion.errors import Unavailable
from clarion.model import Millis
from clarion.ports import Bus, Clock, Lease, Work

LEASE_MS = 15_000
RENEW_S = 5.0
# A worker looks again after this long even if nobody woke it: the bus may lose messages, the database is the truth.
IDLE_S = 1.0
# Who is told to end finishes what is under way for so long: a batch that is cut off is sent once more by somebody else.
FINISHING_S = 5.0
LONGEST_BACKOFF_MS = 300_000

log = structlog.get_logger(__name__)
jobs_done = Counter("clarion_jobs_total", "Jobs taken through a step", ["queue", "result"])
job_seconds = Histogram("clarion_job_seconds", "Duration of a step", ["queue"])

Step = Callable[[Lease], Awaitable[None]]


class QueueWorker:
    """Serves one queue with up to `concurrency` jobs at once.

    Each queue has a worker of its own, so that a slow provider holds back only its own deliveries.
    """

    def __init__(self, queue: str, step: Step, work: Work, clock: Clock, *, concurrency: int) -> None:
        self._queue = queue
        self._step = step
        self._work = work
        self._clock = clock
        self._concurrency = concurrency
        self._woken = asyncio.Event()
        self._held: dict[int, Lease] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._ending = False

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    def end(self) -> None:
        """Take no more jobs; `run` returns when those that are under way are done."""
        self._ending = True
        self._woken.set()

    async def run(self) -> None:
        """Work until told to end. Cancelled, unfinished jobs keep their leases until these run out."""
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._ending:
                await self._turn()
            await asyncio.gather(*self._running)
        finally:
            renewing.cancel()
            for task in self._running:
                task.cancel()
            await asyncio.gather(renewing, *self._running, return_exceptions=True)

    async def _turn(self) -> None:
        self._woken.clear()
        free = self._concurrency - len(self._running)
        leases: list[Lease] = []
        if free > 0:
            try:
                leases = await self._work.claim(self._queue, free, self._clock.now(), LEASE_MS)
            except Exception:
                log.exception("cannot claim work", queue=self._queue)
        for lease in leases:
            task = asyncio.create_task(self._do(lease))
            self._running.add(task)
            task.add_done_callback(self._done)
        if not leases or len(self._running) >= self._concurrency:
            await self._sleep()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._woken.set()

    async def _sleep(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), await self._pause())

    async def _pause(self) -> float:
        if self._running:
            return IDLE_S
        try:
            due = await self._work.next_due([self._queue])
        except Exception:
            log.exception("cannot look at the queue", queue=self._queue)
            return IDLE_S
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.005, (due - self._clock.now()) / 1000))

    async def _do(self, lease: Lease) -> None:
        self._held[lease.key] = lease
        try:
            with job_seconds.labels(self._queue).time():
                await self._step(lease)
            jobs_done.labels(self._queue, "done").inc()
        except Exception:
            jobs_done.labels(self._queue, "failed").inc()
            log.exception("a job failed and will be tried again", queue=self._queue, attempts=lease.attempts + 1)
            await self._give_back(lease)
        finally:
            del self._held[lease.key]

    async def _give_back(self, lease: Lease) -> None:
        """Also to a database that is back soon; later the lease has run out by itself."""
        deadline = self._clock.now() + LEASE_MS
        while True:
            try:
                await self._work.release(lease, self._clock.now() + backoff_ms(lease.attempts))
            except Exception:
                log.exception("cannot give a job back", queue=self._queue)
            else:
                return
            if self._ending or self._clock.now() >= deadline:
                return
            await asyncio.sleep(IDLE_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            if self._held:
                try:
                    await self._work.renew(list(self._held.values()), self._clock.now() + LEASE_MS)
                except Exception:
                    log.exception("cannot renew leases", queue=self._queue)


def backoff_ms(attempts: int) -> Millis:
    """1 s, doubled each time, at most five minutes."""
    return min(1000 << min(attempts, 20), LONGEST_BACKOFF_MS)


class Workers:
    """All queues of one process, woken over the bus."""

    def __init__(self, queues: Sequence[tuple[str, int]], step: Step, work: Work, clock: Clock, bus: Bus) -> None:
        """`queues`: names with their concurrency."""
        self._workers = {
            name: QueueWorker(name, step, work, clock, concurrency=concurrency) for name, concurrency in queues
        }
        self._bus = bus
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, topic: str) -> None:
        """Begin; `topic` is where the names of queues with something to do are told."""
        self._unsubscribe = self._bus.subscribe(topic, self._told)
        self._tasks = [asyncio.create_task(worker.run(), name=name) for name, worker in self._workers.items()]

    async def check(self) -> None:
        """Raises Unavailable when a queue is not served any more."""
        for task in self._tasks:
            if task.done():
                raise Unavailable(f"the worker of the queue {task.get_name()} has ended")

    async def stop(self) -> None:
        """Let what is under way be finished, for a few seconds; what is not comes back."""
        if self._tasks:
            self._unsubscribe()
            for worker in self._workers.values():
                worker.end()
            await asyncio.wait(self._tasks, timeout=FINISHING_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _told(self, payload: bytes) -> None:
        for name, worker in self._workers.items():
            if not payload or name == payload.decode():
                worker.wake()
