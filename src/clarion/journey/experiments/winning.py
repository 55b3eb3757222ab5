"""The winner of an experiment: looked for once, when its time has come, and the same for everybody from then on."""

from collections.abc import Iterable

from clarion.journey.experiments.results import Results, pick, results
from clarion.model import Key, Millis, Notification
from clarion.ports import Chosen, Store


async def results_of(store: Store, notification: Notification, now: Millis) -> Results:
    """What came of it so far."""
    chosen = await store.results.chosen(notification.project, notification.key)
    return results(notification, await store.results.count(notification, now), chosen, now)


class Winning:
    """Asks the store only about notifications that let a winner take over."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def winners(self, notifications: Iterable[Notification], now: Millis) -> dict[Key, str]:
        """Of those that are to have a winner by now, the variant that won.

        Whoever asks first counts and writes down what is chosen. Of two who do so at once the first to write has
        chosen for both; one who is killed before has chosen nothing.
        """
        found: dict[Key, str] = {}
        for one in notifications:
            at = one.winner_at
            if at is not None and at <= now:
                chosen = await self._store.results.chosen(one.project, one.key) or await self._choose(one, now)
                if chosen.variant is not None:
                    found[one.key] = chosen.variant
        return found

    async def _choose(self, notification: Notification, now: Millis) -> Chosen:
        variant = pick(notification, await self._store.results.count(notification, now))
        return await self._store.results.choose(notification.project, notification.key, Chosen(variant, now))
