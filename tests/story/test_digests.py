"""One message in place of many: what is collected, when it leaves, and what becomes of each that is in it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey.permission import Said
from clarion.journey.rules.digest import next_time
from clarion.model import (
    Audience,
    Cap,
    Message,
    Notification,
    PreferenceChange,
    QuietHours,
    Reason,
    Rolling,
    ScheduledWindow,
    UnlessEvent,
    UserChange,
)
from clarion.ports import DecisionRecord, RetryAfter, Store
from clarion.testing import ManualClock, SeededChance
from clarion.testing.clock import START
from story.test_caps import set_caps
from story.world import World, payload, subscription, titles

MINUTE_MS = 60_000
WORDS = {"title": "{{ count }} new comments", "body": "{{ last.data.author }} wrote: {{ last.title }}"}
FIXED = {"kind": "fixed", "seconds": 600}
SLIDING = {"kind": "sliding", "seconds": 60, "max_seconds": 150}
SCHEDULED = {"kind": "scheduled", "at": ["08:00", "18:00"]}


@pytest.fixture
async def anywhere(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    """The same story on every engine."""
    return await World(store, clock, chance).begin()


async def digesting(world: World, *users: str, window: dict[str, Any] = FIXED, **more: Any) -> World:
    """A category `comments` with a digest, and people with a browser."""
    await world.define("categories", name="comments", digest={"window": window, **WORDS, **more})
    for user in users or ("ada",):
        await world.subscribe(user)
    return world


async def comment(world: World, text: str, *users: str, author: str = "Bob", **more: Any) -> Notification:
    data = {"author": author, "post": more.pop("post", "p1")}
    one = await world.notify(*(users or ("ada",)), category="comments", title=text, data=data, **more)
    await world.work()
    return one


async def later(world: World, **time: int) -> None:
    world.clock.advance(**time)
    await world.work()


async def decided(world: World, notification: Notification, user: str = "ada") -> DecisionRecord:
    return next(one for one in await world.decisions(notification) if one.user_id == user)


async def reasons(world: World, *notifications: Notification) -> list[str]:
    return [str((await decided(world, one)).reason) for one in notifications]


def gate_of(decision: DecisionRecord, name: str = "digest") -> list[str]:
    return next(gate for gate in msgspec.json.decode(decision.gates) if gate[0] == name)


# --- windows ----------------------------------------------------------------------------------------------------------


async def test_what_comes_within_a_fixed_window_leaves_as_one_and_each_says_in_which(anywhere: World) -> None:
    world = await digesting(anywhere)
    first = await comment(world, "Nice", author="Bob")
    held = await decided(world, first)
    assert (held.reason, held.until) == (Reason.DIGEST, START + 10 * MINUTE_MS)
    assert gate_of(held) == ["digest", "hold", "1 collected within 600 s"]
    world.clock.advance(minutes=4)
    second = await comment(world, "Indeed", author="Cleo")
    assert (await decided(world, second)).until == held.until
    await later(world, minutes=5, seconds=59)
    assert world.browser.sent == []
    await later(world, seconds=1)
    assert titles(world.browser.sent) == ["2 new comments"]
    assert payload(world.browser.sent[0])["body"] == "Cleo wrote: Indeed"
    final = [await decided(world, one) for one in (first, second)]
    assert [one.reason for one in final] == [Reason.IN_DIGEST] * 2
    [id] = {one.digest_id for one in final}
    digest = await world.store.trail.notification(world.project.key, id or "")
    assert digest is not None
    assert digest.digest_of == (first.key, second.key)
    assert gate_of(final[0]) == ["digest", "send", f"2 in one: {id}"]
    sent = await decided(world, digest)
    assert (sent.reason, gate_of(sent)) == (Reason.SEND, ["digest", "pass", "2 in one"])
    assert len(await world.deliveries(digest)) == 1
    assert await world.deliveries(first) == []
    await later(world, hours=1)
    assert len(world.browser.sent) == 1
    assert await world.store.work.waiting() == {}


async def test_a_sliding_window_grows_with_each_up_to_its_maximum(anywhere: World) -> None:
    world = await digesting(anywhere, window=SLIDING)
    for text, wait in (("a", 50), ("b", 50), ("c", 49), ("d", 0)):  # 0, 50, 100, 149 s
        await comment(world, text)
        await later(world, seconds=wait)
    assert world.browser.sent == []
    await later(world, seconds=1)
    assert titles(world.browser.sent) == ["4 new comments"]
    await comment(world, "e")
    await later(world, seconds=59)
    assert len(world.browser.sent) == 1
    await later(world, seconds=1)
    assert titles(world.browser.sent)[1:] == ["e"], "one alone goes as it is, after 60 silent seconds"


async def test_a_scheduled_window_ends_by_the_clock_on_the_persons_wall(anywhere: World) -> None:
    world = await digesting(anywhere, "ada", "bo", window=SCHEDULED)
    await world.store.users.put(world.project.key, "bo", UserChange(timezone="Asia/Tokyo"), world.clock.now())
    one = await comment(world, "one", "ada", "bo")  # 08:00 in UTC, 17:00 in Tokyo
    assert (await decided(world, one)).until == START + 10 * 3_600_000
    assert (await decided(world, one, "bo")).until == START + 3_600_000
    await comment(world, "two", "ada", "bo")
    await later(world, hours=1)
    assert [out.address.address for out in world.browser.sent] == ["https://push.example/bo"]
    await later(world, hours=9)
    assert titles(world.browser.sent) == ["2 new comments"] * 2


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        ("Europe/Berlin", "2027-03-28T04:00+02:00", "2027-03-28T08:00+02:00"),
        ("Europe/Berlin", "2027-03-28T01:59+01:00", "2027-03-28T03:30+02:00"),  # 02:30 is left out
        ("Europe/Berlin", "2027-10-31T02:29+02:00", "2027-10-31T02:30+02:00"),
        ("Europe/Berlin", "2027-10-31T02:30+02:00", "2027-10-31T08:00+01:00"),  # 02:30 comes once more, and is past
        ("Europe/Berlin", "2027-10-31T02:29+01:00", "2027-10-31T08:00+01:00"),
        ("Pacific/Kiritimati", "2028-02-28T18:00+14:00", "2028-02-29T02:30+14:00"),
        ("Pacific/Pago_Pago", "2027-12-31T18:00-11:00", "2028-01-01T02:30-11:00"),
        ("Pacific/Apia", "2011-12-29T18:00-10:00", "2011-12-31T02:30+14:00"),  # the 30th never was
    ],
)
def test_times_of_day_where_clocks_are_turned(zone: str, after: str, expected: str) -> None:
    window = ScheduledWindow(at=("18:00", "02:30", "08:00"))
    moment = int(datetime.fromisoformat(after).timestamp()) * 1000
    found = next_time(window, ZoneInfo(zone), moment)
    assert datetime.fromtimestamp(found / 1000, UTC) == datetime.fromisoformat(expected)


@given(
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]),
    st.integers(1_262_304_000, 1_900_000_000),
    st.lists(st.times().map(lambda at: f"{at:%H:%M}"), min_size=1, max_size=4, unique=True),
)
def test_each_time_of_day_comes_once_a_day_whatever_the_clocks_do(zone: str, second: int, at: list[str]) -> None:
    window, wall = ScheduledWindow(at=tuple(at)), ZoneInfo(zone)
    moments = [second * 1000]
    for _ in range(3 * len(at)):
        moments.append(next_time(window, wall, moments[-1]))
    assert all(before < after for before, after in pairwise(moments))
    longest = timedelta(days=2, hours=1)  # Samoa left out a day
    assert all(after - before <= longest.total_seconds() * 1000 for before, after in pairwise(moments))


async def test_the_first_may_go_out_at_once_and_begins_the_window_of_those_after_it(anywhere: World) -> None:
    world = await digesting(anywhere, immediate_first=True)
    assert await reasons(world, await comment(world, "first")) == ["send"]
    world.clock.advance(minutes=3)
    kept = [await comment(world, "second"), await comment(world, "third")]
    assert (await decided(world, kept[0])).until == START + 10 * MINUTE_MS
    await later(world, minutes=7)
    assert titles(world.browser.sent) == ["first", "2 new comments"]
    world.clock.advance(minutes=9)
    assert await reasons(world, await comment(world, "soon after the digest")) == ["digest"]
    world.clock.advance(minutes=20)
    await world.work()
    world.clock.advance(minutes=20)
    assert await reasons(world, await comment(world, "long after")) == ["send"]
    assert titles(world.browser.sent)[2:] == ["soon after the digest", "long after"]


async def test_the_largest_number_ends_the_window(anywhere: World) -> None:
    world = await digesting(anywhere, max_items=3)
    for text in "abcd":
        await comment(world, text)
    assert titles(world.browser.sent) == ["3 new comments"]
    await later(world, minutes=10)
    assert titles(world.browser.sent)[1:] == ["d"]


async def test_only_what_has_the_same_key_goes_together_and_fewer_than_needed_go_as_they_are(anywhere: World) -> None:
    world = await digesting(anywhere, key="{{ data.post }}", min_items=3)
    for text, post in (("a", "p1"), ("b", "p2"), ("c", "p1"), ("d", "p1"), ("e", "p2")):
        await comment(world, text, post=post)
    keyless = await world.notify("ada", category="comments", title="f")
    await world.work()
    assert gate_of(await decided(world, keyless))[:2] == ["digest", "pass"]
    await later(world, minutes=10)
    assert titles(world.browser.sent)[0] == "f"
    assert sorted(titles(world.browser.sent)[1:]) == ["3 new comments", "b", "e"]


async def test_what_comes_in_one_batch_is_collected_too(anywhere: World) -> None:
    world = await digesting(anywhere, immediate_first=True)
    message = {"category": "comments", "title": "{{ event.text }}", "data": {"author": "Bob"}}
    await world.define("automations", name="tell", on={"event": "commented"}, notification=message)
    for text in "abc":
        await world.happens("ada", "commented", text=text)
    await world.work()
    assert titles(world.browser.sent) == ["a"]
    await later(world, minutes=10)
    assert titles(world.browser.sent)[1:] == ["2 new comments"]
    assert payload(world.browser.sent[1])["body"] == "Bob wrote: c"


async def test_the_largest_number_ends_the_window_also_within_a_batch(world: World) -> None:
    await digesting(world, max_items=3)
    message = {"category": "comments", "title": "told", "data": {"author": "Bob"}}
    await world.define("automations", name="tell", on={"event": "commented"}, notification=message)
    for _ in range(3):
        await world.happens("ada", "commented")
    await world.work()
    assert titles(world.browser.sent) == ["3 new comments"]


@pytest.mark.parametrize("window", [SLIDING, FIXED])
async def test_each_of_those_who_wait_has_one_job_however_often_they_are_looked_at(
    anywhere: World, window: dict[str, Any]
) -> None:
    world = await digesting(anywhere, window=window)
    for number in range(1, 6):
        await comment(world, str(number))
        assert await world.store.work.backlog() == {"decide": number}
        await later(world, seconds=25)
    [last] = (await world.store.trail.notifications(world.project.key, None, 1)).items
    await world.pipeline.cancel(world.project, last.id)
    await world.work()
    assert await world.store.work.backlog() == {"decide": 4}


async def test_named_devices_stay_the_only_ones(anywhere: World) -> None:
    world = await digesting(anywhere)
    phone = await world.subscribe("ada", "phone")
    for text in "ab":
        message = Message(category="comments", title=text, data={"author": "Bob"})
        await world.pipeline.notify(world.project, message, Audience(devices=[phone.id]))
    await world.work()
    await later(world, minutes=10)
    assert [out.address.address for out in world.browser.sent] == ["https://push.example/phone"]
    assert titles(world.browser.sent) == ["2 new comments"]


# --- what passes, and what is taken out -------------------------------------------------------------------------------


async def test_the_urgent_the_armed_and_what_would_expire_go_out_by_themselves(anywhere: World) -> None:
    world = await digesting(anywhere)
    urgent, brief = await comment(world, "urgent", urgency="high"), await comment(world, "brief", ttl=600)
    assert gate_of(await decided(world, urgent)) == ["digest", "pass", "urgent"]
    assert gate_of(await decided(world, brief)) == ["digest", "pass", "would expire before its digest leaves"]
    await digesting(world, urgent_passes=False)
    assert await reasons(world, await comment(world, "urgent", urgency="high")) == ["digest"]
    message = msgspec.structs.replace(urgent.message, urgency="normal")
    armed = await world.pipeline.notify(world.project, message, Audience(users=["ada"]), arm=True)
    await world.work()
    assert gate_of(await decided(world, armed)) == ["digest", "pass", "armed"]


async def test_what_is_cancelled_refused_or_pointless_by_then_is_not_counted(anywhere: World) -> None:
    world = await digesting(anywhere, "ada", "bo")
    one, two = await comment(world, "one", "ada", "bo"), await comment(world, "two", "ada", "bo")
    three = await comment(world, "three", unless_event=UnlessEvent(name="read"))
    await world.pipeline.cancel(world.project, one.id)
    await world.work()
    assert await reasons(world, one, two, three) == ["cancelled", "digest", "digest"]
    await world.happens("ada", "read")
    await world.pipeline.consent(world.project, "bo", [Said("comments", None, granted=False)], source="api")
    await later(world, minutes=10)
    assert titles(world.browser.sent) == ["two"]
    assert await reasons(world, one, two, three) == ["cancelled", "send", "irrelevant"]
    assert (await decided(world, two, "bo")).reason is Reason.OPTED_OUT


async def test_of_nothing_that_is_left_nothing_is_sent(anywhere: World) -> None:
    world = await digesting(anywhere)
    for text in "ab":
        await world.pipeline.cancel(world.project, (await comment(world, text)).id)
    await later(world, minutes=10)
    assert world.browser.sent == []
    assert await world.store.work.waiting() == {}


async def test_the_same_content_counts_once(anywhere: World) -> None:
    world = await digesting(anywhere)
    found = [await comment(world, text, content_key=key) for text, key in (("a", "x"), ("a again", "x"), ("b", "y"))]
    await later(world, minutes=10)
    assert titles(world.browser.sent) == ["2 new comments"]
    assert await reasons(world, *found) == ["in_digest", "duplicate", "in_digest"]
    assert await reasons(world, await comment(world, "a", content_key="x")) == ["duplicate"]
    alone = await comment(world, "alone", content_key="z")
    await later(world, minutes=10)
    assert await reasons(world, alone) == ["send"]


async def test_words_that_do_not_render_take_that_one_out(anywhere: World) -> None:
    world = await digesting(anywhere)
    bad = await comment(world, "{{ user.nickname.short }}")
    good = [await comment(world, "a"), await comment(world, "b")]
    await later(world, minutes=10)
    assert titles(world.browser.sent) == ["2 new comments"]
    assert await reasons(world, bad, *good) == ["template_error", "in_digest", "in_digest"]


async def test_a_digest_that_does_not_render_is_no_message_and_all_say_so(anywhere: World) -> None:
    world = await digesting(anywhere, body="{{ last.data.nothing.at_all }}")
    found = [await comment(world, "a"), await comment(world, "b")]
    await later(world, minutes=10)
    assert world.browser.sent == []
    assert await reasons(world, *found) == ["template_error"] * 2
    assert "undefined" in gate_of(await decided(world, found[0]))[2]
    notifications = await world.store.trail.notifications(world.project.key, None, 10)
    assert len(notifications.items) == 2
    assert await world.store.steps.collected(world.project.key, [1, 2, 3, 4]) == []


# --- with the other gates ---------------------------------------------------------------------------------------------


async def test_a_title_of_which_nothing_is_to_be_seen_is_no_item_and_no_digest(anywhere: World) -> None:
    world = await digesting(anywhere, title="{{ items | map(attribute='data.author') | join }}")
    blank = await comment(world, "{{ user.nickname | default('') }}", author=" ")
    rest = [await comment(world, text, author=" ") for text in ("one", "two")]
    await later(world, minutes=10)
    assert await reasons(world, blank, *rest) == ["template_error"] * 3
    assert "title: renders to nothing" in gate_of(await decided(world, blank), "compose")[2]
    assert not world.browser.sent


async def test_through_quiet_hours_they_are_collected_and_leave_as_one_in_the_morning(anywhere: World) -> None:
    world = await digesting(anywhere)
    hours = PreferenceChange(quiet_hours=QuietHours(start="08:15", end="12:00"))
    user = (await world.store.users.resolve(world.project.key, ["ada"], START, create=False))["ada"]
    await world.store.preferences.put(world.project.key, user, hours, START)
    world.clock.advance(minutes=7)
    before = await comment(world, "before")  # its window would end at 08:17
    await later(world, minutes=10)
    assert await reasons(world, before) == ["quiet_hours"]
    during = [await comment(world, "a"), await comment(world, "b")]
    assert await reasons(world, *during) == ["quiet_hours"] * 2
    await later(world, hours=5)
    assert titles(world.browser.sent) == ["3 new comments"]
    assert await reasons(world, before, *during) == ["in_digest"] * 3


@pytest.mark.parametrize("at_cap", ["wait", "drop"])
async def test_a_digest_takes_one_place_under_caps_and_where_there_is_none_all_of_it_waits(
    anywhere: World, at_cap: Any
) -> None:
    world = await digesting(anywhere)
    await set_caps(world, Cap(name="one", limit=1, per=Rolling(seconds=3600), at_cap=at_cap))
    await comment(world, "urgent", urgency="high")
    found = [await comment(world, "a"), await comment(world, "b")]
    await later(world, minutes=10)
    assert titles(world.browser.sent) == ["urgent"]
    if at_cap == "drop":
        assert await reasons(world, *found) == ["cap_reached"] * 2
        return
    held = await decided(world, found[0])
    assert (held.reason, held.until) == (Reason.DIGEST, START + 60 * MINUTE_MS)
    assert gate_of(held) == ["digest", "hold", "2 in one: caps: one: 1 of 1 in 1 h"]
    world.clock.advance(minutes=30)
    found.append(await comment(world, "c"))
    await world.pipeline.cancel(world.project, found.pop(0).id)
    await later(world, minutes=20)
    assert titles(world.browser.sent) == ["urgent", "2 new comments"]
    assert await reasons(world, *found) == ["in_digest"] * 2
    await later(world, minutes=59)
    assert await reasons(world, await comment(world, "next", urgency="high")) == ["cap_wait"], "it took one place"


async def test_a_dry_run_shows_the_gate(anywhere: World) -> None:
    world = await digesting(anywhere, immediate_first=True)
    message = (await comment(world, "first")).message
    trial = await world.pipeline.dry_run(world.project, message, Audience(users=["ada", "nobody"]))
    assert trial.counts == {"digest": 1, "no_device": 1}
    assert ["digest", "hold", "1 collected within 600 s"] in trial.decisions[0].gates
    trial = await world.pipeline.dry_run(world.project, message, Audience(everyone=True))
    assert trial.counts == {"digest": 1}


async def test_a_story_tells_in_which_digest_it_was(world: World) -> None:
    await digesting(world)
    one, _ = await comment(world, "a"), await comment(world, "b")
    await later(world, minutes=10)
    told = await world.pipeline.story(world.project, "ada", one.id)
    [chapter] = [each for each in told if each.stage == "decide"]
    assert chapter.what == "Decided to send in a digest"
    assert chapter.detail["digest_id"] == (await decided(world, one)).digest_id


# --- words ------------------------------------------------------------------------------------------------------------


async def test_words_by_locale_over_all_of_them(anywhere: World) -> None:
    locales = {
        "en": {"title": "{{ count }} comments", "body": "{{ items | map(attribute='title') | join(', ') }}"},
        "de": {"title": "{{ count }} Kommentare", "body": "zuerst {{ first.title }}"},
    }
    await anywhere.define("templates", name="many", locales=locales)
    world = await digesting(anywhere, "ada", "bo", template="many", title=None, body=None, url="https://s/{{ count }}")
    await world.store.users.put(world.project.key, "bo", UserChange(locale="de-AT"), world.clock.now())
    for text in ("{{ user.user_id }} one", "two"):
        await comment(world, text, "ada", "bo", url="https://shop.example")
    await later(world, minutes=10)
    told = {out.address.address[-3:]: payload(out) for out in world.browser.sent}
    assert (told["ada"]["title"], told["ada"]["body"]) == ("2 comments", "ada one, two")
    assert (told["/bo"]["title"], told["/bo"]["body"]) == ("2 Kommentare", "zuerst bo one")
    assert told["ada"]["url"] == "https://s/2"
    assert told["ada"]["data"] == {"count": 2}


# --- people who go, crashes, other workers ----------------------------------------------------------------------------


async def test_a_merged_person_has_it_as_who_they_are_and_an_erased_one_not_at_all(anywhere: World) -> None:
    world = await digesting(anywhere)
    project = world.project.key
    device, *_ = await world.pipeline.register_anonymous(world.project, subscription("guest"))
    guest = await world.store.users.by_key(project, device.user)
    assert guest is not None
    both = await comment(world, "both", "ada", guest.user_id)
    await comment(world, "guest's", guest.user_id)
    await comment(world, "gone", "eve")
    await world.pipeline.merge(world.project, guest, "ada")
    await world.store.users.erase(project, "eve")
    await later(world, minutes=10)
    assert titles(world.browser.sent) == ["2 new comments"] * 2, "on both of her browsers"
    assert await world.reasons(both) == {"ada": "in_digest"}
    await world.store.users.erase(project, "ada")
    kept = (await world.store.trail.notifications(project, None, 10)).items
    assert "Bob" not in repr([one.message for one in kept if one.digest_of])
    assert await world.store.work.waiting() == {}


async def test_what_was_decided_for_the_known_person_is_not_decided_again_after_a_merge(anywhere: World) -> None:
    world = await digesting(anywhere, max_items=2)
    device, *_ = await world.pipeline.register_anonymous(world.project, subscription("guest"))
    guest = await world.store.users.by_key(world.project.key, device.user)
    assert guest is not None
    both = await comment(world, "both", "ada", guest.user_id)
    await comment(world, "the second ends her window", "ada")
    assert await world.reasons(both) == {"ada": "in_digest", guest.user_id: "digest"}
    await world.pipeline.merge(world.project, guest, "ada")
    await comment(world, "one more")
    await later(world, minutes=10)
    assert titles(world.browser.sent) == ["2 new comments", "one more", "one more"]
    assert await world.reasons(both) == {"ada": "in_digest"}


async def test_a_lost_lease_writes_nothing_and_the_second_look_finds_it_done(anywhere: World) -> None:
    world = await digesting(anywhere)
    found = [await comment(world, text) for text in "abc"]
    world.clock.advance(minutes=10)
    lost = await world.due()  # somebody holds all of them, and dies
    world.clock.advance(seconds=16)
    others = await world.due()
    assert len(lost) == len(others) == 3
    second = world.another_pipeline()
    for mine, theirs in zip(others, lost, strict=True):
        await second.step(mine)
        await world.pipeline.step(theirs)
    await world.work()
    assert titles(world.browser.sent) == ["3 new comments"]
    assert await reasons(world, *found) == ["in_digest"] * 3


async def test_a_category_that_has_no_digest_any_more_lets_go_what_it_had(anywhere: World) -> None:
    world = await digesting(anywhere)
    found = [await comment(world, text) for text in "ab"]
    await world.define("categories", name="comments")
    await later(world, minutes=10)
    assert sorted(titles(world.browser.sent)) == ["a", "b"]
    assert await reasons(world, *found) == ["send", "send"]


async def test_a_digest_all_of_which_is_cancelled_is_not_handed_over_any_more(anywhere: World) -> None:
    world = await digesting(anywhere)
    world.browser.otherwise = RetryAfter(60.0, "down")
    found = [await comment(world, text) for text in "ab"]
    await later(world, minutes=10)
    tries = len(world.browser.sent)
    assert tries > 0
    for one in found:
        await world.pipeline.cancel(world.project, one.id)
    await later(world, minutes=5)
    assert len(world.browser.sent) == tries
