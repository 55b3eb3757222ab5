"""Who asks too much waits: buckets for what anybody may call, and a bound on work that is not done yet."""

import math
from collections import Counter

from clarion.errors import RateLimited
from clarion.model import Key, Millis
from clarion.ports import Clock, Work, owner_of

RATE_PER_S = 50
BURST = 500
BACKLOG_BOUND = 100_000
BACKLOG_MEMORY_MS = 1_000
BACKLOG_RETRY_S = 5
_MOST_BUCKETS = 100_000


class Buckets:
    """Token buckets by name, in this process only: a brake against floods, not a quota."""

    def __init__(self, clock: Clock, rate_per_s: float = RATE_PER_S, burst: float = BURST) -> None:
        self._clock = clock
        self._rate = rate_per_s / 1000
        self._burst = burst
        self._buckets: dict[tuple[str, str], tuple[float, Millis]] = {}

    def take(self, name: tuple[str, str], cost: float = 1) -> None:
        """Raises RateLimited when the bucket of that name has less than `cost`."""
        now = self._clock.now()
        left, since = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < cost:
            wait_s = math.ceil((cost - left) / self._rate / 1000)
            raise RateLimited(f"too many calls; try again in {wait_s} s", retry_after=wait_s)
        if name not in self._buckets and len(self._buckets) >= _MOST_BUCKETS:
            # Forgetting fills a bucket: cheaper than growing, and a flood from so many addresses is beyond this brake.
            self._buckets.clear()
        self._buckets[name] = (left - cost, now)


class Backlog:
    """Refuses more work while the queues are past their bound. The count is at most a second old.

    Deliveries count for their own project: what one service holds back for one project closes the door to no other.
    """

    def __init__(self, work: Work, clock: Clock, bound: int = BACKLOG_BOUND) -> None:
        self._work = work
        self._clock = clock
        self._bound = bound
        self._counted: dict[str, int] = {}
        self._by_owner: Counter[Key | None] = Counter()
        self._counted_at: Millis | None = None

    async def check(self, project: Key) -> None:
        """Raises RateLimited when too much waits, of the project's deliveries and of what all projects share."""
        await self.counts()
        if self._by_owner[None] + self._by_owner[project] > self._bound:
            raise RateLimited("too much work is waiting; nothing was accepted", retry_after=BACKLOG_RETRY_S)

    async def counts(self) -> dict[str, int]:
        """Waiting jobs by queue."""
        now = self._clock.now()
        if self._counted_at is None or now - self._counted_at >= BACKLOG_MEMORY_MS:
            # Noted before the answer comes, so that those who arrive meanwhile do not ask again.
            self._counted_at = now
            self._counted = await self._work.backlog()
            self._by_owner = Counter()
            for queue, jobs in self._counted.items():
                self._by_owner[owner_of(queue)] += jobs
        return self._counted
