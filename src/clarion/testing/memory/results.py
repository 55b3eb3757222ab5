"""Counts for experiments, in memory."""

from collections import defaultdict

from clarion.model import DeliveryState, Key, Millis, Notification, Reason, ReceiptKind
from clarion.ports import Chosen, Counted
from clarion.testing.memory.tables import Tables


class MemoryResults:
    """`ports.Results`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def count(self, notification: Notification, now: Millis) -> list[Counted]:
        counts: dict[tuple[str, Reason], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in self._tables.decisions.values():
            one = row.decision
            if one.notification != notification.key or one.reason not in (Reason.SEND, Reason.HOLDOUT):
                continue
            since = max(one.at, notification.fired_at or 0)
            until = since + notification.message.goal.within_s * 1000
            furthest = self._furthest(one.notification, one.user)
            success = self._succeeded(notification, one.user, since, until)
            count = counts[one.gates, one.reason]
            count["people"] += 1
            count["settled"] += until <= now
            count["reached"] += furthest >= DeliveryState.ACCEPTED
            count["delivered"] += furthest >= DeliveryState.DELIVERED
            count["clicked"] += furthest >= DeliveryState.CLICKED
            count["successes"] += success
            count["settled_successes"] += success and until <= now
        return [Counted(gates=gates, reason=reason, **count) for (gates, reason), count in counts.items()]

    async def choose(self, project: Key, notification: Key, chosen: Chosen) -> Chosen:
        return self._tables.winners.setdefault((project, notification), chosen)

    async def chosen(self, project: Key, notification: Key) -> Chosen | None:
        return self._tables.winners.get((project, notification))

    def _furthest(self, notification: Key, user: Key) -> int:
        rows = self._tables.deliveries.values()
        mine = (row.state for row in rows if (row.delivery.notification, row.delivery.user) == (notification, user))
        return max(mine, default=DeliveryState.QUEUED)

    def _succeeded(self, notification: Notification, user: Key, since: Millis, until: Millis) -> bool:
        goal = notification.message.goal
        if goal.event is None:
            return any(
                (one.notification, one.user, one.kind) == (notification.key, user, ReceiptKind.CLICKED)
                and since <= one.at < until
                for one in self._tables.receipts.values()
            )
        return any(
            project == notification.project
            and (one.user, one.name) == (user, goal.event)
            and since <= one.occurred_at < until
            for project, one in self._tables.events.values()
        )
