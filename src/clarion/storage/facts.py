"""What deciding and delivering need to know about a batch of people: one statement a table, not one a person.

`+project` keeps the engines from walking a whole project through its other indexes: the keys of people and devices are
unique, the project only has to be right.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from operator import attrgetter, itemgetter
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, text

from clarion.model import HOLD_REASONS, DeliveryState, DeviceKind, Key, Millis, Permission, PersonPreference, Reason
from clarion.ports import Address, Asked, Collected, Facts, FactsQuery, Happened, Recipient, Target
from clarion.storage.audiences import members_of
from clarion.storage.collecting import load_collected
from clarion.storage.database import Dialect, Row
from clarion.storage.merging import PREFERENCES
from clarion.storage.person_events import of_people
from clarion.storage.preferences import preference
from clarion.storage.runs import load_runs
from clarion.storage.slots import load_taken, load_waiting

_KINDS = {kind.value: kind for kind in DeviceKind}
_PERMISSIONS = {permission.value: permission for permission in Permission}
_PERSON = ("key", "id", "locale", "timezone", "CAST(attributes AS TEXT)")
_HOLDS = ", ".join(f"'{reason}'" for reason in sorted(HOLD_REASONS))
_SPAN = text("""
SELECT min(key), max(key), count(*) FROM (
    SELECT key FROM person WHERE project = :project AND key > :after ORDER BY key LIMIT :size
) AS people
""")


class _People(NamedTuple):
    """The people of a query, as a condition on any table's column."""

    dialect: Dialect
    project: Key
    query: FactsQuery

    def rows(
        self, conn: Connection, columns: Sequence[str], table: str, column: str, more: str = "", *values: object
    ) -> list[Row]:
        """Rows about these people; `more` begins with AND."""
        condition, keys = self.condition(column)
        rest = f"FROM {table} WHERE +project = ? AND {condition} {more}"
        return self.dialect.rows(conn, columns, rest, self.project, *keys, *values)

    def condition(self, column: str) -> tuple[str, tuple[object, ...]]:
        """That a column names one of these people, with its values."""
        if self.query.span is not None:
            return f"{column} BETWEEN ? AND ?", self.query.span
        return f"{column} {self.dialect.within('bigint')}", (self.dialect.listed(self.query.users or ()),)


def load_facts(conn: Connection, dialect: Dialect, project: Key, query: FactsQuery) -> Facts:
    """See `ports.Steps.facts`."""
    people = _People(dialect, project, query)
    preferences = _preferences(conn, people) if query.preferences else {}
    zones: dict[Key, str] | None = {} if query.zones or any(each.quiet_hours for each in preferences.values()) else None
    targets = _targets(conn, people, zones)
    consents = _consents(conn, people, query.categories)
    nothing: dict[tuple[str, str], bool] = {}
    # Sorted here: for an order of its own the engine would look at each row twice.
    known = sorted(people.rows(conn, _PERSON, "person", "key"))
    recipients = [
        Recipient(
            key,
            user_id,
            locale,
            timezone,
            attributes,
            targets.get(key) or [],
            consents.get(key, nothing),
            preferences.get(key),
            None if zones is None else timezone or zones.get(key),
        )
        for key, user_id, locale, timezone, attributes in known
    ]
    facts = Facts(
        recipients,
        _sent_content(conn, people, query.content),
        events=_events(conn, people, query.events, query.events_since),
    )
    if query.crowds:
        keys = [one.key for one in recipients]
        members = {crowd.name: members_of(conn, project, crowd, keys) for crowd in query.crowds}
        facts = msgspec.structs.replace(facts, members=members)
    if query.once:
        facts = msgspec.structs.replace(facts, decided=_decided(conn, people))
    if query.runs is not None:
        keys = [one.key for one in recipients]
        facts = msgspec.structs.replace(facts, runs=load_runs(conn, dialect, project, keys, query.runs))
    if query.again:
        begun, chosen = _before(conn, people, query.again)
        facts = msgspec.structs.replace(facts, begun=begun, chosen=chosen)
    if query.caps is not None:
        rows = partial(people.rows, conn)
        taken, waiting = load_taken(rows, query.caps), load_waiting(conn, rows, project, query.caps)
        facts = msgspec.structs.replace(facts, taken=taken, waiting=waiting)
    if query.collected:
        collected: dict[Key, list[Collected]] = {}
        for one in load_collected(partial(people.rows, conn)):
            collected.setdefault(one.user, []).append(one)
        facts = msgspec.structs.replace(facts, collected=collected)
    return facts


def collected(conn: Connection, dialect: Dialect, project: Key, users: Sequence[Key]) -> list[Collected]:
    """See `ports.Steps.collected`."""
    people = _People(dialect, project, FactsQuery(users=users))
    return load_collected(partial(people.rows, conn))


def _targets(conn: Connection, people: _People, zones: dict[Key, str] | None) -> dict[Key, list[Target]]:
    """Their active devices; into `zones`, if it is there, goes the time zone of the one that was seen last."""
    columns, more = ("person", "key", "kind", "permission", "locale", "lane"), "AND state = 'active'"
    found: dict[Key, list[Target]] = {}
    if zones is None:
        rows = people.rows(conn, columns, "device", "person", more)
    else:
        rows = people.rows(conn, (*columns, "timezone", "registered_at"), "device", "person", more)
        _note_zones(rows, zones)
    several = set()
    for row in rows:
        person, key, kind, permission, locale, lane = row[:6]
        target = Target(key, _KINDS[kind], _PERMISSIONS[permission], locale, lane)
        if person in found:
            found[person].append(target)
            several.add(person)
        else:
            found[person] = [target]
    for person in several:
        found[person].sort(key=_by_key)
    return found


_by_key, _by_person = attrgetter("key"), itemgetter(0)


def _note_zones(devices: Sequence[Row], zones: dict[Key, str]) -> None:
    """Rows end with a device's zone and when it was seen; one that registers again was, with or without news.

    Of two that were seen at the same moment the younger counts.
    """
    told = [row for row in devices if row[-2] is not None]
    zones.update({row[0]: row[-2] for row in told})
    if len(zones) == len(told):
        return
    counts = Counter(map(_by_person, told))
    seen: dict[Key, tuple[Millis, Key]] = {}
    for row in told:
        person = row[0]
        if counts[person] > 1 and (person not in seen or (row[-1], row[1]) > seen[person]):
            zones[person], seen[person] = row[-2], (row[-1], row[1])


def _preferences(conn: Connection, people: _People) -> dict[Key, PersonPreference]:
    rows = people.rows(conn, ("person", *PREFERENCES), "person_preference", "person")
    return {person: preference(*columns) for person, *columns in rows}


def _consents(conn: Connection, people: _People, categories: Sequence[str]) -> dict[Key, dict[tuple[str, str], bool]]:
    """The last word of each; lines come in the order they were written. Who said the same share a dictionary."""
    found: dict[Key, dict[tuple[str, str], bool]] = {}
    if categories:
        named, about = people.dialect.within("text"), people.dialect.listed(categories)
        columns = ("person", "category", "channel", "granted")
        alone: dict[Row, dict[tuple[str, str], bool]] = {}
        for person, category, channel, granted in people.rows(
            conn, columns, "consent", "person", f"AND category {named} ORDER BY person, key", about
        ):
            line = category, channel, granted
            if person in found:
                found[person] = {**found[person], (category, channel): bool(granted)}
            elif line in alone:
                found[person] = alone[line]
            else:
                found[person] = alone[line] = {(category, channel): bool(granted)}
    return found


def _sent_content(conn: Connection, people: _People, content: Sequence[int]) -> dict[tuple[Key, int], Millis]:
    if not content:
        return {}
    named, hashes = people.dialect.within("bigint"), people.dialect.listed(content)
    rows = people.rows(conn, ("person", "hash", "at"), "sent_content", "person", f"AND hash {named}", hashes)
    return {(person, hash): at for person, hash, at in rows}


def _events(
    conn: Connection, people: _People, names: Sequence[str], since: Millis
) -> dict[tuple[Key, str], list[Happened]]:
    """What happened to them, of these names, since then."""
    found: dict[tuple[Key, str], list[Happened]] = {}
    if names:
        named, about = people.dialect.within("text"), people.dialect.listed(names)
        columns = ("person", "name", "key", "occurred_at", "CAST(properties AS TEXT)")
        condition, keys = people.condition("person")
        condition += f" AND occurred_at >= ? AND name {named}"
        theirs, values = of_people(conn, condition, *keys, since, about)
        rest = f"FROM event WHERE +project = ? AND {theirs} ORDER BY key"
        for person, name, key, at, properties in people.dialect.rows(conn, columns, rest, people.project, *values):
            found.setdefault((person, name), []).append(Happened(key, at, properties))
    return found


def _decided(conn: Connection, people: _People) -> frozenset[tuple[Key, Key]]:
    """Mostly nothing, looked for in the order of the key."""
    named, keys = people.dialect.within("bigint"), people.dialect.listed(people.query.once)
    condition, whom = people.condition("person")
    rest = f"FROM decision WHERE project = ? AND notification {named} AND {condition}"
    if people.query.held:
        rest += f" AND reason NOT IN ({_HOLDS})"
    return frozenset(people.dialect.rows(conn, ("notification", "person"), rest, people.project, keys, *whom))


def _before(
    conn: Connection, people: _People, notifications: Sequence[Key]
) -> tuple[frozenset[tuple[Key, Key, Key]], dict[tuple[Key, Key], Millis]]:
    """What became of them before: deliveries that are under way or done, and decisions to send."""
    named, keys = people.dialect.within("bigint"), people.dialect.listed(notifications)
    condition, whom = people.condition("person")
    lost = f"{int(DeliveryState.FAILED)}, {int(DeliveryState.EXPIRED)}"
    rest = f"FROM delivery WHERE project = ? AND notification {named} AND {condition} AND state NOT IN ({lost})"
    begun = people.dialect.rows(conn, ("notification", "person", "device"), rest, people.project, keys, *whom)
    more = f"AND notification {named} AND reason = '{Reason.SEND}'"
    chosen = people.rows(conn, ("notification", "person", "at"), "decision", "person", more, keys)
    return frozenset(begun), {(notification, person): at for notification, person, at in chosen}


def load_asked(
    conn: Connection, dialect: Dialect, project: Key, users: Sequence[Key], *, zones: bool
) -> dict[Key, Asked]:
    """See `ports.Steps.asked`."""
    people = _People(dialect, project, FactsQuery(users=users))
    preferences = _preferences(conn, people)
    where = users if zones else sorted(user for user, asked in preferences.items() if asked.quiet_hours)
    told = _zones(conn, _People(dialect, project, FactsQuery(users=where))) if where else {}
    return {user: Asked(preferences.get(user), told.get(user)) for user in preferences.keys() | told.keys()}


def _zones(conn: Connection, people: _People) -> dict[Key, str]:
    """Their own time zones, else those of the active devices that were seen last."""
    zones: dict[Key, str] = {}
    columns, more = ("person", "key", "timezone", "registered_at"), "AND state = 'active' AND timezone IS NOT NULL"
    _note_zones(people.rows(conn, columns, "device", "person", more), zones)
    own = people.rows(conn, ("key", "timezone"), "person", "key", "AND timezone IS NOT NULL")
    return {**zones, **dict(own)}


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
    people = _People(dialect, project, FactsQuery(users=users))
    columns = ("person", "category", "channel", "granted")
    rows = people.rows(conn, columns, "consent", "person", "AND at >= ? ORDER BY key", since)
    return {(person, category, channel): bool(granted) for person, category, channel, granted in rows}


def paused(conn: Connection, dialect: Dialect, project: Key, users: Sequence[Key], now: Millis) -> frozenset[Key]:
    """See `ports.Steps.paused`."""
    people = _People(dialect, project, FactsQuery(users=users))
    rows = people.rows(conn, ("person",), "person_preference", "person", "AND marketing_paused_until > ?", now)
    return frozenset(person for (person,) in rows)


def user_span(conn: Connection, project: Key, after: Key, size: int, limit: int) -> list[tuple[Key, Key]]:
    """See `ports.Steps.user_span`."""
    spans: list[tuple[Key, Key]] = []
    while len(spans) < limit:
        first, last, count = conn.execute(_SPAN, {"project": project, "after": after, "size": size}).one()
        if count:
            spans.append((first, last))
        if count < size:
            break
        after = last
    return spans
