"""Pausing: jobs of a notification that rests are set aside, each to come back at the moment that it would have had.

Who sets one aside holds the notification's row meanwhile, so that a job is never left behind by a resume.
"""

from sqlalchemy import Connection, case, select, update

from clarion.model import Key, Millis
from clarion.ports import SET_ASIDE_MS
from clarion.storage.requests import decode_request
from clarion.storage.schema import notification, work
from clarion.storage.work import hasten


def pause(conn: Connection, project: Key, keys: tuple[Key, ...], now: Millis) -> None:
    """Nothing of these leaves any more; jobs that somebody holds are set aside by whoever does."""
    mine = (notification.c.project == project) & notification.c.key.in_(keys)
    open_ = notification.c.paused_at.is_(None) & notification.c.cancelled_at.is_(None)
    conn.execute(update(notification).where(mine, open_).values(paused_at=now))
    waiting = (work.c.project == project) & work.c.notification.in_(keys) & work.c.lease.is_(None)
    aside = update(work).where(waiting, work.c.due_at < SET_ASIDE_MS)
    conn.execute(aside.values(due_at=work.c.due_at + SET_ASIDE_MS))


def resume(conn: Connection, project: Key, keys: tuple[Key, ...], now: Millis) -> None:
    """They go on. One with a rate goes on at its pace: what was not due yet when it was paused is as far away again."""
    mine = (notification.c.project == project) & notification.c.key.in_(keys) & notification.c.paused_at.is_not(None)
    paused = select(notification.c.key, notification.c.paused_at, notification.c.request).where(mine)
    for row in conn.execute(paused.order_by(notification.c.key).with_for_update()).all():
        conn.execute(update(notification).where(notification.c.key == row.key).values(paused_at=None))
        due_at = work.c.due_at - SET_ASIDE_MS
        if decode_request(row.request).rate is not None:
            due_at = case((due_at >= row.paused_at, due_at + (now - row.paused_at)), else_=due_at)
        aside = (work.c.project == project) & (work.c.notification == row.key) & (work.c.due_at >= SET_ASIDE_MS)
        conn.execute(update(work).where(aside, work.c.lease.is_(None)).values(due_at=due_at))


def cancel(conn: Connection, project: Key, keys: tuple[Key, ...], now: Millis) -> None:
    """All that was not handed to a provider is dropped as soon as somebody looks at it, which is at once."""
    mine = (notification.c.project == project) & notification.c.key.in_(keys) & notification.c.cancelled_at.is_(None)
    conn.execute(update(notification).where(mine).values(cancelled_at=now, paused_at=None))
    for key in keys:
        hasten(conn, project, key, now)
