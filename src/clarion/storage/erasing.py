"""The end of a person: every row about them, and their id in the audiences that named them."""

import msgspec
from sqlalchemy import Connection, delete, or_, select, update

from clarion.model import Key, Message, Millis
from clarion.storage.database import by_other_index
from clarion.storage.departing import depart
from clarion.storage.person_events import meeting
from clarion.storage.requests import decode_request, encode_request
from clarion.storage.retention import forget_ids
from clarion.storage.schema import (
    automation_run,
    consent,
    decision,
    delivery,
    device,
    digest_item,
    event,
    loss,
    merged,
    notification,
    person,
    person_preference,
    receipt,
    roster_member,
    sent_content,
    sent_log,
)
from clarion.storage.schema import project as project_table

_OF_A_PERSON = (
    decision,
    digest_item,
    sent_content,
    sent_log,
    device,
    consent,
    person_preference,
    loss,
    automation_run,
    roster_member,
)


def erase(conn: Connection, project: Key, key: Key, user_id: str, now: Millis) -> bool:
    """Delete everything of the person; False when somebody else did."""
    if conn.execute(select(person.c.key).where(person.c.project == project, person.c.key == key)).scalar() is None:
        return False
    # Deliveries that are being written down are found below, those to come find the person gone.
    conn.execute(select(project_table.c.key).where(project_table.c.key == project).with_for_update())
    depart(conn, project, key, None, now)
    _strike(conn, project, key, user_id)
    told = select(decision.c.notification).where(decision.c.project == project, decision.c.person == key)
    for table in (receipt, delivery):
        mine = (table.c.project == project) & (table.c.person == key) & table.c.notification.in_(told)
        conn.execute(delete(table).where(mine))
    events = meeting(conn, lambda of: [by_other_index(of.c.project) == project, of.c.person == key])
    forget_ids(conn, project, events)
    conn.execute(delete(event).where(events))
    for table in _OF_A_PERSON:
        conn.execute(delete(table).where(by_other_index(table.c.project) == project, table.c.person == key))
    aliases = or_(merged.c.person == key, merged.c.former == key)
    conn.execute(delete(merged).where(merged.c.project == project, aliases))
    return conn.execute(delete(person).where(person.c.project == project, person.c.key == key)).rowcount > 0


def _strike(conn: Connection, project: Key, key: Key, user_id: str) -> None:
    """Take the person out of the audiences that name them; what was only for them loses its words too."""
    told = select(decision.c.notification).where(decision.c.project == project, decision.c.person == key)
    mine = (notification.c.project == project) & notification.c.key.in_(told)
    for row in conn.execute(select(notification.c.key, notification.c.request).where(mine)).all():
        request = decode_request(row.request)
        if request.to.users is None or user_id not in request.to.users:
            continue
        others = [other for other in request.to.users if other != user_id]
        message = request.message if others else Message(category=request.message.category)
        struck = msgspec.structs.replace(request, message=message, to=msgspec.structs.replace(request.to, users=others))
        changed = update(notification).where(notification.c.project == project, notification.c.key == row.key)
        conn.execute(changed.values(request=encode_request(struck)))
