"""Workers: take due jobs from the queues, hold their leases, and take them through the pipeline's steps."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping

import structlog
from prometheus_client import Counter, Histogram

from clarion.errors import Unavailable
from clarion.model import Millis
from clarion.ports import DELIVERIES, Bus, Clock, Lease, Throttle, Work, family_of, size_of

LEASE_MS = 15_000
RENEW_S = 5.0
# Workers look again after this long even if nobody woke them: the bus may lose messages, the database is the truth.
IDLE_S = 1.0
# Who is told to end finishes what is under way for so long: a batch that is cut off is sent once more by somebody else.
FINISHING_S = 5.0
LONGEST_BACKOFF_MS = 300_000

# What one process holds of deliveries, in messages. A lane may always have its first thousand, one full job or many
# small ones, whatever the others hold: no slow service takes another's turn. More only while there is room for all.
LANE_FIRST = 1_000
LANE_MOST = 4_000
ALL_MOST = 16_000
LANE_JOBS = 32
# Lanes served at once; further ones take turns with them.
LANES_AT_ONCE = 256

log = structlog.get_logger(__name__)
jobs_done = Counter("clarion_jobs_total", "Jobs taken through a step", ["queue", "result"])
job_seconds = Histogram("clarion_job_seconds", "Duration of a step", ["queue"])

Step = Callable[[Lease], Awaitable[None]]
Throttling = Callable[[str], Throttle | None]


class _Queue:
    """A queue while it has something to do."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.more = True  # something may be due that is not claimed yet
        self.woken = asyncio.Event()
        self.running: set[asyncio.Task[None]] = set()
        self.messages = 0  # of the running jobs
        self.usual = LANE_FIRST  # messages in a job, as the last claim had them

    def wake(self) -> None:
        """There may be something to do."""
        self.more = True
        self.woken.set()


class Workers:
    """All queues of one process: a few whose names and concurrency are known, and one for each lane of deliveries.

    One read a second tells which have something due, however many there are; the bus tells sooner. A queue gets a task
    of its own until it is empty, so that what one waits for holds back no other.
    """

    def __init__(
        self, queues: Mapping[str, int], step: Step, work: Work, clock: Clock, bus: Bus, throttling: Throttling
    ) -> None:
        """`queues`: names with their concurrency, of those that are not deliveries.

        `throttling`: what the rate of a queue leaves room for, so that its backlog is not claimed to be given back.
        """
        self._concurrency = queues
        self._step = step
        self._throttling = throttling
        self._work = work
        self._clock = clock
        self._bus = bus
        self._serving: dict[str, _Queue] = {}
        self._crowd: dict[str, None] = {}  # lanes that wait for their turn to be served, in order
        self._messages = 0  # of all running deliveries, and of those being claimed
        self._held: dict[int, Lease] = {}
        self._look_now = asyncio.Event()
        self._keeping: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    def start(self, topic: str) -> None:
        """Begin; `topic` is where the names of queues with something to do are told."""
        self._unsubscribe = self._bus.subscribe(topic, self._told)
        self._keeping = [
            asyncio.create_task(self._look(), name="look"),
            asyncio.create_task(self._renew(), name="renew"),
        ]

    async def check(self) -> None:
        """Raises Unavailable when the queues are not served any more."""
        for task in self._keeping:
            if task.done():
                raise Unavailable(f"the workers' task {task.get_name()} has ended")

    async def stop(self) -> None:
        """Finish what is under way, for a few seconds; the rest comes back when its lease has run out."""
        if self._keeping:
            self._unsubscribe()
            self._ending = True
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=FINISHING_S)
        ending = [*self._keeping, *self._tasks]
        self._keeping = []
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    # --- which queues have something to do ---------------------------------------------------------------------------

    async def _told(self, payload: bytes) -> None:
        if payload:
            self._serve(payload.decode())
        else:
            self._look_now.set()

    async def _look(self) -> None:
        while True:
            self._look_now.clear()
            pause = IDLE_S
            try:
                waiting = await self._work.waiting()
            except Exception:
                log.exception("cannot look at the queues")
            else:
                now = self._clock.now()
                for queue, due_at in waiting.items():
                    due = max(due_at, self._rests_until(queue))
                    if due <= now:
                        self._serve(queue)
                    else:
                        pause = min(pause, max(0.005, (due - now) / 1000))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look_now.wait()

    def _serve(self, name: str) -> None:
        lane = name.startswith(DELIVERIES)
        if name in self._serving:
            self._serving[name].wake()
        elif self._rests_until(name) > self._clock.now():
            pass  # a look finds it when that is over
        elif lane and len(self._serving) >= LANES_AT_ONCE:
            self._crowd[name] = None
        elif self._keeping and not self._ending and (lane or name in self._concurrency):
            queue = self._serving[name] = _Queue(name)
            self._spawn(self._empty(queue))

    def _spawn(self, doing: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- one queue ---------------------------------------------------------------------------------------------------

    async def _empty(self, queue: _Queue) -> None:
        """Serve a queue until nothing of it is due; where other lanes wait for their turn, a lane's is one claim."""
        turn = False
        try:
            while queue.more or queue.running:
                queue.woken.clear()
                over = turn and self._crowd and queue.name not in self._concurrency
                room = self._room(queue) if queue.more and not over and not self._ending else 0
                if room > 0:
                    await self._claim(queue, room)
                    turn = True
                elif queue.running:
                    await queue.woken.wait()
                else:
                    break
        finally:
            del self._serving[queue.name]
            if queue.more and self._rests_until(queue.name) > self._clock.now():
                self._look_now.set()
            elif queue.more:
                self._crowd[queue.name] = None
            if self._crowd:
                first = next(iter(self._crowd))
                del self._crowd[first]
                self._serve(first)

    def _room(self, queue: _Queue) -> int:
        """How many more jobs may run now; those of lanes are measured by what is in them."""
        if queue.name in self._concurrency:
            return self._concurrency[queue.name] - len(queue.running)
        allowed = LANE_MOST if self._messages < ALL_MOST else LANE_FIRST
        throttle = self._throttling(queue.name)
        if throttle is not None:
            if self._clock.now() < throttle.until:
                return 0
            allowed = min(allowed, throttle.most)
        fit = (allowed - queue.messages) // queue.usual
        return min(max(fit, 0 if queue.running else 1), LANE_JOBS - len(queue.running))

    def _rests_until(self, queue: str) -> Millis:
        throttle = self._throttling(queue)
        return throttle.until if throttle is not None else 0

    async def _claim(self, queue: _Queue, room: int) -> None:
        queue.more = False  # unless somebody says so meanwhile
        expected = room * queue.usual
        self._messages += expected
        try:
            leases = await self._work.claim(queue.name, room, self._clock.now(), LEASE_MS)
        except Exception:
            # The next look finds the queue again.
            log.exception("cannot claim work", queue=queue.name)
            return
        finally:
            self._messages -= expected
        for lease in leases:
            self._begin(queue, lease)
        queue.more = queue.more or len(leases) == room

    def _begin(self, queue: _Queue, lease: Lease) -> None:
        size = queue.usual = max(1, size_of(lease.job))
        task = self._spawn(self._do(queue.name, lease))
        queue.running.add(task)
        queue.messages += size
        self._messages += size

        def done(task: asyncio.Task[None]) -> None:
            queue.running.discard(task)
            queue.messages -= size
            self._messages -= size
            queue.woken.set()

        task.add_done_callback(done)

    # --- one job -----------------------------------------------------------------------------------------------------

    async def _do(self, queue: str, lease: Lease) -> None:
        self._held[lease.key] = lease
        family = family_of(queue)
        try:
            with job_seconds.labels(family).time():
                await self._step(lease)
            jobs_done.labels(family, "done").inc()
        except Exception:
            jobs_done.labels(family, "failed").inc()
            log.exception("a job failed and will be tried again", queue=queue, attempts=lease.attempts + 1)
            await self._give_back(queue, lease)
        finally:
            del self._held[lease.key]

    async def _give_back(self, queue: str, lease: Lease) -> None:
        """Also to a database that is back soon; later the lease has run out by itself."""
        deadline = self._clock.now() + LEASE_MS
        while True:
            try:
                await self._work.release(lease, self._clock.now() + backoff_ms(lease.attempts))
            except Exception:
                log.exception("cannot give a job back", queue=queue)
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
                    log.exception("cannot renew leases")


def backoff_ms(attempts: int) -> Millis:
    """1 s, doubled each time, at most five minutes."""
    return min(1000 << min(attempts, 20), LONGEST_BACKOFF_MS)
