"""How far a notification came, in one word, for the API and the dashboard alike."""

from clarion.model import DeliveryState, Millis, Notification, Reason, Verdict, verdict_of
from clarion.ports import Progress

STATES = ("scheduled", "arming", "armed", "running", "paused", "done", "cancelled")


def state_of(notification: Notification, progress: Progress, now: Millis) -> str:
    """One of `STATES`."""
    if notification.cancelled_at is not None:
        return "cancelled"
    if notification.is_paused:
        return "paused"
    if notification.send_at is not None and notification.send_at > now:
        return "scheduled"
    if notification.is_armed and notification.expires_at > now:
        ready = progress.due_at is None or progress.due_at >= notification.expires_at
        return "armed" if ready else "arming"
    return "running" if progress.working or _is_open(notification, progress) else "done"


def _is_open(notification: Notification, progress: Progress) -> bool:
    """Whether something of it is to come. A job that several notifications share is counted for none of them."""
    undecided = notification.automation is not None and bool(notification.to.users) and not progress.reasons
    return undecided or waits(progress)


def waits(progress: Progress) -> bool:
    """Whether somebody is held, or a message is still to be handed over."""
    held = any(verdict_of(Reason(reason)) is Verdict.HOLD for reason in progress.reasons)
    return held or progress.deliveries.get(DeliveryState.QUEUED, 0) > 0
