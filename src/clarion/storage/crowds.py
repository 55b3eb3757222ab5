"""Who is in a crowd, as one SQL statement: a rule over people, with a joined relation for each part about their rows.

A part about events, devices, consents or lists is a relation of the people of whom it holds, each once, joined from the
left: `person` has a row there, or none. So `and`, `or` and `not` stay what they are, and an engine makes of them what
costs least, joins and anti-joins mostly. Where it is asked about few people, every relation looks at them only.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    any_,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from clarion.model import Key, Millis, Rule
from clarion.model import segments as rules
from clarion.ports import Crowd
from clarion.storage.database import by_other_index, to_json
from clarion.storage.json_values import (
    Condition,
    JsonValues,
    PostgresValues,
    SqliteValues,
    big,
    column_compares,
)
from clarion.storage.person_events import happened
from clarion.storage.schema import consent, device, event, person, roster, roster_member

_MOST_JOINS = 60
"""SQLite joins 64 tables at most: what is beyond is looked up."""
Scope = Callable[[ColumnElement[int]], Condition]
"""That a column names one of the people who are asked about."""


def matching(conn: Connection, project: Key, crowd: Crowd, users: Sequence[Key] | None = None) -> Select[tuple[Key]]:
    """The keys of the people in a crowd, in no order; of `users` only, if they are named."""
    postgres = conn.dialect.name == "postgresql"
    scope = None if users is None else _among(users, postgres=postgres)
    statement = _Statement(project, crowd, PostgresValues() if postgres else SqliteValues(), scope)
    holds = statement.condition(crowd.rule)
    return select(person.c.key).select_from(statement.source).where(*statement.mine(person, person.c.key), holds)


def is_list(crowd: Crowd) -> bool:
    """Whether it is one list that is kept, which may be short: its people are looked up one by one."""
    match crowd.rule:
        case rules.Subscribed():
            return True
        case rules.InSegment(segment=name):
            return crowd.segments.get(name) is None
        case _:
            return False


def _among(users: Sequence[Key], *, postgres: bool) -> Scope:
    """However many they are, they are one parameter."""
    if postgres:
        keys = literal(list(users), ARRAY(BigInteger))
        return lambda column: column == any_(keys)
    listed = func.json_each(to_json(list(users))).table_valued("value")
    return lambda column: column.in_(select(listed.c.value))


class _Statement:
    """Grows by a join with each part of the rule."""

    def __init__(self, project: Key, crowd: Crowd, values: JsonValues, scope: Scope | None) -> None:
        self._project, self._crowd, self._values, self._scope = project, crowd, values, scope
        self.source: FromClause = person
        self._joined = 0
        self._did_after: dict[str, Millis] = {}  # whoever else it may be, they did these since then

    def condition(self, rule: Rule) -> Condition:  # noqa: C901, PLR0911 - a line for each kind of rule
        """True or false of each row of `person`; never unknown."""
        match rule:
            case rules.AllOf():
                return self._all_of(rule.rules)
            case rules.AnyOf():
                return or_(*(self.condition(one) for one in rule.rules))
            case rules.Not():
                return ~self.condition(rule.rule)
            case rules.Attribute():
                return self._values.compares(person.c.attributes, rule.attribute, rule.op, rule.value)
            case rules.Profile():
                column = person.c.id if rule.field == "user_id" else person.c[rule.field]
                return column_compares(column, rule.op, rule.value)
            case rules.FirstSeen():
                return _within(person.c.created_at, *self._window(rule))
            case rules.Percent():
                return _in_slice(rule)
            case rules.InSegment():
                return self._in_segment(rule.segment)
            case rules.Subscribed():
                return self._joins(self._on_list("topic", rule.topic))
            case rules.HasDevice():
                return self._joins(self._devices(rule))
            case rules.Consented():
                return self._consented(rule)
            case _:
                return self._happened(rule)

    def _all_of(self, parts: Sequence[Rule]) -> Condition:
        """What one part says of when something was done, the others need not look beyond."""
        known = self._did_after
        self._did_after = known | _did_after(parts, self._crowd.now)
        conditions = [self.condition(one) for one in parts]
        self._did_after = known
        return and_(*conditions)

    def _joins(self, relation: Select[Any]) -> Condition:
        """`relation`: people, as `person`, each at most once."""
        if self._joined == _MOST_JOINS:
            return person.c.key.in_(relation)
        self._joined += 1
        joined = relation.subquery(f"part{self._joined}")
        self.source = self.source.outerjoin(joined, joined.c.person == person.c.key)
        return joined.c.person.is_not(None)

    def mine(self, table: Any, who: ColumnElement[int]) -> list[Condition]:
        """Rows of the project, and of those who are asked about.

        PostgreSQL knows from its statistics that the people's index is the better one then; SQLite is told.
        """
        if self._scope is None:
            return [table.c.project == self._project]
        told = isinstance(self._values, SqliteValues)
        project = by_other_index(table.c.project) if told else table.c.project
        return [project == self._project, self._scope(who)]

    def _window(
        self, rule: rules.FirstSeen | rules.Did | rules.DidNot | rules.First | rules.Last
    ) -> tuple[Any, Millis]:
        """Later than the first, if there is one, and not later than the second."""
        now = self._crowd.now
        after = None if rule.within is None else now - rule.within.ms
        return after, now if rule.before is None else now - rule.before.ms

    # --- lists, devices, consents -------------------------------------------------------------------------------------

    def _in_segment(self, name: str) -> Condition:
        if name not in self._crowd.segments:
            return literal(value=False)
        rule = self._crowd.segments[name]
        return self._joins(self._on_list("list", name)) if rule is None else self.condition(rule)

    def _on_list(self, kind: str, name: str) -> Select[Any]:
        named = roster.c.name == name
        if kind == "topic":
            named = or_(named, func.substr(roster.c.name, 1, len(name) + 1) == f"{name}/")
        lists = select(roster.c.key).where(roster.c.project == self._project, roster.c.kind == kind, named)
        where: list[Condition] = [roster_member.c.roster.in_(lists)]
        if self._scope is not None:
            where.append(self._scope(roster_member.c.person))
        return select(roster_member.c.person).where(*where).distinct()

    def _devices(self, rule: rules.HasDevice) -> Select[Any]:
        where = [*self.mine(device, device.c.person), device.c.state == "active"]
        if rule.kinds is not None:
            where.append(device.c.kind.in_([kind.value for kind in rule.kinds]))
        if rule.permissions is not None:
            where.append(device.c.permission.in_([one.value for one in rule.permissions]))
        where += [column_compares(device.c[one.field], one.op, one.value) for one in rule.where]
        return select(device.c.person).where(*where).distinct()

    def _consented(self, rule: rules.Consented) -> Condition:
        about = [
            *self.mine(consent, consent.c.person),
            consent.c.category == rule.category,
            consent.c.channel == rule.channel.value,
        ]
        if rule.state == "unsaid":
            return ~self._joins(select(consent.c.person).where(*about).distinct())
        last = select(func.max(consent.c.key).label("key")).where(*about).group_by(consent.c.person).subquery()
        word = select(consent.c.person).join(last, last.c.key == consent.c.key)
        return self._joins(word.where(consent.c.granted.is_(rule.state == "granted")))

    # --- events -------------------------------------------------------------------------------------------------------

    def _happened(self, rule: rules.Did | rules.DidNot | rules.First | rules.Last) -> Condition:
        after, until = self._window(rule)
        match rule:
            case rules.First():
                return self._joins(self._events(rule, None, until, lambda at: _later(func.min(at), after)))
            case rules.Last():
                # Who has none after `after` has their last one before it, whatever is older.
                return self._joins(self._events(rule, after, self._crowd.now, lambda at: [func.max(at) <= until]))
            case rules.DidNot():
                return ~self._joins(self._events(rule, after, until))
        found, times = self._events(rule, after, until), func.count()
        if rule.at_least == 0:  # none at all is fine, too: everybody but those who did it too often
            return literal(value=True) if rule.at_most is None else ~self._joins(found.having(times > rule.at_most))
        if rule.at_least > 1:
            found = found.having(times >= rule.at_least)
        return self._joins(found if rule.at_most is None else found.having(times <= rule.at_most))

    def _events(
        self, rule: Any, after: Millis | None, until: Millis, having: Callable[[Any], list[Condition]] | None = None
    ) -> Select[Any]:
        """A group of events for each person who has any; `having`: what must hold of their times."""
        since: rules.Since | None = getattr(rule, "since", None)
        if since is not None and since.last in self._did_after:
            after = max(after or 0, self._did_after[since.last])
        rows, where = self._rows(rule.event, after, until, properties=bool(rule.where))
        where += [self._values.compares(rows.c.properties, one.property, one.op, one.value) for one in rule.where]
        source: FromClause = rows
        if since is not None:
            began = self._began(since.last)
            # From the left, whatever SQLite thinks: it would look for each person's events among everybody's.
            source = rows.join(began, began.c.person == rows.c.person, isouter=True)
            where.append(func.coalesce(rows.c.occurred_at >= began.c.at, literal(value=False)))
        found = select(rows.c.person).select_from(source).where(*where).group_by(rows.c.person)
        return found if having is None else found.having(*having(rows.c.occurred_at))

    def _began(self, name: str) -> FromClause:
        """When each person did it the last time."""
        rows, where = self._rows(name, self._did_after.get(name), self._crowd.now)
        at = func.max(rows.c.occurred_at).label("at")
        return select(rows.c.person, at).where(*where).group_by(rows.c.person).subquery()

    def _rows(
        self, name: str | None, after: Millis | None, until: Millis, *, properties: bool = False
    ) -> tuple[FromClause, list[Condition]]:
        """Where events of this name are, None: of all names, and what must still be asked for of them."""

        def meets(of: Any) -> list[Condition]:
            found = [*self.mine(of, of.c.person), *_later(of.c.occurred_at, after), of.c.occurred_at <= until]
            return found if name is None else [*found, of.c.name == name]

        if self._scope is None or not isinstance(self._values, SqliteValues):
            return event, meets(event)
        return happened(meets, properties=properties), []


def _did_after(parts: Sequence[Rule], now: Millis) -> dict[str, Millis]:
    """Events that everybody has of whom all of this holds, and since when: the last of them is not older."""
    found: dict[str, Millis] = {}
    for one in parts:
        if not isinstance(one, rules.Did | rules.First | rules.Last) or one.event is None or one.within is None:
            continue
        if not isinstance(one, rules.Did) or one.at_least:
            found[one.event] = max(found.get(one.event, 0), now - one.within.ms)
    return found


def _later(at: ColumnElement[Any], after: Millis | None) -> list[Condition]:
    return [] if after is None else [at > after]


def _within(at: ColumnElement[Any], after: Millis | None, until: Millis) -> Condition:
    return and_(*_later(at, after), at <= until)


def _in_slice(rule: rules.Percent) -> Condition:
    by, plus = rules.deal(rule.key)
    place = (person.c.bucket * big(by) + big(plus)) % big(rules.BUCKETS)
    first, end = rules.slice_of(rule)
    return and_(place >= big(first), place < big(end))
