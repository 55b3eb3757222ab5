"""What one step wants written, in memory: checked first, then written, so that nothing is ever half there."""

import msgspec

from clarion.model import (
    CHANNEL_OF_KIND,
    STATE_OF_RECEIPT,
    Decision,
    Delivery,
    DeliveryState,
    DeviceState,
    DeviceVerdict,
    Key,
    Millis,
    Notification,
    Outcome,
    Reason,
    Receipt,
    Update,
    UpdateKind,
)
from clarion.ports import ArmedWork, Effects, Loss, LossKind, NewWork, PairsWork, Sent
from clarion.testing.memory.collecting import write_collected
from clarion.testing.memory.devices import with_state
from clarion.testing.memory.runs import write_listed, write_runs
from clarion.testing.memory.slots import write_slots
from clarion.testing.memory.tables import DecisionRow, DeliveryRow, Tables, stored
from clarion.testing.memory.work import MemoryWork


class EffectsWriter:
    """Writes `Effects` into the tables."""

    def __init__(self, tables: Tables, work: MemoryWork) -> None:
        self._tables = tables
        self._work = work

    def write(self, effects: Effects) -> None:
        now = _moment(effects, self._tables.now())
        skipped = {key for key in map(self._add_notification, effects.notifications) if key is not None}
        for decision in effects.decisions:
            row = DecisionRow(decision)
            self._tables.decisions.setdefault((decision.notification, decision.user), row)
        for decision in effects.revised:
            self._revise(decision)
        for delivery in effects.deliveries:
            self._queue(delivery, now, again=bool(effects.revised))
        for sent in effects.sent:
            self._begin(sent, now)
        for outcome in effects.outcomes:
            self._apply(outcome, now)
        for verdict in effects.device_verdicts:
            self._judge(verdict, now)
        self._reserve(effects, now)
        write_listed(self._tables, effects)
        write_runs(self._tables, effects)
        write_slots(self._tables, effects)
        write_collected(self._tables, effects)
        for new in effects.work:
            wanted = without(new, skipped)
            if wanted is not None:
                self.put(wanted, now)

    def _reserve(self, effects: Effects, now: Millis) -> None:
        """Content; what somebody else said since stays."""
        for user, content, at in effects.unsent_content:
            if self._tables.sent_content.get((user, content)) == at:
                del self._tables.sent_content[user, content]
        for user, content in effects.sent_content:
            self._tables.sent_content[user, content] = now

    def put(self, new: NewWork, now: Millis = 0) -> None:
        """Store a job; an armed one is due now if its notification was fired or cancelled before."""
        if isinstance(new.job, ArmedWork) and new.job.waits:
            about = self._tables.notifications.get(new.job.notification)
            if about is not None and (about.fired_at, about.cancelled_at) != (None, None):
                end = about.expires_at if about.cancelled_at is None else now
                new = msgspec.structs.replace(new, due_at=now, job=msgspec.structs.replace(new.job, expires_at=end))
        self._work.put(new)

    def receive(self, receipt: Receipt, now: Millis) -> bool:
        """Store a receipt and move its delivery; False when it is known or the delivery is gone.

        The delivery's own user counts: the token may still name the one before a merge.
        """
        row = self._delivery(receipt) or self._told_first(receipt, now)
        if row is None or self._tables.project_of(receipt.notification) != receipt.project:
            return False
        identity = (receipt.notification, row.delivery.user, receipt.device, receipt.kind, receipt.action)
        if identity in self._tables.receipts:
            return False
        self._tables.receipts[identity] = msgspec.structs.replace(receipt, user=row.delivery.user)
        state = STATE_OF_RECEIPT[receipt.kind]
        if state > row.state:
            row.state, row.reason, row.updated_at = state, None, now
        return True

    def _told_first(self, receipt: Receipt, now: Millis) -> DeliveryRow | None:
        """Of a fired notification a device may tell before it is written down what was sent."""
        about, device = self._tables.notifications.get(receipt.notification), self._tables.devices.get(receipt.device)
        if about is None or about.fired_at is None or about.project != receipt.project or device is None:
            return None
        self._begin(Sent(about.key, device.kind, [receipt.user], [device.key], None, now), now)
        return self._delivery(receipt)

    def _delivery(self, told: Receipt | Outcome) -> DeliveryRow | None:
        """That of the user, or of whom they were merged into."""
        user = self._present(told.user)
        return None if user is None else self._tables.deliveries.get((told.notification, user, told.device))

    def _add_notification(self, new: Notification) -> Key | None:
        """None when it is stored; its key when its id is known and all of it is to be skipped."""
        identity = (new.project, new.id)
        if identity in self._tables.notification_keys:
            return new.key
        self._tables.notification_keys[identity] = new.key
        self._tables.notifications[new.key] = stored(new, Notification)
        if new.update is not None:
            self._supersede(new, new.update)
        return None

    def _supersede(self, new: Notification, changes: Update) -> None:
        family = {
            key: one
            for key, one in self._tables.notifications.items()
            if one.first == changes.first and key != new.key and one.project == new.project
        }
        for key, one in family.items():
            self._tables.notifications[key] = msgspec.structs.replace(one, updated_by=new.key)
        first = self._tables.notifications.get(changes.first)
        if first is not None and changes.kind is UpdateKind.WITHDRAW:
            at = first.cancelled_at or new.created_at
            self._tables.notifications[changes.first] = msgspec.structs.replace(first, cancelled_at=at)
            for job in self._tables.jobs.values():
                if job.notification in family:
                    job.due_at, job.ends_at = 0, new.created_at

    def _revise(self, decision: Decision) -> None:
        """What has reached a push service was sent, whatever is decided afterwards."""
        user = self._present(decision.user)
        if user is None or (decision.reason is not Reason.SEND and self._has_left(decision.notification, user)):
            return
        decision = msgspec.structs.replace(decision, user=user)
        row = self._tables.decisions.get((decision.notification, decision.user))
        revision = row.revision + 1 if row else 0
        self._tables.decisions[decision.notification, decision.user] = DecisionRow(decision, revision)

    def _has_left(self, notification: Key, user: Key) -> bool:
        return any(
            row.delivery.notification == notification and row.delivery.user == user and row.state >= DeliveryState.SENT
            for row in self._tables.deliveries.values()
        )

    def _queue(self, delivery: Delivery, now: Millis, *, again: bool) -> None:
        """`again`: one that came to nothing is on its way once more."""
        user = self._present(delivery.user)
        if user is None:
            return
        delivery = msgspec.structs.replace(delivery, user=user)
        key = (delivery.notification, user, delivery.device)
        row = self._tables.deliveries.setdefault(key, DeliveryRow(delivery, now, now))
        if again and row.state in (DeliveryState.FAILED, DeliveryState.EXPIRED):
            row.state, row.reason, row.updated_at = DeliveryState.QUEUED, None, now

    def _begin(self, sent: Sent, now: Millis) -> None:
        """Deliveries that begin with their outcome, unless their device told more already."""
        ids = sent.provider_ids or [None] * len(sent.users)
        for named, device, provider_id in zip(sent.users, sent.devices, ids, strict=True):
            user = self._present(named)
            if user is not None:
                delivery = Delivery(sent.notification, user, device, sent.kind)
                row = DeliveryRow(delivery, now, now, DeliveryState.ACCEPTED, None, provider_id, 1)
                self._tables.deliveries.setdefault((sent.notification, user, device), row)

    def _present(self, user: Key | None) -> Key | None:
        """Who this is now; None when erased."""
        while user is not None and user not in self._tables.users:
            user = next((successor for _, gone, successor, _ in self._tables.departed if gone == user), None)
        return user

    def _apply(self, outcome: Outcome, now: Millis) -> None:
        """What is known of the attempt is kept; the state only moves forward, a receipt may have been faster."""
        row = self._delivery(outcome)
        if row is None:
            return
        if outcome.state >= row.state:
            row.state, row.reason = outcome.state, outcome.reason
        row.provider_id = outcome.provider_id or row.provider_id
        row.attempts, row.updated_at = max(row.attempts, outcome.attempts), now

    def _judge(self, verdict: DeviceVerdict, now: Millis) -> None:
        device = self._tables.devices.get(verdict.device)
        if device is not None and device.registered_at <= verdict.sent_at:
            if verdict.state is DeviceState.RETIRED and device.state is not DeviceState.RETIRED:
                channel = CHANNEL_OF_KIND[device.kind]
                kind = LossKind.SUBSCRIPTION
                lost = Loss(user=device.user, at=now, kind=kind, channel=channel, device=device.key)
                self._tables.losses[device.project, lost] = None
            self._tables.devices[device.key] = with_state(device, verdict.state, verdict.reason, now)


def without(new: NewWork, skipped: set[Key]) -> NewWork | None:
    """The job without the notifications that are skipped; None when nothing of it is left."""
    if new.notification in skipped:
        return None
    if not isinstance(new.job, PairsWork):
        return new
    pairs = [pair for pair in new.job.pairs if pair[0] not in skipped]
    return msgspec.structs.replace(new, job=msgspec.structs.replace(new.job, pairs=pairs)) if pairs else None


def _moment(effects: Effects, now: Millis) -> Millis:
    """When the step happened: its decisions know, else the store's own clock."""
    return max((decision.at for decision in (*effects.decisions, *effects.revised)), default=now)
