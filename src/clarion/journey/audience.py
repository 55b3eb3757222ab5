"""Audience: who, cut into batches. A notification to a million people is a thousand batches of a thousand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clarion.model import Audience, Key, Millis, Notification
from clarion.ports import AudienceWork, NewWork, PairsWork, SpanWork

BATCH = 1000
SPANS_A_STEP = 50
NAMED_A_STEP = 20 * BATCH
FOUND_A_STEP = 100 * BATCH
"""The rule of a segment is looked up once for so many: as long as many thousands of decisions take, or shorter."""


def people(to: Audience) -> list[str]:
    """The named people, each once, in the order given."""
    return list(dict.fromkeys(to.users or ()))


def is_cut_later(to: Audience) -> bool:
    """Whether a worker makes the candidates: the audience is too large for the caller's own request.

    Named devices are looked up in the request in any case, so their people are known at once.
    """
    return is_found_out(to) or len(to.users or ()) > BATCH


def is_found_out(to: Audience) -> bool:
    """Whether who it is depends on the moment: then it is looked up when it is to be sent."""
    return to.everyone is not None or is_crowd(to)


def is_crowd(to: Audience) -> bool:
    """Whether a rule says who it is, so that somebody may have left it before their turn."""
    return to.segment is not None or to.topic is not None


class Pace(NamedTuple):
    """How an audience becomes work: so many people at once, a batch every so often. `at`: when the next is due.

    `ends_at`: from then on nobody gets it, so who comes later has their turn then.
    """

    at: Millis
    size: int = BATCH
    step_ms: int = 0
    ends_at: Millis | None = None

    def after(self, batches: int) -> Millis:
        """When it is the turn of what comes after so many batches."""
        due_at = self.at + batches * self.step_ms
        return due_at if self.ends_at is None else min(due_at, self.ends_at)


def pace(notification: Notification, now: Millis) -> Pace:
    """The notification's own, if it has a rate: then what was missed is not made up for."""
    rate, ends_at = notification.rate, notification.ends_at
    is_over = notification.cancelled_at is not None or (ends_at is not None and now >= ends_at)
    if rate is None or is_over:
        return Pace(now)
    size = min(BATCH, rate)
    return Pace(now, size, -(-size * 1000 // rate), ends_at)


def candidates(notification: Notification, users: Iterable[Key], pace: Pace) -> list[NewWork]:
    """Work for named users, sorted by key so that batches lock users in one order."""
    keys = sorted(set(users))
    return [
        NewWork(
            project=notification.project,
            job=PairsWork(pairs=[(notification.key, user) for user in keys[start : start + pace.size]]),
            due_at=pace.after(batch),
            notification=notification.key,
        )
        for batch, start in enumerate(range(0, len(keys), pace.size))
    ]


def spans(notification: Notification, spans: Sequence[tuple[Key, Key]], pace: Pace) -> list[NewWork]:
    """Work for spans of users."""
    return [
        NewWork(
            project=notification.project,
            job=SpanWork(notification=notification.key, first=first, last=last),
            due_at=pace.after(batch),
            notification=notification.key,
        )
        for batch, (first, last) in enumerate(spans)
    ]


def further(notification: Notification, cursor: int, due_at: Millis) -> NewWork:
    """The rest of an audience, from `cursor` on."""
    return NewWork(
        project=notification.project,
        job=AudienceWork(notification=notification.key, cursor=cursor),
        due_at=due_at,
        notification=notification.key,
    )
