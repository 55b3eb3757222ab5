"""SQL membership equals a plain reading of the rule, whoever the people and whatever the rule, on every engine."""

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.journey import segments
from clarion.model import (
    Channel,
    Consent,
    DeviceKind,
    Event,
    Key,
    Permission,
    Project,
    Registration,
    Rule,
    Segment,
    UserChange,
)
from clarion.model import segments as rules
from clarion.model.segments import Duration, Operator
from clarion.ports import Crowd, FactsQuery, Store
from clarion.testing import ManualClock, MemoryStore
from contract.support import new_project

NOW = 1_800_000_000_000
DAY = 86_400_000
NAMES = ("order", "cart_added", "visit")
TOPICS = ("sport", "sport/football", "sport/football/arsenal", "sports", "news")
CATEGORIES = ("offers", "orders")
WORDS = st.sampled_from(["", "gold", "silver", "Gold", "go", "ö", "1", "true", "a'b%_", "日本", "2026-01-02"])
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.1, 0.5, 1.0, 2.5, -0.25, 1e15, 2**53, -(2**53)]))
SCALARS = st.one_of(WORDS, NUMBERS, st.booleans())
LABELS = st.sampled_from(["plan", "age", "a.b", "tags", "größe", "it's", "$x[0]"])
# Moments at which windows begin and end, and one millisecond beside them.
AGES = st.sampled_from([0, 1, DAY - 1, DAY, DAY + 1, 3 * DAY, 10 * DAY, -1, -DAY])
DURATIONS = st.sampled_from([Duration(seconds=1), Duration(days=1), Duration(hours=72), Duration(days=11)])
OPTIONAL = {"within": st.none() | DURATIONS, "before": st.none() | DURATIONS}


def documents() -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(SCALARS, max_size=3)
    return st.dictionaries(LABELS, st.one_of(SCALARS, lists, st.dictionaries(LABELS, SCALARS, max_size=1)), max_size=3)


PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "attributes": documents(),
            "locale": st.sampled_from([None, "de", "de-AT", "en"]),
            "age": AGES.filter(lambda age: age >= 0),
            "events": st.lists(st.tuples(st.sampled_from(NAMES), AGES, documents()), max_size=5),
            "devices": st.lists(
                st.tuples(
                    st.sampled_from([DeviceKind.APNS, DeviceKind.FCM]),
                    st.sampled_from([Permission.GRANTED, Permission.DENIED]),
                    st.sampled_from([None, "1.2", "2.0"]),
                ),
                max_size=2,
            ),
            "consents": st.lists(
                st.tuples(st.sampled_from(CATEGORIES), st.sampled_from([Channel.PUSH, Channel.EMAIL]), st.booleans()),
                max_size=3,
            ),
            "topics": st.lists(st.sampled_from(TOPICS), max_size=2, unique=True),
            "listed": st.booleans(),
        }
    ),
    min_size=1,
    max_size=6,
)


@st.composite
def comparisons(draw: st.DrawFn, scalars: st.SearchStrategy[Any] = SCALARS, **names: Any) -> dict[str, Any]:
    op = draw(st.sampled_from(list(Operator)))
    match op:
        case Operator.EXISTS | Operator.NOT_EXISTS:
            value = None
        case Operator.IN | Operator.NOT_IN:
            value = draw(st.lists(scalars, min_size=1, max_size=3))
        case Operator.GT | Operator.GTE | Operator.LT | Operator.LTE:
            value = draw(WORDS | NUMBERS if scalars is SCALARS else WORDS)
        case Operator.STARTS_WITH:
            value = draw(WORDS.filter(bool))
        case Operator.CONTAINS:
            value = draw(scalars.filter(lambda one: one != ""))
        case _:
            value = draw(scalars)
    return {**{name: draw(label) for name, label in names.items()}, "op": op, "value": value}


def parts() -> st.SearchStrategy[Rule]:
    """Rules without others inside."""
    where = st.lists(comparisons(property=LABELS).map(lambda told: rules.PropertyCondition(**told)), max_size=2)
    events = {"event": st.none() | st.sampled_from(NAMES), "where": where, **OPTIONAL}
    since = st.none() | st.sampled_from(NAMES).map(lambda name: rules.Since(last=name))
    texts = comparisons(WORDS, field=st.sampled_from(["user_id", "locale", "timezone"]))
    of_device = comparisons(WORDS, field=st.just("app_version"))
    return st.one_of(
        comparisons(attribute=LABELS).map(lambda told: rules.Attribute(**told)),
        texts.map(lambda told: rules.Profile(**told)),
        st.builds(rules.FirstSeen, **OPTIONAL),
        st.builds(rules.Did, at_least=st.integers(0, 3), at_most=st.none() | st.integers(0, 3), since=since, **events),
        st.builds(rules.DidNot, since=since, **events),
        st.builds(rules.First, **events),
        st.builds(rules.Last, **events),
        st.builds(
            rules.HasDevice,
            kinds=st.none() | st.just([DeviceKind.APNS]),
            permissions=st.none() | st.just([Permission.GRANTED]),
            where=st.lists(of_device.map(lambda told: rules.DeviceCondition(**told)), max_size=1),
        ),
        st.builds(
            rules.Consented,
            category=st.sampled_from(CATEGORIES),
            channel=st.sampled_from([Channel.PUSH, Channel.EMAIL]),
            state=st.sampled_from(["granted", "refused", "unsaid"]),
        ),
        st.builds(rules.InSegment, segment=st.sampled_from(["list", "other", "nobody"])),
        st.builds(rules.Subscribed, topic=st.sampled_from(TOPICS)),
        st.builds(
            rules.Percent,
            percent=st.floats(0.1, 50),
            from_=st.floats(0, 50),
            key=st.sampled_from(["", "welcome"]),
        ),
    ).filter(is_right)


def is_right(rule: Rule) -> bool:
    """As the door would let it in."""
    told = msgspec.convert(msgspec.to_builtins(rule), Rule)
    known = {
        name: Segment(name=name, rule=rules.FirstSeen(within=Duration(days=1))) for name in ("list", "other", "nobody")
    }
    return not segments.check(Segment(name="s", rule=told), known, CATEGORIES, TOPICS)


RULES = st.recursive(
    parts(),
    lambda inner: st.one_of(
        st.builds(rules.AllOf, rules=st.lists(inner, min_size=1, max_size=3)),
        st.builds(rules.AnyOf, rules=st.lists(inner, min_size=1, max_size=3)),
        st.builds(rules.Not, rule=inner),
    ),
    max_leaves=4,
)


@st.composite
def abandoned(draw: st.DrawFn) -> Rule:
    """Did one thing in a window, and another one since, or not: what the first part says bounds what is looked up."""
    first, then = draw(st.permutations(NAMES[:2]))
    when = {"event": first, "within": draw(DURATIONS), "before": draw(st.none() | DURATIONS)}
    doing = [
        rules.Did(at_least=draw(st.integers(0, 2)), at_most=2, **when),
        rules.First(**when),
        rules.Last(**when),
    ]
    since = {"event": draw(st.sampled_from([first, then, then])), "since": rules.Since(last=first)}
    later = [
        rules.Did(within=draw(st.none() | DURATIONS), **since),
        rules.Did(at_least=2, **since),
        rules.DidNot(**since),
    ]
    rule = rules.AllOf(rules=draw(st.permutations([draw(st.sampled_from(doing)), draw(st.sampled_from(later))])))
    return draw(st.sampled_from([rule, rules.Not(rule=rule), rules.AnyOf(rules=[rule, later[0]])]))


SHOPPERS = st.lists(
    st.fixed_dictionaries(
        {
            **{
                name: st.just(none)
                for name, none in (("attributes", {}), ("locale", None), ("age", 0), ("listed", False))
            },
            **{name: st.just([]) for name in ("devices", "consents", "topics")},
            "events": st.lists(st.tuples(st.sampled_from(NAMES[:2]), AGES, st.just({})), min_size=2, max_size=5),
        }
    ),
    min_size=3,
    max_size=8,
)


_numbers = count()


async def filled(store: Store, people: list[dict[str, Any]]) -> Project:
    """A project of its own for each example."""
    project = await new_project(store, f"p{next(_numbers)}")
    await asyncio.gather(*(_add(store, project.key, f"u{index}", one) for index, one in enumerate(people)))
    return project


async def _add(store: Store, project: Key, user_id: str, told: dict[str, Any]) -> None:
    change = UserChange(attributes=told["attributes"], locale=told["locale"])
    user, _ = await store.users.put(project, user_id, change, NOW - told["age"])
    events = [
        Event(user_id=user_id, name=name, properties=properties, occurred_at=NOW - age)
        for name, age, properties in told["events"]
    ]
    await store.events.add(project, events, frozenset(), NOW)
    for number, (kind, permission, version) in enumerate(told["devices"]):
        device = Registration(
            kind=kind, address=f"{project}-{user_id}-{number}", permission=permission, app_version=version
        )
        await store.devices.register(project, user.key, device, f"{project}-{user_id}-{number}", NOW)
    lines = [
        Consent(user=user.key, category=category, channel=channel, granted=granted, source="test", at=NOW)
        for category, channel, granted in told["consents"]
    ]
    await store.consents.append(project, lines)
    for topic in told["topics"]:
        await store.audiences.add(project, "topic", topic, [user_id], NOW)
    if told["listed"]:
        await store.audiences.add(project, "list", "list", [user_id], NOW)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[tuple[Store, asyncio.Runner]]:
    from clarion.storage.postgres import PostgresStore  # noqa: PLC0415 - only when it is there
    from clarion.storage.sqlite import SqliteStore  # noqa: PLC0415 - the same

    if request.param == "sqlite":
        store: Store = SqliteStore(request.getfixturevalue("sqlite_folder"), now=clock.now)
    else:
        store = PostgresStore(request.getfixturevalue("postgres_url"), now=clock.now)
    with asyncio.Runner() as runner:
        runner.run(store.open())
        yield store, runner
        runner.run(store.close())


def test_sql_membership_is_the_plain_reading(engine: tuple[Store, asyncio.Runner], clock: ManualClock) -> None:
    store, runner = engine

    @settings(max_examples=50, suppress_health_check=list(HealthCheck))
    @given(people=PEOPLE, chosen=st.lists(RULES, min_size=1, max_size=4), other=RULES)
    def check(people: list[dict[str, Any]], chosen: list[Rule], other: Rule) -> None:
        runner.run(_compare(store, MemoryStore(clock), people, chosen, other))

    check()


def test_what_was_done_since_is_the_plain_reading(engine: tuple[Store, asyncio.Runner], clock: ManualClock) -> None:
    store, runner = engine

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(people=SHOPPERS, chosen=st.lists(abandoned().filter(is_right), min_size=3, max_size=6))
    def check(people: list[dict[str, Any]], chosen: list[Rule]) -> None:
        runner.run(_compare(store, MemoryStore(clock), people, chosen, rules.FirstSeen(within=Duration(days=2))))

    check()


async def _compare(
    store: Store, reference: Store, people: list[dict[str, Any]], chosen: list[Rule], other: Rule
) -> None:
    project, plain = await filled(store, people), await filled(reference, people)
    known: dict[str, Rule | None] = {"list": None, "other": _without_segments(other)}
    sizes = await store.audiences.counts(project.key, [Crowd("crowd", rule, known, NOW) for rule in chosen])
    for rule, size in zip(chosen, sizes, strict=True):
        crowd = Crowd("crowd", rule, known, NOW)
        found = await _ids(store, project.key, crowd)
        assert size == len(found), rule
        reach = await store.audiences.reach(project.key, crowd)
        assert reach == await reference.audiences.reach(plain.key, crowd), rule
        assert found == await _ids(reference, plain.key, crowd), rule
        assert await store.audiences.count(project.key, crowd) == len(found)
        assert await _members(store, project.key, crowd, len(people)) == found
        listed = {f"u{index}" for index, told in enumerate(people) if told["listed"]}
        assert await _unlike(store, project.key, crowd) == sorted((id, id in found) for id in listed ^ set(found))


def _without_segments(rule: Rule) -> Rule:
    """What another segment may be: one that leads nowhere."""
    places = [one for _, one in segments.walk(rule, "rule") if isinstance(one, rules.InSegment)]
    return rules.FirstSeen(within=Duration(days=2)) if places else rule


async def _ids(store: Store, project: Key, crowd: Crowd) -> list[str]:
    keys: list[Key] = []
    while page := await store.audiences.keys(project, crowd, keys[-1] if keys else 0, 2):
        keys += page
    assert keys == sorted(set(keys))
    return sorted((await store.users.ids(project, keys)).values())


async def _unlike(store: Store, project: Key, crowd: Crowd) -> list[tuple[str, bool]]:
    moved: list[tuple[Key, bool]] = []
    while page := await store.audiences.unlike(project, crowd, "list", "list", moved[-1][0] if moved else 0, 2):
        moved += page
    assert [key for key, _ in moved] == sorted({key for key, _ in moved})
    ids = await store.users.ids(project, [key for key, _ in moved])
    return sorted((ids[key], is_in) for key, is_in in moved)


async def _members(store: Store, project: Key, crowd: Crowd, people: int) -> list[str]:
    """Asked as deciding asks: of some people at once, by key."""
    named = await store.users.resolve(project, [f"u{index}" for index in range(people)], NOW, create=False)
    members = (await store.steps.facts(project, FactsQuery(users=sorted(named.values()), crowds=[crowd]))).members[
        crowd.name
    ]
    return sorted(user_id for user_id, key in named.items() if key in members)
