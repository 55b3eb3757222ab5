"""Automations: everything that is ready-made, over days and zones, in processes that die between any two steps."""

from itertools import cycle
from typing import Any

import pytest

from clarion.journey.automations import watching
from clarion.model import Event
from clarion.ports import Begin, Store
from clarion.testing import ManualClock, SeededChance
from story.runs import DAY, HOUR, MINUTE, Runs
from story.world import World

CRASHES = {"calm": [""], "dying": ["after", "before", "", "before", "after", "", ""]}


@pytest.fixture
async def on(store: Store, clock: ManualClock, chance: SeededChance) -> Runs:
    """On every engine; it is a Friday, eight o'clock in UTC."""
    return Runs(await World(store, clock, chance).begin())


@pytest.fixture(params=CRASHES)
def dying(request: pytest.FixtureRequest, on: Runs) -> Runs:
    on.crash(cycle(CRASHES[request.param]))
    return on


async def test_three_reminders_of_a_cart_unless_it_is_bought(dying: Runs) -> None:
    on = dying
    await on.ready_made("abandoned_cart")
    for user in ("ann", "bob", "eve"):
        await on.person(user)
        await on.happens(user, "cart_added", sku="A")
    await on.pass_(50 * MINUTE)
    assert on.said() == []
    await on.happens("eve", "order")
    await on.pass_(30 * MINUTE)
    assert on.said() == ["You left something in your cart"] * 2
    await on.happens("bob", "cart_added", sku="B")  # is in it already
    await on.pass_(2 * HOUR)
    await on.happens("bob", "order")
    await on.pass_(DAY)
    assert on.said() == ["Still thinking about it?"]
    await on.pass_(4 * DAY)
    assert on.said() == ["Your cart will be emptied soon"]
    assert sorted(map(str, await on.ends("abandoned_cart"))) == ["done", "goal", "goal"]


async def test_welcome_is_said_in_the_morning_there(dying: Runs) -> None:
    on = dying
    await on.ready_made("welcome")
    await on.person("ann", "Asia/Tokyo")
    await on.person("bob", "America/New_York")
    await on.happens("ann", "signed_up")
    await on.happens("bob", "signed_up")
    await on.pass_(HOUR)
    assert on.said() == ["Welcome to Shop"] * 2
    # Two days later it is Sunday 17:00 in Tokyo, 03:00 in New York; ten o'clock there is Monday 01:00, Sunday 15:00.
    await on.pass_(2 * DAY + 5 * HOUR)
    assert on.said() == []
    await on.pass_(2 * HOUR)
    assert on.said() == ["Shall we show you around?"]
    await on.happens("bob", "order")
    await on.pass_(10 * HOUR)
    assert on.said() == ["Shall we show you around?"]
    await on.pass_(4 * DAY)
    assert on.said() == ["Your account is ready"]
    await on.happens("ann", "signed_up")
    await on.pass_(HOUR)
    assert on.said() == []


async def test_each_order_has_a_run_of_its_own(dying: Runs) -> None:
    on = dying
    await on.ready_made("order_lifecycle", under_way={"title": "{{ event.order_id }} is on its way"})
    await on.person("ann")
    for order in ("A", "B", "C"):
        await on.happens("ann", "order", order_id=order)
    await on.pass_(DAY)
    assert on.said() == ["Thank you for your order"] * 3
    await on.happens("ann", "order_shipped", order_id="B")
    await on.happens("ann", "order_cancelled", order_id="C")
    await on.pass_(HOUR)
    assert on.said() == ["B is on its way"]
    await on.happens("ann", "order_delivered", order_id="A")  # never heard of that it was shipped
    await on.happens("ann", "order_delivered", order_id="B")
    await on.pass_(HOUR)
    assert on.said() == ["Your order has arrived"]
    await on.pass_(5 * DAY)
    assert on.said() == ["How do you like it?"]
    await on.pass_(31 * DAY, step=DAY // 2)
    assert on.said() == []
    assert {run.run_key: str(run.ended) for run in await on.all("order_lifecycle")} == {
        "A": "done", "B": "done", "C": "exit",
    }  # fmt: skip


async def test_reminders_of_an_invoice_come_on_working_days(dying: Runs) -> None:
    on = dying
    await on.ready_made("payment_reminder")
    await on.person("ann", "Europe/Vienna")
    await on.pass_(DAY)  # Saturday 09:00 there
    await on.happens("ann", "invoice_sent", invoice_id=1)
    await on.happens("ann", "invoice_sent", invoice_id=2)
    await on.pass_(7 * DAY + 8 * HOUR)
    assert on.said() == []  # a Saturday again
    await on.happens("ann", "invoice_paid", invoice_id=2)
    await on.pass_(DAY + 15 * HOUR)
    assert on.said() == []
    await on.pass_(2 * HOUR)  # Monday, nine o'clock
    assert on.said() == ["Your invoice is open"]
    await on.pass_(7 * DAY + HOUR)
    assert on.said() == ["A reminder of your invoice"]
    await on.happens("ann", "invoice_paid", invoice_id=1)
    await on.pass_(14 * DAY, step=DAY // 2)
    assert on.said() == []


async def test_who_went_quiet_is_called_back_until_they_come(dying: Runs) -> None:
    on = dying
    await on.world.define(
        "segments",
        name="inactive",
        rule={"type": "created", "before": {"days": 30}},
        exit={"type": "did", "event": "session", "within": {"days": 30}},
    )
    await on.ready_made("win_back")
    for user in ("ann", "bob"):
        await on.person(user, "America/New_York")
        await on.happens(user, "session")
    await on.pass_(29 * DAY, step=DAY)
    await on.happens("bob", "session")
    await on.pass_(30 * HOUR, step=HOUR)
    assert on.said() == []
    await on.pass_(DAY, step=HOUR)
    assert on.said() == ["We miss you"]
    await on.happens("ann", "session")
    await on.pass_(20 * DAY, step=DAY // 2)
    assert on.said() == []
    assert await on.ends("win_back") == ["goal"]


async def test_a_birthday_comes_once_a_year_where_the_person_is(on: Runs) -> None:
    on_ = {"attribute": "born", "yearly": True, "at": "09:00"}
    await on.define("birthday", on=on_, steps=[{"type": "send", "notification": {"title": "{{ user.name }}"}}])
    await on.person("tokyo", "Asia/Tokyo", born="1990-01-17", name="Aiko")
    await on.person("vienna", "Europe/Vienna", born="1985-01-17T04:00:00Z", name="Ida")
    await on.person("later", "Europe/Vienna", born="1985-01-19", name="Leo")
    await on.pass_(DAY + 14 * HOUR, step=DAY)
    await on.pass_(HOUR, step=10 * MINUTE)  # Saturday 23:00 UTC
    assert on.said() == []
    await on.pass_(HOUR + 10 * MINUTE, step=10 * MINUTE)
    assert on.said() == ["Aiko"]
    await on.pass_(8 * HOUR)
    assert on.said() == ["Ida"]
    await on.pass_(DAY)
    assert on.said() == []
    assert {run.run_key for run in await on.all("birthday")} == {"2027-01-17"}


async def test_history_begins_nothing(on: Runs) -> None:
    hello = {"type": "send", "notification": {"title": "Hello", "ttl": 3_600}}
    await on.define("plain", on={"event": "seen"}, notification=hello["notification"])
    await on.define("steps", on={"event": "seen"}, steps=[hello])
    await on.define("patient", on={"event": "seen", "max_age_s": 86_400}, steps=[hello])
    await on.person("ann")
    old = Event(user_id="ann", name="seen", occurred_at=on.clock.now() - 2 * HOUR)
    await on.world.pipeline.ingest(on.world.project, [old])
    await on.work()
    assert on.said() == ["Hello"]
    assert [len(await on.all(name)) for name in ("steps", "patient")] == [0, 1]


async def test_what_arrives_together_is_told_in_order(on: Runs) -> None:
    await on.define(
        "two",
        on={"event": "a"},
        steps=[
            {"type": "wait", "for": {"event": "b"}, "timeout": {"days": 1}, "on_timeout": "late"},
            {"type": "send", "notification": {"title": "in time"}},
            {"type": "exit"},
            {"type": "send", "id": "late", "notification": {"title": "late"}},
        ],
    )
    await on.person("ann")
    now = on.clock.now()
    events = [Event(user_id="ann", name=name, occurred_at=now - age) for name, age in (("b", 900), ("a", 800))]
    on.clock.advance(5_000)
    await on.world.pipeline.ingest(on.world.project, [*events, Event(user_id="ann", name="b", occurred_at=now)])
    await on.work()
    assert on.said() == ["in time"]


async def test_what_is_stored_counts_before_a_worker_has_told_it(on: Runs) -> None:
    """The purchase, and the answer that a run waits for, are in the database; their own jobs come later."""
    await on.ready_made("abandoned_cart")
    wait = {"type": "wait", "for": {"event": "order"}, "timeout": {"hours": 1}, "on_timeout": "late"}
    late = {"type": "send", "id": "late", "notification": {"title": "late"}}
    await on.define("answer", on={"event": "cart_added"}, steps=[wait, {"type": "exit"}, late])
    await on.person("ann")
    await on.happens("ann", "cart_added")
    on.clock.advance(HOUR)
    world = on.world
    await world.happens("ann", "order")
    await world.pipeline.hand_out()
    leases = await world.store.work.claim("runs", 10, on.clock.now(), 15_000)
    assert len(leases) == 2
    for lease in leases:
        await world.pipeline.step(lease)
    await on.work()
    assert on.said() == []
    assert [*await on.ends("abandoned_cart"), *await on.ends("answer")] == ["goal", "done"]


async def test_what_happened_before_the_wait_is_no_answer(on: Runs) -> None:
    wait = {"type": "wait", "for": {"event": "b"}, "timeout": {"hours": 1}, "on_timeout": "late"}
    late = {"type": "send", "id": "late", "notification": {"title": "late"}}
    pause = {"type": "delay", "for": {"minutes": 20}}
    await on.define("x", on={"event": "a"}, steps=[pause, wait, {"type": "exit"}, late])
    await on.person("ann")
    await on.happens("ann", "a")
    happened_at = on.clock.now() + 10 * MINUTE
    await on.pass_(HOUR)
    told_late = Event(user_id="ann", name="b", occurred_at=happened_at)
    await on.world.pipeline.ingest(on.world.project, [told_late])
    await on.work()
    assert await on.ends("x") == [None]
    await on.pass_(HOUR)
    assert on.said() == ["late"]


GOLD = {"type": "attribute", "attribute": "plan", "op": "eq", "value": "gold"}
HELLO = [{"type": "send", "notification": {"title": "{{ user.name }}"}}]


async def test_who_is_in_a_segment_already_does_not_come_into_it(on: Runs) -> None:
    await on.world.define("segments", name="gold", rule=GOLD)
    await on.person("ann", plan="gold", name="Ann")
    await on.person("bob", plan="free", name="Bob")
    await on.define("news", on={"segment": "gold"}, steps=HELLO)
    await on.define("all", on={"segment": "gold", "existing": True}, steps=HELLO)
    await on.define("lost", on={"segment": "gold", "when": "leaves"}, steps=HELLO)
    assert on.said() == ["Ann"]
    await on.person("bob", plan="gold", name="Bob")
    await on.pass_(2 * MINUTE, step=MINUTE)
    assert on.said() == ["Bob", "Bob"]
    await on.person("ann", plan="free", name="Ann")
    await on.pass_(2 * MINUTE, step=MINUTE)
    assert on.said() == ["Ann"]
    assert [len(await on.all(name)) for name in ("news", "all", "lost")] == [1, 2, 1]


async def test_many_who_come_and_go_at_once_are_found_page_by_page(on: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOVED", 2)
    await on.world.define("segments", name="gold", rule=GOLD)
    for number in range(7):
        await on.person(f"u{number}", plan="gold" if number % 2 else "free", name=str(number))
    await on.define("came", on={"segment": "gold"}, steps=HELLO)
    await on.define("left", on={"segment": "gold", "when": "leaves"}, steps=HELLO)
    for number in range(7):
        await on.person(f"u{number}", plan="free" if number % 2 else "gold", name=str(number))
    await on.pass_(2 * MINUTE, step=MINUTE)
    assert sorted(on.said()) == list("0123456")
    assert [len(await on.all(name)) for name in ("came", "left")] == [4, 3]


@pytest.mark.parametrize(("took", "pause"), [(1_000, MINUTE), (20_000, 200_000), (3 * HOUR, 3 * HOUR + 10 * MINUTE)])
async def test_a_look_that_takes_long_is_taken_less_often(
    on: Runs, monkeypatch: pytest.MonkeyPatch, took: int, pause: int
) -> None:
    began: list[int] = []
    audiences = on.world.store.audiences
    unlike = audiences.unlike

    async def slow(*asked: Any) -> Any:
        began.append(on.clock.now())
        on.clock.advance(took)
        return await unlike(*asked)

    monkeypatch.setattr(audiences, "unlike", slow)
    await on.world.define("segments", name="gold", rule=GOLD)
    await on.define("came", on={"segment": "gold"}, steps=HELLO)
    while len(began) < 3:
        await on.pass_(10_000, step=10_000)
    assert 0 <= began[2] - began[1] - pause <= 20_000


async def test_runs_finish_on_their_version(on: Runs) -> None:
    def say(title: str) -> list[dict]:
        return [
            {"type": "wait", "for": {"event": "go"}, "timeout": {"days": 9}},
            {"type": "send", "notification": {"title": title}},
        ]

    await on.define("x", on={"event": "a"}, steps=say("one"))
    await on.person("ann")
    await on.happens("ann", "a")
    second = await on.define("x", on={"event": "a"}, steps=[{"type": "send", "notification": {"title": "two"}}])
    assert second.version == 2
    assert (await on.define("x", on={"event": "a"}, steps=second.steps)).version == 2
    await on.happens("ann", "a")  # is still in the first
    assert on.said() == []
    await on.happens("ann", "go")
    await on.happens("ann", "a")
    assert on.said() == ["one", "two"]


async def test_a_run_ends_by_its_key_and_begins_again(on: Runs) -> None:
    await on.define(
        "trial",
        on={"api": True},
        reentry={"days": 1},
        steps=[
            {"type": "update_user", "attributes": {"trial": True, "plan": None}},
            {"type": "delay", "for": {"hours": 1}},
            {"type": "send", "notification": {"title": "{{ data.what }}"}},
        ],
    )
    world, project = on.world, on.world.project
    await on.person("ann", plan="free", name="Ann")
    user = await world.store.users.get(project.key, "ann")
    assert user is not None
    begins = [Begin(user.key, key, {"what": key}) for key in ("a", "b", "a")]
    await world.pipeline.begin(project, "trial", begins)
    await on.work()
    changed = await world.store.users.get(project.key, "ann")
    assert changed is not None
    assert changed.attributes == {"trial": True, "name": "Ann"}
    assert await world.store.runs.cancel(project.key, "trial", None, "b", on.clock.now()) == 1
    await on.pass_(2 * HOUR)
    assert on.said() == ["a"]
    await world.pipeline.begin(project, "trial", begins)
    await on.pass_(2 * HOUR)
    assert on.said() == []  # within a day
    await on.pass_(DAY)
    await world.pipeline.begin(project, "trial", begins)
    await on.pass_(2 * HOUR)
    assert sorted(on.said()) == ["a", "b"]


async def test_a_branch_asks_for_the_rule_now_and_chance_always_says_the_same(on: Runs) -> None:
    rule = {"type": "attribute", "attribute": "plan", "op": "eq", "value": "gold"}
    await on.define(
        "fork",
        on={"event": "a"},
        steps=[
            {"type": "delay", "for": {"hours": 1}},
            {"type": "branch", "paths": [{"if": rule, "to": "gold"}, {"percent": 50, "to": "half"}]},
            {"type": "send", "notification": {"title": "rest"}},
            {"type": "exit"},
            {"type": "send", "id": "gold", "next": "end", "notification": {"title": "gold"}},
            {"type": "send", "id": "half", "notification": {"title": "half"}},
            {"type": "exit", "id": "end"},
        ],
    )
    people = [f"u{number}" for number in range(40)]
    for user in people:
        await on.person(user)
    await on.person("rich", plan="free")
    for user in ("rich", *people):
        await on.world.happens(user, "a")
    await on.work()
    await on.person("rich", plan="gold")
    await on.pass_(2 * HOUR)
    first = on.said()
    assert first.count("gold") == 1
    assert 8 <= first.count("half") <= 32
    for user in people:
        await on.world.happens(user, "a")
    await on.pass_(2 * HOUR)
    assert on.said().count("half") == first.count("half")
    runs = [one for one in await on.all("fork") if one.ended is None]
    assert runs == []


async def test_who_is_merged_or_erased(on: Runs) -> None:
    await on.define(
        "x",
        on={"event": "a"},
        steps=[{"type": "delay", "for": {"hours": 1}}, {"type": "send", "notification": {"title": "Hello"}}],
    )
    world, project = on.world, on.world.project
    stranger = await world.store.users.create_anonymous(project.key, "anon", on.clock.now())
    for user in ("anon", "gone", "ann"):
        await world.subscribe(user)
    for user in ("anon", "gone"):
        await on.happens(user, "a")
    on.clock.advance(HOUR)
    await world.pipeline.hand_out()  # their time has come, and a worker has them in hand
    await world.pipeline.merge(project, stranger, "ann")
    await world.store.users.erase(project.key, "gone")
    await on.work()
    assert on.said() == ["Hello"] * 2  # on both devices of the one person
    [run] = await on.all("x")
    assert run.ended == "done"


async def test_people_at_one_step_share_a_notification_unless_it_speaks_of_what_began_it(on: Runs) -> None:
    pause = {"type": "delay", "for": {"hours": 1}}
    for name, title in (("shared", "Hello {{ user.name }}"), ("own", "{{ event.sku }}")):
        send = {"type": "send", "notification": {"title": title}}
        await on.define(name, on={"event": name}, steps=[pause, send])
    for user in ("ann", "bob", "eve"):
        await on.person(user, name=user)
        await on.happens(user, "shared")
        await on.happens(user, "own", sku=user)
    await on.pass_(HOUR)
    assert sorted(on.said()) == ["Hello ann", "Hello bob", "Hello eve", "ann", "bob", "eve"]
    page = await on.world.store.trail.notifications(on.world.project.key, None, 100)
    made = [(one.automation, len(one.to.users or [])) for one in page.items]
    assert sorted(made) == [("own", 1), ("own", 1), ("own", 1), ("shared", 3)]


AGAIN = [{"type": "delay", "for": {"days": 1}}, {"type": "send", "notification": {"title": "Your next one?"}}]


async def test_the_goal_may_be_the_same_event_once_more(dying: Runs) -> None:
    on = dying
    await on.define("second order", on={"event": "order"}, goal={"event": "order"}, reentry="never", steps=AGAIN)
    for user in ("ann", "bob"):
        await on.person(user)
        await on.happens(user, "order", order_id="A")
    await on.pass_(HOUR)
    await on.happens("bob", "order", order_id="B")
    await on.pass_(2 * DAY)
    assert on.said() == ["Your next one?"]
    assert sorted(map(str, await on.ends("second order"))) == ["done", "goal"]


async def test_what_began_a_run_and_ends_it_begins_the_next_one(dying: Runs) -> None:
    on = dying
    await on.define("quiet cart", on={"event": "cart_added"}, exit_on={"event": "cart_added"}, steps=AGAIN)
    await on.person("ann")
    await on.happens("ann", "cart_added", sku="A")
    await on.pass_(20 * HOUR)
    await on.happens("ann", "cart_added", sku="B")
    await on.pass_(20 * HOUR)
    assert on.said() == []
    await on.pass_(5 * HOUR)
    assert on.said() == ["Your next one?"]
    assert [str(one) for one in await on.ends("quiet cart")] == ["done"]  # it took the place of the one before


@pytest.mark.parametrize("told", [["order", "cart_added"], ["cart_added", "order"]])
async def test_of_what_bears_the_same_time_the_later_told_came_later(on: Runs, told: list[str]) -> None:
    steps = [{"type": "send", "notification": {"title": "Still there"}}, *AGAIN]
    await on.define("carts", on={"event": "cart_added"}, goal={"event": "order"}, steps=steps)
    await on.person("ann")
    for at_once in (False, True):
        events = [Event(user_id="ann", name=name, occurred_at=on.clock.now()) for name in told]
        for part in [events] if at_once else [[one] for one in events]:
            await on.world.pipeline.ingest(on.world.project, part)
            await on.work()
        await on.pass_(2 * DAY)
        if told[0] == "order":  # before there was a cart
            assert on.said() == ["Still there", "Your next one?"]
        else:
            assert on.said() == ([] if at_once else ["Still there"])


async def test_two_at_once_are_a_start_and_a_goal(on: Runs) -> None:
    await on.define("second order", on={"event": "order"}, goal={"event": "order"}, reentry="never", steps=AGAIN)
    await on.person("ann")
    events = [Event(user_id="ann", name="order", occurred_at=on.clock.now(), id=id) for id in ("a", "b")]
    await on.world.pipeline.ingest(on.world.project, events)
    await on.pass_(2 * DAY)
    assert on.said() == []
    assert [str(one) for one in await on.ends("second order")] == ["goal"]
