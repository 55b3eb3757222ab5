"""Whom we lose, joined to the world: counted in the background, told to who asks, and an alert when it doubles."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from clarion.journey import losses
from clarion.journey.losses import Counted, Label, Tied
from clarion.model import DAY_MS, Key, Millis
from clarion.ports import Clock, Dimension, Loss, LossAlert, LossCount, Store

LIVE_DAYS: Final = 4
"""Today and the days before whose messages may still be held, tapped or regretted: they are counted again."""
SHARE: Final = 20
"""Counting rests so many times as long as it took: it never takes more than a twentieth of a core a project."""
LOSSES_KEPT_MS: Final = 90 * DAY_MS
COUNTS_KEPT_MS: Final = 400 * DAY_MS
_AT_ONCE: Final = 1_000

log = structlog.get_logger(__name__)


class Span(NamedTuple):
    """Whole days: since ≤ time < until."""

    since: Millis
    until: Millis


class Standing(NamedTuple):
    """What the messages of one name came to, and the alert about it."""

    counts: LossCount
    alert: LossAlert | None


class LossWatch:
    """One for each process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rests_until: dict[Key, Millis] = {}
        self._counting: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def standings(self, project: Key, dimension: Dimension, days: int) -> tuple[Span, list[Standing]]:
        """Of the last so many days, today included; by name."""
        await self.refresh(project)
        today = losses.day_of(self._clock.now())
        span = Span(today - (days - 1) * DAY_MS, today + DAY_MS)
        sums = await self._store.losses.sums(project, dimension, *span)
        alerts = {each.name: each for each in await self._store.losses.alerts(project) if each.dimension is dimension}
        return span, [Standing(each, alerts.get(each.name)) for each in sums]

    async def sweep(self) -> None:
        """Count all projects, and forget what is old."""
        now = self._clock.now()
        for project in await self._store.projects.all():
            await self.refresh(project.key)
            await self._store.losses.forget(project.key, now - LOSSES_KEPT_MS, now - COUNTS_KEPT_MS)

    async def refresh(self, project: Key) -> None:
        """Count what is not over yet, unless that was done a moment ago."""
        async with self._counting[project]:
            begun = self._clock.now()
            if begun < self._rests_until.get(project, begun):
                return
            await self._count(project, begun)
            ended = self._clock.now()
            self._rests_until[project] = ended + SHARE * (ended - begun)

    async def _count(self, project: Key, now: Millis) -> None:
        today = losses.day_of(now)
        first = today - (LIVE_DAYS - 1) * DAY_MS
        reached: list[LossCount] = []
        for number in range(LIVE_DAYS):
            reached += await self._store.losses.reached(project, first + number * DAY_MS)
        counted: Counted = {}
        if reached:
            labels: dict[Key, Label] = {}
            for some in _by_people(await self._store.losses.since(project, first)):
                tied = await tied_losses(self._store, project, some, labels)
                losses.tally(tied, labels, counted)
        await self._store.losses.put(project, first, losses.with_losses(reached, counted))
        await self._judge(project, today, now)

    async def _judge(self, project: Key, today: Millis, now: Millis) -> None:
        since = today - (losses.RECENT_DAYS - 1) * DAY_MS
        found: list[LossAlert] = []
        for dimension in Dimension:
            recent = await self._store.losses.sums(project, dimension, since, today + DAY_MS)
            if any(each.lost >= losses.MANY for each in recent):
                usual = await self._store.losses.sums(project, dimension, since - losses.USUAL_DAYS * DAY_MS, since)
                found += losses.alerts(project, recent, usual, now)
        begun, over = await self._store.losses.put_alerts(project, found)
        if begun or over:
            owner = await self._store.projects.get(project)
            name = owner.id if owner else None
            for each in begun:
                told = {"lost": each.lost, "reached": each.reached, "ratio": each.ratio}
                log.warning("losses_doubled", project=name, by=str(each.dimension), name=each.name, **told)
            for each in over:
                log.warning("losses_usual_again", project=name, by=str(each.dimension), name=each.name)


async def tied_losses(store: Store, project: Key, some: Sequence[Loss], labels: dict[Key, Label]) -> list[Tied]:
    """These losses with the messages before them, the labels of which are added to those that are known."""
    if not some:
        return []
    people = {each.user for each in some}
    touches = await store.losses.touches(project, people, min(each.at for each in some) - losses.WINDOW_MS)
    await _learn_labels(store, project, {touch.notification for touch in touches}, labels)
    return list(losses.tie(some, touches, labels))


async def _learn_labels(store: Store, project: Key, wanted: set[Key], labels: dict[Key, Label]) -> None:
    missing = sorted(wanted - labels.keys())
    for start in range(0, len(missing), _AT_ONCE):
        found = await store.trail.load(project, missing[start : start + _AT_ONCE])
        labels |= {key: losses.label(one) for key, one in found.items()}


def _by_people(every: Iterable[Loss]) -> list[list[Loss]]:
    """Batches of about a thousand, all of one person in one of them."""
    by_user: dict[Key, list[Loss]] = defaultdict(list)
    for each in every:
        by_user[each.user].append(each)
    batches: list[list[Loss]] = [[]]
    for some in by_user.values():
        if len(batches[-1]) >= _AT_ONCE:
            batches.append([])
        batches[-1] += some
    return batches
