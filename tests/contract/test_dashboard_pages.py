"""The dashboard's pages as people use them, without scripts: what they say, what they send, and what they never do."""

import re
from html import unescape
from unittest.mock import AsyncMock

import pytest

from clarion.dashboard.session import PREFIX
from clarion.errors import RateLimited
from clarion.model import DeviceKind, ReceiptKind
from clarion.ports import Dimension, LossAlert, LossCount, Stoppage, StopReason
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.support_dashboard import Person, with_dashboard
from story.world import World, payload

NASTY = '"><script>alert(1)</script>{{ 7 * 7 }}'
DAY_MS = 86_400_000


@pytest.fixture
async def world(clock: ManualClock, chance: SeededChance) -> World:
    world = await World(MemoryStore(clock), clock, chance).begin("Harbour Goods")
    await world.define("categories", name="offers", title="Offers", channels=["push"], **{"class": "marketing"})
    for user in ("u1", "u2"):
        await world.subscribe(user)
    await world.store.users.resolve(world.project.key, ["nobody"], clock.now(), create=True)
    return world


@pytest.fixture
async def person(world: World) -> Person:
    person = Person(with_dashboard(world))
    await person.sign_in(world.founded.server_key)
    return person


async def sent(world: World) -> list[str]:
    await world.work()
    return sorted(payload(message)["title"] for message in world.browser.sent)


async def stored(world: World) -> int:
    return len((await world.store.trail.notifications(world.project.key, None, 100)).items)


# --- compose ---------------------------------------------------------------------------------------------------------


async def test_a_message_is_tried_out_and_then_sent(world: World, person: Person) -> None:
    await person.get("/compose")
    fields = {"title": "Your order left", "body": "Today.", "url": "https://shop.example/", "to": "everyone"}
    await person.submit("/compose", action="try", **fields)
    assert "2 66.7 % would get it" in person.words
    assert "Has no device no_device" in person.words
    assert "no active device" in person.words
    assert await stored(world) == 0

    await person.submit("/compose", action="send", **fields)
    assert "Your order left" in person.words
    assert await sent(world) == ["Your order left"] * 2
    [made] = (await world.store.trail.notifications(world.project.key, None, 10)).items
    [key] = [one for one in await world.store.projects.keys(world.project.key) if one.kind == "server"]
    assert (made.sent_by, made.message.url, made.to.everyone) == (key.id, "https://shop.example/", True)
    await person.get("/notifications")
    assert made.id in person.text


async def test_pressing_send_twice_sends_once_and_another_text_is_another_notification(
    world: World, person: Person
) -> None:
    await person.get("/compose")
    first = {"title": "First", "to": "users", "users": "u1\r\n u1 \r\n\r\nu2"}
    await person.submit("/compose", action="try", **first)
    form = person.hidden
    for _ in range(2):
        await person.post("/compose", **(form | first | {"action": "send"}))
    assert await stored(world) == 1
    assert await sent(world) == ["First", "First"]
    # Back in the browser's history, and changed there: what was not seen is shown, and not sent.
    second = first | {"title": "Second"}
    await person.post("/compose", **(form | second | {"action": "send"}))
    assert "It changed since you looked" in person.words
    assert await stored(world) == 1
    await person.submit("/compose", action="send", **second)
    assert await stored(world) == 2
    assert await sent(world) == ["First", "First", "Second", "Second"]
    # The same again on a page of its own is meant.
    await person.get("/compose")
    for action in ("try", "send"):
        await person.submit("/compose", action=action, **second)
    assert await stored(world) == 3


async def test_a_segment_and_a_topic_are_offered_by_what_they_mean(world: World, person: Person) -> None:
    await person.get("/compose")
    assert "A segment" not in person.words
    project = world.project.key
    rule = {"type": "user", "field": "user_id", "op": "eq", "value": "u1"}
    await world.define("segments", name="one", rule=rule)
    await world.define("topics", name="news")
    await world.store.audiences.add(project, "topic", "news", ["u2"], world.clock.now())
    await person.get("/compose")
    assert 'one · people whose user_id is "u1"' in person.words
    for whom in ({"to": "segment", "segment": "one", "users": "u2"}, {"to": "topic", "topic": "news"}):
        for action in ("try", "send"):
            await person.submit("/compose", action=action, title=f"For {whom['to']}", **whom)
        await person.get("/compose")
    assert await sent(world) == ["For segment", "For topic"]
    made = (await world.store.trail.notifications(project, None, 10)).items
    assert {(one.to.segment, one.to.topic) for one in made} == {("one", None), (None, "news")}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": ""}, "is needed unless a template is given"),
        ({"title": "Hello", "url": "javascript:alert(1)"}, "must begin with https://"),
        ({"title": "Hello", "category": "nothing"}, "there is no category nothing"),
        ({"title": "Hello", "to": "users", "users": " \n"}, "name at least one user id"),
        ({"title": "Hello", "to": "users", "users": "u1\n" + "x" * 256}, "line 2"),
        ({"title": "Hello", "to": "nobody"}, "must be one of everyone, segment, topic, users"),
        ({"title": "Hello", "to": "segment", "segment": "gone"}, "there is no segment gone"),
        ({"title": "Hello", "to": "topic", "topic": "gone"}, "there is no topic gone"),
        ({"title": "Hello {{ user.name"}, "title"),
        ({"title": "x" * 2_001}, "more than 2000 characters"),
        ({"title": "Hello", "once": "../../x"}, "load the page again"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_sent(
    world: World, person: Person, fields: dict[str, str], said: str
) -> None:
    for action in ("try", "send"):
        await person.get("/compose")
        if "once" in fields:
            await person.submit("/compose", action="try", **fields)
        answer = await person.submit("/compose", action="send" if "once" in fields else action, **fields)
        assert answer.status == 400
        assert said in person.words
    assert await stored(world) == 0


async def test_a_title_that_promises_too_much_is_told_while_typing_and_when_tried(world: World, person: Person) -> None:
    await person.get("/compose")
    fields = {"title": "LAST CHANCE!!! 50 % off", "body": "Have a look."}
    form = person.hidden
    await person.post("/compose/look", **(form | fields))
    assert {"urgency", "marks", "claim_percent"} <= set(re.findall(r"<code>(\w+)</code>", person.text))
    assert "<html" not in person.text
    await person.post("/compose", **(form | fields | {"action": "try"}))
    assert "warning claim_percent" in person.words
    assert "would get it" in person.words


async def test_a_rule_that_blocks_is_set_in_the_settings_and_blocks(world: World, person: Person) -> None:
    await person.get("/settings")
    await person.submit("/settings/rules", **{"rule.clickbait": "block", "rule.marks": "off"})
    assert "Saved." in person.words
    assert (await world.catalog.project(world.project.key)).settings.lint == {"clickbait": "block", "marks": "off"}
    await person.get("/compose")
    fields = {"title": "You won't believe these shoes!!!", "action": "send"}
    answer = await person.submit("/compose", **fields)
    assert answer.status == 400
    assert "blocks clickbait" in person.words
    assert "marks" not in re.findall(r"<code>(\w+)</code>", person.text)
    assert await stored(world) == 0
    await person.get("/settings")
    await person.submit("/settings/rules", **{"rule.clickbait": "warn"})
    assert (await world.catalog.project(world.project.key)).settings.lint == {"marks": "off"}
    for wrong in ({"rule.clickbate": "off"}, {"rule.clickbait": "loud"}):
        await person.get("/settings")
        assert (await person.submit("/settings/rules", **wrong)).status == 400
    assert (await world.catalog.project(world.project.key)).settings.lint == {"marks": "off"}


async def test_so_much_waits_that_nothing_more_is_taken(world: World) -> None:
    async def full(_: int) -> None:
        raise RateLimited("too much work is waiting; nothing was accepted", retry_after=5)

    person = Person(with_dashboard(world, backlog=full))
    await person.sign_in(world.founded.server_key)
    await person.get("/compose")
    await person.submit("/compose", title="Hello", action="try")
    answer = await person.submit("/compose", title="Hello", action="send")
    assert (answer.status, answer.headers["retry-after"]) == (429, "5")
    assert "nothing was accepted" in person.words
    assert await stored(world) == 0


# --- what was sent ---------------------------------------------------------------------------------------------------


async def test_one_notification_tells_how_far_it_came_and_why_not(world: World, person: Person) -> None:
    notification = await world.notify("u1", "u2", "nobody", title="Hello")
    await person.get(f"/notifications/{notification.id}")
    assert "State running" in person.words
    assert 'data-open="yes"' in person.text
    await world.work()
    await world.device_tells(world.browser.sent[0], ReceiptKind.DELIVERED, ReceiptKind.CLICKED)
    await person.get(f"/notifications/{notification.id}/progress")
    assert "State done 3 decided, 2 to send" in person.words
    assert "Sent 2 to devices" in person.words
    assert "Delivered 50 % 1 of sent" in person.words
    assert 'data-open="no"' in person.text
    await person.get(f"/notifications/{notification.id}?user_id=nobody")
    assert "drop nobody Has no device no_device" in person.words
    assert "device no active device" in person.words
    await person.get(f"/notifications/{notification.id}?reason=send")
    assert "send u1" in person.words
    assert "drop nobody" not in person.words
    await person.get(f"/notifications/{notification.id}?cursor=x")
    assert person.page.status == 400


async def test_what_waits_is_cancelled_here(world: World, person: Person) -> None:
    notification = await world.notify("u1", send_at=world.clock.now() + DAY_MS)
    await world.work()
    await person.get(f"/notifications/{notification.id}")
    assert "State scheduled" in person.words
    await person.submit(f"/notifications/{notification.id}/cancel")
    assert "State cancelled" in person.words
    assert "Cancel it" not in person.words
    world.clock.advance(DAY_MS)
    assert await sent(world) == []


async def test_the_overview_counts_the_days_and_says_what_is_wrong(world: World, person: Person) -> None:
    for days in (8, 0):
        await world.notify("u1", "u2", "nobody", title="Hello")
        await world.work()
        await world.device_tells(world.browser.sent[-1], ReceiptKind.CLICKED)
        world.clock.advance(days * DAY_MS)
    now = world.clock.now()
    stop = Stoppage(
        project=world.project.key,
        kind=DeviceKind.APNS,
        lane="production/com.harbour",
        reason=StopReason.BAD_CREDENTIALS,
        detail="403 InvalidProviderToken",
        credential="team",
        since=now,
        again_at=now + 60_000,
        failures=3,
    )
    await world.store.stoppages.put(stop)
    world.clock.advance(11_000)
    await person.sign_in(world.founded.server_key)
    await person.get("?range=7d")
    assert "Sent 2 to devices Delivered 50 % 1 of sent Clicked 100 % 1 of delivered Held 0" in person.words
    assert "Dropped 1 33.3 % of decisions" in person.words
    assert "iOS · production/com.harbour: The push service refuses our key 403 InvalidProviderToken" in person.words
    await person.get("?range=30d")
    assert "Sent 4 to devices" in person.words
    assert "Dropped 2" in person.words
    await person.get("?range=1d")
    assert "Sent 2 to devices" in person.words


async def test_a_person_is_found_with_devices_consents_and_story(world: World, person: Person) -> None:
    await world.notify("u1", category="offers", title="Sale")
    await world.work()
    await person.get("/people?user_id=u1")
    for told in ("Web active", "Offers push off", "Decided to drop: no_consent", "consent never asked, off by default"):
        assert told in person.words
    assert (await person.get("/people?user_id=U1")).status == 404
    assert "There is no user U1 in this project" in person.words


# --- every page ------------------------------------------------------------------------------------------------------


async def test_no_page_needs_anything_but_its_own_files_or_runs_what_others_wrote(world: World, person: Person) -> None:
    await world.define("categories", name="nasty", title=NASTY, description=NASTY, channels=["push"])
    await world.subscribe(NASTY)
    notification = await world.notify(NASTY, title=NASTY, body=NASTY, category="nasty")
    await world.work()
    user = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%7B%7B%207%20*%207%20%7D%7D"
    seen = []
    for path in ("", "/notifications", f"/notifications/{notification.id}", f"/people?user_id={user}", "/settings"):
        assert (await person.get(path)).status == 200
        seen.append(person.page)
    await person.get("/compose")
    seen.append(person.page)
    await person.submit("/compose", title=NASTY, body=NASTY, url="https://x.example/", category="nasty", action="try")
    seen.append(person.page)
    assert NASTY in unescape(person.text)
    seen += [await person.get("/nothing"), await Person(with_dashboard(world)).get("/sign-in")]
    for page in seen:
        html = page.body.decode()
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|<script>alert", html)
        for address in map(unescape, re.findall(r'(?:src|href|action)="([^"]*)"', html)):
            assert address.startswith((PREFIX, "#")), address


async def test_the_files_of_the_pages_are_there_for_everybody_and_nothing_else_is(world: World, person: Person) -> None:
    await person.get()
    stranger = Person(with_dashboard(world))
    files = {path.removeprefix(PREFIX) for path in re.findall(r'"(/dashboard/assets/[^"]*)"', unescape(person.text))}
    assert len(files) == 4
    for path in files:
        assert (await stranger.get(path)).status == 200
    for path in ("/assets/../app.py", "/assets/..%2fapp.py", "/assets/nothing.css"):
        assert (await stranger.get(path)).status == 404
    assert (await person.post("", **person.token)).status == 405


# --- losses ----------------------------------------------------------------------------------------------------------


async def test_losses_stand_beside_taps_with_their_intervals(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.pipeline.losses, "refresh", AsyncMock())  # what is counted is not the page's part
    today = world.clock.now() // DAY_MS * DAY_MS
    counts = [
        LossCount(dimension=Dimension.CATEGORY, day=today, name=name, reached=1000, delivered=900, **more)
        for name, more in {
            "offers": {"tapped": 120, "lost": 12, "opt_outs": 10, "permissions": 2, "subscriptions": 0},
            NASTY: {"tapped": 300, "lost": 0, "opt_outs": 0, "permissions": 0, "subscriptions": 0},
        }.items()
    ]
    await person.get("/losses")
    assert "Nobody was reached" in person.words
    await world.store.losses.put(world.project.key, today, counts)
    alert = LossAlert(
        project=world.project.key,
        dimension=Dimension.CATEGORY,
        name="offers",
        since=world.clock.now(),
        reached=1000,
        lost=12,
        usual_reached=4000,
        usual_lost=16,
        ratio_low=1.4,
    )
    await world.store.losses.put_alerts(world.project.key, [alert])
    await person.get("/losses?by=category&days=1")
    assert "offers 3.0 times as many as usual" in person.words
    assert "1 000 12 % 10 % to 14 % 1.2 % 0.69 % to 2.1 % 12: 10 said no, 2 device says no" in person.words
    assert person.words.index("offers 3.0 times") < person.words.index(NASTY)
    assert NASTY not in person.text
    await person.get("")
    assert "Category offers: 3.0 times as many as usual are lost" in person.words
    assert "12 within 24 hours" in person.words
    await person.get("/losses?by=campaign")
    assert "offers" not in person.words
