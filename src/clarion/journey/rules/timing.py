"""Gates about time that look at the notification alone: called off, not yet, too late."""

from clarion.journey.rules.ruling import Ruling
from clarion.model import Millis, Notification, Reason


def cancelled(notification: Notification) -> Ruling:
    """Somebody called it off."""
    if notification.cancelled_at is None:
        return Ruling(None, "not cancelled")
    return Ruling(Reason.CANCELLED, "cancelled by the sender")


def expiry(notification: Notification, now: Millis) -> Ruling:
    """Its time to live is over: stale is worse than silent."""
    if notification.is_armed:
        waits = now < notification.expires_at
        return Ruling(None, "armed") if waits else Ruling(Reason.EXPIRED, "armed, and never fired")
    if now < notification.expires_at:
        return Ruling(None, f"ttl {notification.message.ttl} s")
    if notification.message.ttl == 0 and now - notification.expires_at < _TTL_ZERO_GRACE_MS:
        return Ruling(None, "ttl 0: now or never")
    return Ruling(Reason.EXPIRED, f"ttl {notification.message.ttl} s is over")


# "Now or never" still has to pass through the queue.
_TTL_ZERO_GRACE_MS = 30_000


def paused(notification: Notification, now: Millis) -> Ruling | None:
    """Its campaign rests. What is all its own waits in the queue until it is resumed; what is not is asked again."""
    if not notification.is_paused:
        return None
    return Ruling(Reason.PAUSED, f"the campaign {notification.campaign} is paused", now + PAUSED_AGAIN_MS)


PAUSED_AGAIN_MS = 30_000


def schedule(notification: Notification, now: Millis) -> Ruling:
    """Its hour has not come."""
    if notification.send_at is None or notification.send_at <= now:
        return Ruling(None, "now" if notification.send_at is None else "its time has come")
    return Ruling(Reason.SCHEDULE, "send_at", notification.send_at)
