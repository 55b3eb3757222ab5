"""People who said no, and what messages came to by day, in memory."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import msgspec

from clarion.model import DAY_MS, DeliveryState, Key, Millis, Notification
from clarion.ports import MOST_NAMES, REACHED, Dimension, Loss, LossAlert, LossCount, Touch
from clarion.testing.memory.tables import Tables, drop

_COUNTED = ("reached", "delivered", "tapped", "lost", "opt_outs", "permissions", "subscriptions")


class MemoryLosses:
    """`ports.Losses`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def since(self, project: Key, since: Millis) -> list[Loss]:
        return _sorted(each for owner, each in self._tables.losses if owner == project and each.at >= since)

    async def of_user(self, project: Key, user: Key) -> list[Loss]:
        return _sorted(each for owner, each in self._tables.losses if (owner, each.user) == (project, user))

    async def touches(self, project: Key, users: Collection[Key], since: Millis) -> list[Touch]:
        found = []
        for row in self._tables.deliveries.values():
            told, about = row.delivery, self._tables.notifications.get(row.delivery.notification)
            decided = self._tables.decisions.get((told.notification, told.user))
            if about is None or decided is None or about.project != project or row.state < REACHED:
                continue
            at = max(decided.decision.at, about.fired_at or 0)
            if told.user in users and at >= since:
                found.append(Touch(told.notification, told.user, told.device, told.kind, at))
        return found

    async def reached(self, project: Key, day: Millis) -> list[LossCount]:
        best: dict[tuple[Dimension, str, Key], DeliveryState] = {}
        for row in self._tables.deliveries.values():
            about = self._tables.notifications.get(row.delivery.notification)
            if about is None or about.project != project or row.state < REACHED:
                continue
            if day <= _moment(about) < day + DAY_MS:
                for dimension, name in _names(about).items():
                    who = (dimension, name, row.delivery.user)
                    best[who] = max(row.state, best.get(who, row.state))
        states: dict[tuple[Dimension, str], list[DeliveryState]] = defaultdict(list)
        for (dimension, name, _), state in best.items():
            states[dimension, name].append(state)
        counts = [
            LossCount(
                dimension=dimension,
                name=name,
                day=day,
                reached=len(each),
                delivered=sum(state >= DeliveryState.DELIVERED for state in each),
                tapped=sum(state is DeliveryState.CLICKED for state in each),
            )
            for (dimension, name), each in states.items()
        ]
        counts.sort(key=lambda each: (-each.reached, each.name))
        return [each for only in Dimension for each in [one for one in counts if one.dimension is only][:MOST_NAMES]]

    async def put(self, project: Key, since: Millis, counts: Sequence[LossCount]) -> None:
        drop(self._tables.loss_counts, lambda key, _: key[0] == project and key[2] >= since)
        for each in counts:
            self._tables.loss_counts.setdefault((project, each.dimension, each.day, each.name), each)

    async def sums(self, project: Key, dimension: Dimension, since: Millis, until: Millis) -> list[LossCount]:
        sums: dict[str, LossCount] = {}
        for (owner, about, day, name), each in sorted(self._tables.loss_counts.items()):
            if (owner, about) == (project, dimension) and since <= day < until:
                known = sums.get(name, LossCount(dimension=dimension, name=name, day=since))
                total = {field: getattr(known, field) + getattr(each, field) for field in _COUNTED}
                sums[name] = msgspec.structs.replace(known, **total)
        return [sums[name] for name in sorted(sums)]

    async def alerts(self, project: Key | None = None) -> list[LossAlert]:
        mine = [each for each in self._tables.loss_alerts.values() if project in {None, each.project}]
        return sorted(mine, key=lambda each: (each.since, each.dimension, each.name))

    async def put_alerts(self, project: Key, alerts: Sequence[LossAlert]) -> tuple[list[LossAlert], list[LossAlert]]:
        rows = self._tables.loss_alerts
        known = {about: each for about, each in rows.items() if about[0] == project}
        now = {(project, each.dimension, each.name): each for each in alerts}
        drop(rows, lambda about, _: about in known)
        for about, each in now.items():
            since = known[about].since if about in known else each.since
            rows[about] = msgspec.structs.replace(each, since=since)
        return [now[about] for about in now if about not in known], [known[each] for each in known if each not in now]

    async def forget(self, project: Key, losses_before: Millis, counts_before: Millis) -> None:
        drop(self._tables.losses, lambda row, _: row[0] == project and row[1].at < losses_before)
        drop(self._tables.loss_counts, lambda key, _: key[0] == project and key[2] < counts_before)


def _sorted(losses: Iterable[Loss]) -> list[Loss]:
    return sorted(losses, key=lambda each: (each.at, each.user, each.kind, each.category or ""))


def _moment(about: Notification) -> Millis:
    return next(at for at in (about.fired_at, about.send_at, about.created_at) if at is not None)


def _names(about: Notification) -> dict[Dimension, str]:
    names = {
        Dimension.CATEGORY: about.message.category,
        Dimension.CAMPAIGN: about.campaign or about.automation or about.id,
    }
    if about.message.template is not None:
        names[Dimension.TEMPLATE] = about.message.template
    return names
