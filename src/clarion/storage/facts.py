"""What deciding and delivering need to know about a batch of people: one statement a table, not one a person.

`+project` keeps the engines from walking a whole project through its other indexes: the keys of people and devices are
unique, the project only has to be right.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, text

from clarion.model import DeliveryState, DeviceKind, Key, Millis, Permission, Reason
from clarion.ports import Address, Facts, FactsQuery, Recipient, Target
from clarion.storage.database import Dialect
from clarion.storage.people_query import PeopleQuery
from clarion.storage.slots import load_taken, load_waiting

_KINDS = {kind.value: kind for kind in DeviceKind}
_PERMISSIONS = {permission.value: permission for permission in Permission}
_PERSON = ("key", "id", "locale", "timezone", "CAST(attributes AS TEXT)")
_SPANS = text("""
SELECT min(key), max(key) FROM (
    SELECT key, (row_number() OVER (ORDER BY key) - 1) / :size AS span FROM (
        SELECT key FROM person WHERE project = :project AND key > :after ORDER BY key LIMIT :count
    ) AS people
) AS numbered GROUP BY span ORDER BY span
""")


def load_facts(conn: Connection, dialect: Dialect, project: Key, query: FactsQuery) -> Facts:
    """See `ports.Steps.facts`."""
    people = PeopleQuery(dialect, project, query)
    targets = _targets(conn, people)
    consents = _consents(conn, people, query.categories)
    recipients = [
        Recipient(
            key=key,
            user_id=user_id,
            locale=locale,
            timezone=timezone,
            attributes=attributes,
            targets=targets.get(key) or [],
            consents=consents.get(key) or {},
        )
        for key, user_id, locale, timezone, attributes in people.rows(conn, _PERSON, "person", "key", "ORDER BY key")
    ]
    facts = Facts(recipients, _sent_content(conn, people, query.content))
    if query.again:
        begun, chosen = _before(conn, people, query.again)
        facts = msgspec.structs.replace(facts, begun=begun, chosen=chosen)
    if query.caps is not None:
        taken, waiting = load_taken(conn, people, query.caps), load_waiting(conn, people, query.caps)
        facts = msgspec.structs.replace(facts, taken=taken, waiting=waiting)
    return facts


def _targets(conn: Connection, people: PeopleQuery) -> dict[Key, list[Target]]:
    columns = ("person", "key", "kind", "permission", "locale", "lane")
    found: dict[Key, list[Target]] = {}
    for person, key, kind, permission, locale, lane in people.rows(
        conn, columns, "device", "person", "AND state = 'active' ORDER BY person, key"
    ):
        target = Target(key, _KINDS[kind], _PERMISSIONS[permission], locale, lane)
        if person in found:
            found[person].append(target)
        else:
            found[person] = [target]
    return found


def _consents(
    conn: Connection, people: PeopleQuery, categories: Sequence[str]
) -> dict[Key, dict[tuple[str, str], bool]]:
    """The last word of each; lines come in the order they were written."""
    found: dict[Key, dict[tuple[str, str], bool]] = {}
    if categories:
        named, about = people.dialect.within("text"), people.dialect.listed(categories)
        columns = ("person", "category", "channel", "granted")
        for person, category, channel, granted in people.rows(
            conn, columns, "consent", "person", f"AND category {named} ORDER BY key", about
        ):
            found.setdefault(person, {})[category, channel] = bool(granted)
    return found


def _sent_content(conn: Connection, people: PeopleQuery, content: Sequence[int]) -> dict[tuple[Key, int], Millis]:
    if not content:
        return {}
    named, hashes = people.dialect.within("bigint"), people.dialect.listed(content)
    rows = people.rows(conn, ("person", "hash", "at"), "sent_content", "person", f"AND hash {named}", hashes)
    return {(person, hash): at for person, hash, at in rows}


def _before(
    conn: Connection, people: PeopleQuery, notifications: Sequence[Key]
) -> tuple[frozenset[tuple[Key, Key]], dict[tuple[Key, Key], Millis]]:
    """What became of them before: deliveries that are under way or done, and decisions to send."""
    named, keys = people.dialect.within("bigint"), people.dialect.listed(notifications)
    condition, whom = people.condition("person")
    lost = f"{int(DeliveryState.FAILED)}, {int(DeliveryState.EXPIRED)}"
    rest = f"FROM delivery WHERE project = ? AND notification {named} AND {condition} AND state NOT IN ({lost})"
    begun = people.dialect.rows(conn, ("notification", "device"), rest, people.project, keys, *whom)
    more = f"AND notification {named} AND reason = '{Reason.SEND}'"
    chosen = people.rows(conn, ("notification", "person", "at"), "decision", "person", more, keys)
    return frozenset(begun), {(notification, person): at for notification, person, at in chosen}


def load_addresses(conn: Connection, dialect: Dialect, project: Key, devices: Sequence[Key]) -> dict[Key, Address]:
    """See `ports.Steps.addresses`."""
    rest = (
        f"FROM device WHERE +project = ? AND key {dialect.within('bigint')} AND state = 'active' "
        "AND address IS NOT NULL AND permission IN ('granted', 'provisional')"
    )
    rows = dialect.rows(conn, ("key", "person", "kind", "address", "details"), rest, project, dialect.listed(devices))
    return {key: Address(key, person, _KINDS[kind], address, details) for key, person, kind, address, details in rows}


def refused_since(
    conn: Connection, dialect: Dialect, project: Key, users: Sequence[Key], since: Millis
) -> dict[tuple[Key, str, str], bool]:
    """See `ports.Steps.refused_since`."""
    people = PeopleQuery(dialect, project, FactsQuery(users=users))
    columns = ("person", "category", "channel", "granted")
    rows = people.rows(conn, columns, "consent", "person", "AND at >= ? ORDER BY key", since)
    return {(person, category, channel): bool(granted) for person, category, channel, granted in rows}


def user_span(conn: Connection, project: Key, after: Key, size: int, limit: int) -> list[tuple[Key, Key]]:
    """See `ports.Steps.user_span`."""
    values = {"project": project, "after": after, "size": size, "count": size * limit}
    return [(first, last) for first, last in conn.execute(_SPANS, values)]
