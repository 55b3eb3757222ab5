"""What the store knows of one person: what `story` tells."""

from clarion.journey.loss_watch import tied_losses
from clarion.journey.losses import Tied
from clarion.journey.story import MOST, Records
from clarion.model import Key
from clarion.ports import Store


async def records(store: Store, project: Key, user: Key, notification: Key | None) -> Records:
    """The newest of each, of all notifications or of one."""
    decisions = await store.trail.decisions(
        project, notification=notification, user=user, reason=None, cursor=None, limit=MOST
    )
    deliveries = await store.trail.deliveries(
        project, notification=notification, user=user, state=None, cursor=None, limit=MOST
    )
    receipts = await store.trail.receipts_of_user(project, user, MOST * 4)
    changing = sorted({one.notification for one in decisions.items if one.updates is not None})
    found = await store.trail.load(project, changing) if changing else {}
    losses = await tied_losses(store, project, (await store.losses.of_user(project, user))[-MOST:], {})
    return Records(
        devices=await store.devices.of_user(project, user),
        consents=await store.consents.of_user(project, user),
        events=await store.events.of_user(project, user, MOST),
        decisions=decisions.items,
        deliveries=deliveries.items,
        losses=[one for one in losses if notification is None or notification in _about(one)],
        receipts=[one for one in receipts if notification is None or one.notification == notification],
        updates={key: one.update for key, one in found.items() if one.update is not None},
    )


def _about(tied: Tied) -> set[Key]:
    return {touch.notification for touch in tied.touches}
