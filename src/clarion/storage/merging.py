"""An anonymous person turns out to be a known one: everything moves, and a refusal of either side stays."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, text, update

from clarion.model import Key, Millis
from clarion.ports import ANY_CATEGORY
from clarion.storage.database import by_other_index
from clarion.storage.departing import depart
from clarion.storage.person_events import meeting
from clarion.storage.runs_moving import merge_runs
from clarion.storage.schema import consent, device, event, merged, person, person_preference

# What the known person has already wins; `told` finds the anonymous person's rows through the index of decisions.
_MOVE = """
UPDATE {table} SET person = :known
WHERE project = :project AND person = :anonymous AND {told}
AND NOT EXISTS (
    SELECT 1 FROM {table} AS kept WHERE kept.project = :project AND kept.person = :known AND {same}
)
"""
_SENT = """
DELETE FROM decision WHERE +project = :project AND person = :known
AND reason NOT IN ('send', 'in_digest') AND notification IN (
    SELECT d.notification FROM decision d WHERE +d.project = :project AND d.person = :anonymous
    AND d.reason IN ('send', 'in_digest')
)
"""
_NOT_WAITING = """
DELETE FROM digest_item WHERE project = :project AND person = :known
AND notification IN (SELECT d.notification FROM decision d WHERE d.project = :project AND d.person = :anonymous)
AND notification NOT IN (SELECT d.notification FROM decision d WHERE d.project = :project AND d.person = :known)
"""
_LEAVE = "DELETE FROM {table} WHERE project = :project AND person = :anonymous AND {told}"
# The decision of the known person stays: what it is about must not be decided once more.
_DECIDED = """
DELETE FROM digest_item WHERE project = :project AND person = :anonymous
AND notification IN (SELECT d.notification FROM decision d WHERE d.project = :project AND d.person = :known)
"""
_TOLD = "notification IN (SELECT d.notification FROM decision d WHERE d.project = :project AND d.person = :anonymous)"
_MOVED = (  # decisions last: the others are found through them
    ("receipt", _TOLD, ("notification", "device", "kind", "action")),
    ("delivery", _TOLD, ("notification", "device")),
    ("digest_item", "true", ("notification",)),
    ("decision", "true", ("notification",)),
    ("sent_content", "true", ("hash",)),
    ("sent_log", "true", ("notification",)),
    ("roster_member", "true", ("roster",)),
    ("loss", "true", ("at", "kind", "category", "channel", "device")),
)

PREFERENCES = ("quiet_start", "quiet_end", "quiet_days", "marketing_paused_until")
"""The columns of what a person asked."""


def merge(conn: Connection, project: Key, anonymous: Key, known: Key, now: Millis) -> None:
    """Move all rows of `anonymous` to `known` and end it."""
    both = select(person.c.key).where(person.c.project == project, person.c.key.in_((anonymous, known)))
    if len(conn.execute(both).all()) < 2:  # noqa: PLR2004 - the two of them
        return
    depart(conn, project, anonymous, known, now)
    _merge_consents(conn, project, anonymous, known, now)
    _merge_preferences(conn, project, anonymous, known, now)
    devices = (device.c.project == project) & (device.c.person == anonymous)
    conn.execute(update(device).where(devices).values(person=known, updated_at=now))
    events = meeting(conn, lambda of: [of.c.project == project, of.c.person == anonymous])
    conn.execute(update(event).where(events).values(person=known))
    _keep_elder_bucket(conn, anonymous, known)
    merge_runs(conn, project, anonymous, known)
    keys = {"project": project, "anonymous": anonymous, "known": known}
    conn.execute(text(_SENT), keys)  # what was sent to either was sent
    conn.execute(text(_NOT_WAITING), keys)
    conn.execute(text(_DECIDED), keys)
    for name, told, columns in _MOVED:
        same = " AND ".join(f"kept.{column} = {name}.{column}" for column in columns)
        conn.execute(text(_MOVE.format(table=name, told=told, same=same)), keys)
        conn.execute(text(_LEAVE.format(table=name, told=told)), keys)
    mine = (merged.c.project == project) & (merged.c.person == anonymous)
    conn.execute(update(merged).where(mine).values(person=known))
    conn.execute(insert(merged).values(project=project, former=anonymous, person=known))
    conn.execute(delete(person).where(person.c.project == project, person.c.key == anonymous))


def _keep_elder_bucket(conn: Connection, anonymous: Key, known: Key) -> None:
    """Who we have known for longer keeps their part in what was dealt out by chance (`model.segments.Percent`)."""
    elder = select(person.c.created_at, person.c.bucket).where(person.c.key == anonymous).subquery()
    younger = (person.c.key == known) & (person.c.created_at > select(elder.c.created_at).scalar_subquery())
    conn.execute(update(person).where(younger).values(bucket=select(elder.c.bucket).scalar_subquery()))


def _merge_consents(conn: Connection, project: Key, anonymous: Key, known: Key, now: Millis) -> None:
    """One ledger of two. Where one side's last word was no and the joint ledger would end in yes, no is said again."""
    mine = (by_other_index(consent.c.project) == project) & consent.c.person.in_((anonymous, known))
    last: dict[tuple[str, str], bool] = {}
    words: dict[tuple[Key, str, str], bool] = {}
    for line in conn.execute(select(consent).where(mine).order_by(consent.c.key)):
        last[line.category, line.channel] = line.granted
        words[line.person, line.category, line.channel] = line.granted
    conn.execute(update(consent).where(mine).values(person=known))
    said = {(category, channel) for (_, category, channel), granted in words.items() if not granted}
    refused = {about for about in said if about[0] != ANY_CATEGORY}
    again = sorted(about for about in refused if last[about])
    refusal = {"project": project, "person": known, "granted": False, "source": "merge", "at": now}
    if again:
        lines = [refusal | {"category": category, "channel": channel} for category, channel in again]
        conn.execute(insert(consent), lines)


def _merge_preferences(conn: Connection, project: Key, anonymous: Key, known: Key, now: Millis) -> None:
    """What either asked holds: the longer pause; quiet hours of the known person, else those of the anonymous one."""
    both = (person_preference.c.project == project) & person_preference.c.person.in_((anonymous, known))
    rows = {row.person: row for row in conn.execute(select(person_preference).where(both))}
    if anonymous not in rows:
        return
    pauses = [row.marketing_paused_until for row in rows.values() if row.marketing_paused_until is not None]
    kept = known in rows and rows[known].quiet_start is not None
    hours = rows[known if kept else anonymous]
    joint = {name: getattr(hours, name) for name in PREFERENCES} | {"marketing_paused_until": max(pauses, default=None)}
    conn.execute(delete(person_preference).where(both))
    conn.execute(insert(person_preference).values(project=project, person=known, updated_at=now, **joint))


def present(conn: Connection, project: Key, keys: Collection[Key]) -> dict[Key, Key]:
    """Who these people are now: themselves, or whom they were merged into; the erased are missing.

    None of them is merged or erased by others before the caller's transaction ends.
    """
    mine = (person.c.project == project) & person.c.key.in_(keys)
    locked = conn.execute(select(person.c.key).where(mine).order_by(person.c.key).with_for_update(read=True))
    found = {key: key for key in locked.scalars()}
    gone = [key for key in keys if key not in found]
    return found | aliases(conn, project, gone) if gone else found


def aliases(conn: Connection, project: Key, keys: Collection[Key]) -> dict[Key, Key]:
    """Former key → present key, of those that were merged."""
    mine = (merged.c.project == project) & merged.c.former.in_(keys)
    return {row.former: row.person for row in conn.execute(select(merged.c.former, merged.c.person).where(mine))}
