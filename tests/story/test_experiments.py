"""Experiments, from the first wording to the winner: on every engine, by the manual clock."""

import asyncio
from collections import Counter

import msgspec
import pytest

from clarion.intelligence.experiments import Counts
from clarion.journey.experiments import variants
from clarion.journey.experiments.results import Arm, Results, clear_best
from clarion.journey.experiments.winning import results_of
from clarion.model import (
    Audience,
    Event,
    Experiment,
    Goal,
    Holdout,
    Message,
    Notification,
    Reason,
    ReceiptKind,
    Variant,
    Winner,
)
from clarion.ports import Outgoing, Store
from clarion.testing import ManualClock, SeededChance
from story.world import World, payload

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NAMES = [f"user-{number}" for number in range(60)]
A_AND_B = [Variant(key="a", title="Plain"), Variant(key="b", title="Hello {{ user.user_id }}")]
BOUGHT = Goal(event="bought", within_s=3_600)


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    return await World(store, clock, chance).begin()


async def shoppers(world: World, names: list[str] = NAMES) -> None:
    for name in names:
        await world.subscribe(name)


async def chosen(world: World, notification: Notification) -> dict[str, str]:
    """Who was sent which variant, by the record."""
    decisions = await world.decisions(notification)
    return {one.user_id: variants.told(one.gates).key or "" for one in decisions if one.reason is Reason.SEND}


def seen(world: World, start: int = 0) -> dict[str, str]:
    """Title by person, of what was handed to the push service, each person once."""
    titles = {address_of(one): payload(one)["title"] for one in world.browser.sent[start:]}
    assert len(titles) == len(world.browser.sent) - start
    return titles


def address_of(message: Outgoing) -> str:
    return message.address.address.rpartition("/")[2]


async def buys(world: World, *names: str) -> None:
    now = world.clock.now()
    await world.pipeline.ingest(world.project, [Event(user_id=name, name="bought", occurred_at=now) for name in names])


async def results(world: World, notification: Notification) -> Results:
    return await results_of(world.store, notification, world.clock.now())


def arms(found: Results) -> dict[str, Arm]:
    return {arm.key: arm for arm in found.arms}


def of(variant: str, who: dict[str, str]) -> list[str]:
    return sorted(name for name, key in who.items() if key == variant)


async def test_everybody_gets_one_wording_and_the_same_again(world: World) -> None:
    await shoppers(world)
    spring = Experiment(key="spring")
    first = await world.notify(*NAMES, title=None, variants=A_AND_B, experiment=spring)
    await world.work()
    who = await chosen(world, first)
    assert sorted(who) == sorted(NAMES)
    assert Counter(who.values())["a"] in range(18, 43)
    assert seen(world) == {name: "Plain" if who[name] == "a" else f"Hello {name}" for name in NAMES}

    other_words = [Variant(key="b", title="Bee"), Variant(key="a", title="Aye")]
    again = await world.notify(*NAMES, variants=other_words, experiment=spring)
    another = await world.notify(*NAMES, variants=A_AND_B)
    await world.work()
    assert await chosen(world, again) == who
    assert await chosen(world, another) != who
    chapters = await world.pipeline.story(world.project, NAMES[0], first.id)
    gates = [gate for chapter in chapters for gate in chapter.detail.get("gates", ())]
    assert ["variant", "pass", who[NAMES[0]]] in gates


async def test_more_weight_brings_people_in_and_takes_nobody_away(world: World) -> None:
    await shoppers(world)
    even = await world.notify(*NAMES, variants=A_AND_B, experiment=Experiment(key="w"))
    more_b = [A_AND_B[0], msgspec.structs.replace(A_AND_B[1], weight=3)]
    later = await world.notify(*NAMES, variants=more_b, experiment=Experiment(key="w"))
    only_a = [A_AND_B[0], msgspec.structs.replace(A_AND_B[1], weight=0)]
    last = await world.notify(*NAMES, variants=only_a, experiment=Experiment(key="w"))
    await world.work()
    before, after = await chosen(world, even), await chosen(world, later)
    assert set(of("b", before)) < set(of("b", after))
    assert await chosen(world, last) == dict.fromkeys(NAMES, "a")


async def test_a_dry_run_tells_who_would_get_what(world: World) -> None:
    await shoppers(world)
    texts = {"en": {"title": "Tea", "body": "Now"}}
    await world.define("templates", name="tea", version=1, default_locale="en", locales=texts)
    wordings = [A_AND_B[0], Variant(key="b", template="tea")]
    message = Message(variants=wordings, experiment=Experiment(key="dry"))
    trial = await world.pipeline.dry_run(world.project, message, Audience(users=[*NAMES, "a stranger"]))
    sent = await world.notify(*NAMES, variants=wordings, experiment=Experiment(key="dry"))
    await world.work()
    who = await chosen(world, sent)
    assert trial.variants == dict(Counter(who.values()))
    assert {one.user_id: one.variant for one in trial.decisions} == {**who, "a stranger": None}


async def test_a_variant_says_it_in_a_template_and_pictures_of_its_own(world: World) -> None:
    await shoppers(world)
    texts = {"en": {"title": "From a template", "body": "{{ data.n }}"}}
    await world.define("templates", name="tea", version=1, default_locale="en", locales=texts)
    wordings = [
        Variant(key="own", template="tea"),
        Variant(key="picture", image="https://shop.example/tea.png", body="Look"),
    ]
    sent = await world.notify(*NAMES, title="Tea", body="Usual", data={"n": 7}, variants=wordings)
    await world.work()
    who = await chosen(world, sent)
    for message in world.browser.sent:
        told = payload(message)
        if who[address_of(message)] == "own":
            assert (told["title"], told["body"], told.get("image")) == ("From a template", "7", None)
        else:
            assert (told["title"], told["body"], told["image"]) == ("Tea", "Look", "https://shop.example/tea.png")
    gates = {variants.told(one.gates).key: one.gates for one in await world.decisions(sent)}
    assert '["compose","pass","tea, version 1"]' in gates["own"]
    assert "tea, version" not in gates["picture"]


async def test_results_count_by_variant_and_against_who_got_nothing(world: World) -> None:
    await shoppers(world)
    sent = await world.notify(
        *NAMES,
        variants=A_AND_B,
        holdout=Holdout(key="spring", percent=25),
        experiment=Experiment(key="spring", goal=BOUGHT),
    )
    await buys(world, *NAMES[:5])  # at the same moment, so within
    await world.work()
    who = await chosen(world, sent)
    out = sorted(set(NAMES) - set(who))
    assert out
    a, b = of("a", who), of("b", who)
    within = {*NAMES[:5], *a[:4], *b[:9], *out[:2]}
    world.clock.advance(HOUR_MS - 1)
    await buys(world, *a[:4], *a[:4], *b[:9], *out[:2])
    for message in world.browser.sent[:7]:
        await world.device_tells(message, ReceiptKind.CLICKED)

    early = arms(await results(world, sent))
    assert list(early) == ["a", "b", "control"]
    assert [early[key].people for key in early] == [len(a), len(b), len(out)]
    assert [early[key].successes for key in early] == [len(within & set(some)) for some in (a, b, out)]
    assert [early[key].counts.people for key in early] == [0, 0, 0]
    assert early["a"].versus[0].difference.interval == (-1, 1)
    assert sum(early[key].clicked for key in early) == 7
    assert sum(early[key].reached for key in early) == len(who)

    world.clock.advance(1)
    await buys(world, *NAMES)  # too late for everybody
    found = arms(await results(world, sent))
    assert [found[key].counts for key in found] == [(len(some), len(within & set(some))) for some in (a, b, out)]
    assert [one.arm for one in found["b"].versus] == ["control", "a"]
    assert [one.arm for one in found["a"].versus] == ["control"]
    assert found["control"].versus == []
    gain = found["b"].versus[1].difference
    assert gain.estimate == pytest.approx(found["b"].counts.rate - found["a"].counts.rate)
    assert gain.interval.low < gain.estimate < gain.interval.high


async def test_a_click_is_a_success_within_its_time_only(world: World) -> None:
    await shoppers(world, NAMES[:6])
    sent = await world.notify(
        *NAMES[:6], holdout=Holdout(key="k", percent=0.001), experiment=Experiment(goal=Goal(within_s=60))
    )
    await world.work()
    await world.device_tells(world.browser.sent[0], ReceiptKind.CLICKED)
    await world.device_tells(world.browser.sent[1], ReceiptKind.DELIVERED)
    world.clock.advance(MINUTE_MS)
    await world.device_tells(world.browser.sent[2], ReceiptKind.CLICKED)
    [arm] = (await results(world, sent)).arms
    assert (arm.key, arm.people, arm.reached, arm.delivered, arm.clicked) == ("message", 6, 6, 3, 2)
    assert arm.counts == (6, 1)


async def test_time_begins_with_the_fire_of_what_was_armed(world: World) -> None:
    await shoppers(world)
    world.clock.advance(10 * MINUTE_MS)  # nobody is new at the fire, who would be decided anew
    message = Message(variants=A_AND_B, experiment=Experiment(goal=BOUGHT))
    armed = await world.pipeline.notify(world.project, message, Audience(users=NAMES), arm=True)
    await world.work()
    await buys(world, *NAMES[:10])
    world.clock.advance(2 * HOUR_MS)
    fired = await world.pipeline.fire(world.project, armed.id)
    await world.work()
    who = await chosen(world, fired)
    assert seen(world) == {name: "Plain" if who[name] == "a" else f"Hello {name}" for name in NAMES}
    await buys(world, *NAMES[10:15])
    assert sum(arm.successes for arm in (await results(world, fired)).arms) == 5
    assert sum(arm.counts.people for arm in (await results(world, fired)).arms) == 0


def trial(rule: str, share: float = 30) -> Experiment:
    return Experiment(goal=BOUGHT, winner=Winner(rule=rule, after=7_200, share=share))  # type: ignore[arg-type]


async def test_the_rest_waits_for_the_winner_and_gets_it_once(world: World) -> None:
    """Two workers at once, and one that is killed after it looked: one winner, and one message for each person."""
    await shoppers(world)
    sent = await world.notify(*NAMES, variants=A_AND_B, experiment=trial("best_rate"))
    await world.work()
    first = await chosen(world, sent)
    assert 8 <= len(first) <= 30
    waits = [one for one in await world.decisions(sent) if one.user_id not in first]
    assert {one.reason for one in waits} == {Reason.EXPERIMENT}
    assert {one.until for one in waits} == {sent.created_at + 2 * HOUR_MS}
    assert sorted(seen(world)) == sorted(first)
    await buys(world, *of("b", first))

    world.clock.advance(2 * HOUR_MS - 1)
    assert await world.work() == 0
    world.clock.advance(1)
    killed = await world.due()
    assert killed
    world.clock.advance(20_000)  # its leases run out
    late = await world.due()
    other = world.another_pipeline()
    await asyncio.gather(*(pipeline.step(lease) for lease in late for pipeline in (world.pipeline, other)))
    await asyncio.gather(*(world.pipeline.step(lease) for lease in killed))
    await buys(world, *of("a", first))  # what comes now changes nothing
    await world.work()
    assert seen(world, len(first)) == {name: f"Hello {name}" for name in NAMES if name not in first}
    gates = [variants.told(one.gates) for one in await world.decisions(sent) if one.user_id not in first]
    assert set(gates) == {("b", True)}

    found = await results(world, sent)
    assert (found.rest, sum(arm.people for arm in found.arms)) == (len(NAMES) - len(first), len(first))
    assert found.winner is not None
    assert found.winner.variant == "b"
    assert {key: arm.counts.successes for key, arm in arms(found).items()} == {"a": 0, "b": len(of("b", first))}


async def test_where_nothing_is_clear_everybody_keeps_a_variant_of_their_own(world: World) -> None:
    await shoppers(world)
    own = await world.notify(*NAMES, variants=A_AND_B, experiment=Experiment(key="mine"))
    tried = msgspec.structs.replace(trial("separates"), key="mine")
    sent = await world.notify(*NAMES, variants=A_AND_B, experiment=tried)
    await world.work()
    await buys(world, of("a", await chosen(world, sent))[0])
    world.clock.advance(2 * HOUR_MS)
    await world.work()
    assert await chosen(world, sent) == await chosen(world, own)
    found = await results(world, sent)
    assert found.winner == (None, world.clock.now())
    assert (found.rest, found.ahead) == (0, None)


async def test_what_is_clear_wins(world: World) -> None:
    names = [f"many-{number}" for number in range(800)]
    await world.store.users.resolve(world.project.key, names, world.clock.now(), create=True)
    await shoppers(world, names[:400])
    sent = await world.notify(*names[:400], variants=A_AND_B, experiment=trial("separates", 90))
    await world.work()
    first = await chosen(world, sent)
    await buys(world, *of("b", first))
    world.clock.advance(2 * HOUR_MS)
    await world.work()
    found = await results(world, sent)
    assert found.winner is not None
    assert (found.winner.variant, found.ahead) == ("b", "b")
    assert found.rest == 400 - len(first)


def test_more_variants_need_more_to_be_ahead() -> None:
    """As many looks at chance as there are others: what is clear of one is not yet clear of two."""
    two = {"a": Counts(1_000, 30), "b": Counts(1_000, 65)}
    three = two | {"c": Counts(1_000, 30)}
    clear = [number for number in range(31, 120) if clear_best(two | {"b": Counts(1_000, number)})]
    still = [number for number in range(31, 120) if clear_best(three | {"b": Counts(1_000, number)})]
    assert set(still) < set(clear)
    assert clear_best(three) == "b"
    assert clear_best({"a": Counts(1_000, 900)}) is None


async def test_what_is_mandatory_neither_waits_nor_says_something_of_its_own(world: World) -> None:
    await shoppers(world, NAMES[:8])
    await world.define("categories", **{"name": "security", "class": "mandatory", "templates": ["alarm"]})
    await world.define("categories", **{"name": "plain", "class": "mandatory"})
    texts = {"en": {"title": "Alarm", "body": "Now"}}
    await world.define("templates", name="alarm", version=1, default_locale="en", locales=texts)
    smuggled = [Variant(key="a"), Variant(key="b", title="Buy shoes")]
    wrong = await world.notify(*NAMES[:8], title=None, template="alarm", category="security", variants=smuggled)
    at_once = await world.notify(*NAMES[:8], variants=A_AND_B, category="plain", experiment=trial("best_rate"))
    await world.work()
    assert set((await world.reasons(wrong)).values()) == {"category_mismatch"}
    assert set((await world.reasons(at_once)).values()) == {"send"}


async def test_a_digest_tells_each_in_its_wording(world: World) -> None:
    digest = {
        "window": {"kind": "fixed", "seconds": 600},
        "title": "{% for one in items %}{{ one.title }};{% endfor %}",
    }
    await world.define("categories", **{"name": "comments", "class": "informational", "digest": digest})
    await shoppers(world, NAMES[:12])
    worded = {"category": "comments", "variants": A_AND_B, "experiment": Experiment(key="c")}
    probe = await world.notify(*NAMES[:12], variants=A_AND_B, experiment=Experiment(key="c"))
    await world.work()
    who, before = await chosen(world, probe), len(world.browser.sent)
    await world.notify(*NAMES[:12], **worded)
    await world.notify(*NAMES[:12], **worded)
    await world.work()
    world.clock.advance(10 * MINUTE_MS)
    await world.work()
    told = {name: "Plain" if who[name] == "a" else f"Hello {name}" for name in NAMES[:12]}
    assert seen(world, before) == {name: f"{words};{words};" for name, words in told.items()}
