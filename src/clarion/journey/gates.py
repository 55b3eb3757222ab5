"""The gates of one process, with what all processes know: which lanes are stopped, how fast a key may send."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog

from clarion.journey.catalog import TOPIC
from clarion.journey.gate import PROBE_MS, Gate, Pass, Stop
from clarion.journey.registration import is_shared
from clarion.model import DeviceKind, Key, Millis
from clarion.ports import Bus, Clock, Place, ProviderOutcome, Stoppage, Store, Throttle, lane_queue

MEMORY_MS = 1_000
"""What other processes found out about a lane is known here so much later at most."""
ROOM_MS = 5_000
TURN_MS = 1_000
"""A batch waits so long in a worker's hand for room or for its turn; what has to wait longer goes back."""
MOST_GATES = 10_000
REFUSED_MS = 60_000
"""A message whose credentials are refused while others pass is tried again so much later."""
THROTTLED_MS = 60_000
"""What was known of a queue's rate so long ago says nothing any more."""
_FULL_MS = 500
_OUTDATED_MS = 1_000

log = structlog.get_logger(__name__)

Pause = Callable[[float], Awaitable[None]]
Wake = Callable[[str], Awaitable[None]]


class Next(NamedTuple):
    """When what is left of a batch may go on, and what the service refused our credentials for."""

    rest_at: Millis
    refused_at: Millis


class _Lane:
    """A gate, and the word that there is room in its window again."""

    __slots__ = ("gate", "room")

    def __init__(self, place: Place) -> None:
        self.gate = Gate(shared=place.kind is DeviceKind.WEBPUSH and is_shared(place.lane))
        self.room = asyncio.Event()


class Gates:
    """One for each process. The healthy way through is two calls a batch; all else is rare and may cost a query."""

    def __init__(self, store: Store, clock: Clock, bus: Bus, wake: Wake, pause: Pause = asyncio.sleep) -> None:
        """`wake`: tells that a queue has something to do; `pause`: lets seconds pass, for the waits under a rate."""
        self._store = store
        self._clock = clock
        self._wake = wake
        self._pause = pause
        self._lanes: dict[Place, _Lane] = {}
        self._stopped: dict[Place, Stoppage] = {}
        self._throttles: dict[str, Throttle] = {}
        self._looked_at: Millis | None = None
        self._changes = 0
        self._ending = False
        bus.subscribe(TOPIC, self._told)

    # --- a batch at its gate ------------------------------------------------------------------------------------------

    async def leave(self, place: Place, wanted: int, rates: Mapping[str, int]) -> Pass | Millis:
        """Leave for some of `wanted` messages; or the moment until which none of them may go.

        `rates`: messages a second, by the names of the credentials that they go out with.
        """
        begun = self._clock.now()
        largest = min([wanted, *rates.values()])
        while not self._ending:
            await self._look()
            now = self._clock.now()
            lane = self._lane(place)
            until = lane.gate.closed_until(now)
            if until is not None:
                await self._store.work.postpone(place.queue, until)
                return until
            passed = lane.gate.take(largest, now)
            if passed is None:
                if now - begun >= ROOM_MS:
                    return now + _FULL_MS
                await self._room(lane)
            elif not rates and not passed.probe:
                return passed
            elif (turn := await self._turn(place, passed, rates)) is not None:
                return turn
        return self._clock.now()

    def throttle(self, queue: str) -> Throttle | None:
        """What the rate of a queue leaves room for; None: nothing of it had to go back of late."""
        known = self._throttles.get(queue)
        if known is not None and self._clock.now() >= known.until + THROTTLED_MS:
            del self._throttles[queue]
            return None
        return known

    def end(self) -> None:
        """This process is told to end: nothing more leaves, and who waits for room waits no longer."""
        self._ending = True
        for lane in self._lanes.values():
            lane.room.set()

    async def arrived(
        self, place: Place, passed: Pass, outcomes: Sequence[ProviderOutcome], credential: str | None
    ) -> Next:
        """What came of a leave. `credential`: the name of the one that it went out with."""
        lane, now = self._lane(place), self._clock.now()
        before = lane.gate.stop
        change = lane.gate.back(passed, outcomes, now)
        self._ease(place, passed.count)
        if change is not None:
            await self._changed(place, before, lane.gate.stop, credential)
        lane.room.set()
        closed_until = lane.gate.closed_until(now)
        if closed_until is not None:
            return Next(closed_until, closed_until)
        return Next(now, now + (_OUTDATED_MS if lane.gate.outdated(passed) else REFUSED_MS))

    def came_to_nothing(self, place: Place, passed: Pass) -> None:
        """Nothing is known of what left."""
        lane = self._lane(place)
        lane.gate.give_back(passed)
        lane.room.set()

    async def renew(self, project: Key, kind: DeviceKind) -> None:
        """There is another credential of this kind: whatever was stopped is tried again at once."""
        now = self._clock.now()
        ended = await self._store.stoppages.end_kind(project, kind)
        self._doubt()
        await self._store.devices.end_doubts(project, kind, now)
        latest = max([now + REFUSED_MS, *(each.again_at for each in ended)])
        await self._store.work.hasten(lane_queue(kind, project, ""), now, latest)
        for each in ended:
            await self._tell("provider_back", each.place, why="the credentials changed")
            await self._wake(each.place.queue)

    # --- one lane -----------------------------------------------------------------------------------------------------

    def _lane(self, place: Place) -> _Lane:
        lane = self._lanes.get(place)
        if lane is None:
            if len(self._lanes) >= MOST_GATES:
                self._lanes = {at: each for at, each in self._lanes.items() if each.gate.in_flight}
            lane = self._lanes[place] = _Lane(place)
            lane.gate.told(_stop(self._stopped.get(place)))
        return lane

    async def _room(self, lane: _Lane) -> None:
        lane.room.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(ROOM_MS / 1000):
                await lane.room.wait()

    async def _turn(self, place: Place, passed: Pass, rates: Mapping[str, int]) -> Pass | Millis | None:
        """What all processes allow; None: somebody else probes, or has done, and it is worth another look."""
        try:
            now = self._clock.now()
            if passed.probe and not await self._store.stoppages.claim_probe(place, now, now + PROBE_MS):
                self._looked_at = None
                turn = None
            else:
                turn = await self._paced(place, passed, rates)
        except BaseException:
            self.came_to_nothing(place, passed)
            raise
        if not isinstance(turn, Pass):
            self.came_to_nothing(place, passed)
        return turn

    async def _paced(self, place: Place, passed: Pass, rates: Mapping[str, int]) -> Pass | Millis:
        """Wait for the turn of a chunk, if that is soon."""
        now = self._clock.now()
        turns = [
            await self._store.projects.pace(place.project, place.kind, name, passed.count, now, TURN_MS)
            for name in rates
        ]
        turn = max(turns, default=now)
        if turn > now + TURN_MS:
            self._throttled(place, passed, turn, now)
            return turn
        if turn > now:
            await self._pause((turn - now) / 1000)
        return passed

    def _throttled(self, place: Place, passed: Pass, turn: Millis, now: Millis) -> None:
        """What is on its way uses the rate up. No answer stays true for long: all processes share the rate."""
        on_their_way = self._lane(place).gate.in_flight - passed.count
        self._throttles[place.queue] = Throttle(min(turn, now + 2 * TURN_MS) - TURN_MS, on_their_way)

    def _ease(self, place: Place, count: int) -> None:
        """As much again may be in hand as came through: a slow service needs more to use its rate up."""
        known = self._throttles.get(place.queue)
        if known is not None:
            self._throttles[place.queue] = known._replace(most=known.most + count)

    # --- what all processes know --------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Learn what others found out, once a second; each change tells that it is worth a look."""
        now = self._clock.now()
        if self._looked_at is not None and now - self._looked_at < MEMORY_MS:
            return
        self._looked_at, changes = now, self._changes
        found = {each.place: each for each in await self._store.stoppages.all()}
        if changes != self._changes:
            return  # it may have read what was before
        for place in self._stopped.keys() | found.keys():
            if place in self._lanes:
                self._lanes[place].gate.told(_stop(found.get(place)))
        self._stopped = found

    async def _told(self, _payload: bytes) -> None:
        """Something of a project changed, perhaps a credential: what is on its way now says nothing about it."""
        self._doubt()

    def _doubt(self) -> None:
        self._looked_at = None
        for lane in self._lanes.values():
            lane.gate.renewed()

    async def _changed(self, place: Place, before: Stop | None, stop: Stop | None, credential: str | None) -> None:
        """Tell the others, and let the lane's work come when it may."""
        self._changes += 1
        if stop is None:
            self._stopped.pop(place, None)
            await self._store.stoppages.end(place)
            await self._tell("provider_back", place, why="a probe passed")
        else:
            self._stopped[place] = _stoppage(place, stop, credential)
            await self._store.stoppages.put(self._stopped[place])
            if before is None or before.reason is not stop.reason:
                words = {"reason": str(stop.reason), "detail": stop.detail, "credential": credential}
                await self._tell("provider_stopped", place, **words)
        self._changes += 1
        if before is not None:
            # Who came while the probe was under way was put off until it would have been lost.
            due_at = stop.again_at if stop is not None else self._clock.now()
            await self._store.work.hasten(place.queue, due_at, before.again_at)
            await self._wake(place.queue)

    async def _tell(self, event: str, place: Place, **words: str | None) -> None:
        """A line in the log that a person understands without our keys."""
        project = await self._store.projects.get(place.project)
        log.warning(event, project=project.id if project else None, kind=str(place.kind), lane=place.lane, **words)


def _stop(row: Stoppage | None) -> Stop | None:
    return Stop(row.reason, row.detail, row.since, row.again_at, row.failures) if row is not None else None


def _stoppage(place: Place, stop: Stop, credential: str | None) -> Stoppage:
    return Stoppage(
        **place._asdict(),
        reason=stop.reason,
        detail=stop.detail,
        credential=credential,
        since=stop.since,
        again_at=stop.again_at,
        failures=stop.failures,
    )
