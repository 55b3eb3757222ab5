"""The demo's live page tells what became of it: at once, in order, with its reasons, and for no longer than asked."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.demo import live
from clarion.demo.app import MOST_WATCHERS
from clarion.demo.telling import WAY, Origin, tell
from clarion.demo.words import REASONS
from clarion.errors import Unavailable
from clarion.journey.story import Chapter
from clarion.model import Audience, Message, Notification, Reason, ReceiptKind
from contract.support_demo import Shop, Watcher, ask, shop

__all__ = ["shop"]


def states(journey: dict) -> dict[str, str]:
    return {step["stage"]: step["state"] for step in journey["way"]}


async def test_the_live_page_follows_a_notification_to_the_tap(shop: Shop) -> None:
    world = shop.world
    watcher = Watcher(shop.app, shop.visitor)
    started = await watcher.start()
    assert started.headers["content-type"].startswith("text/event-stream")
    assert (await watcher.view())["journeys"] == []

    await world.subscribe(shop.visitor, model="Firefox 153 on Linux")
    assert [entry["stage"] for entry in (await watcher.view())["person"]] == ["permission", "registration"]

    world.clock.advance(seconds=60)
    order = await shop.order()
    [journey] = (await watcher.view())["journeys"]
    assert (journey["id"], journey["title"]) == (None, "order_placed")
    assert order in journey["entries"][0]["text"]
    assert [stage for stage, state in states(journey).items() if state == "done"] == list(WAY[:3])

    key = journey["key"]
    world.clock.advance(20)
    await world.work()
    while (journey := (await watcher.view())["journeys"][0])["way"][6]["state"] != "done":
        pass
    assert journey["key"] == key
    assert journey["category"] == "My orders"
    [decision] = [entry for entry in journey["entries"] if entry["stage"] == "decide"]
    assert ["consent", "pass", "on by default"] in decision["gates"]

    world.clock.advance(15)
    await world.device_tells(world.browser.sent[0], ReceiptKind.DELIVERED, ReceiptKind.DISPLAYED)
    [journey] = (await watcher.view())["journeys"]
    assert (states(journey)["display"], states(journey)["learn"]) == ("done", "wait")
    world.clock.advance(4000)
    await world.device_tells(world.browser.sent[0], ReceiptKind.CLICKED, action="track")
    [journey] = (await watcher.view())["journeys"]
    assert set(states(journey).values()) == {"done"}
    assert [step["took"] for step in journey["way"]] == [None, None, None, 20, 0, 0, 15, 0, 4000]
    assert journey["entries"][-1]["title"] == "Tapped: “track”"
    watcher.leave()
    await watcher.task


@pytest.mark.parametrize(
    ("subscribed", "what", "reason"), [(True, "offer", "no_consent"), (False, "sign_in", "no_device")]
)
async def test_a_drop_is_shown_with_its_reason(shop: Shop, subscribed: bool, what: str, reason: str) -> None:
    if subscribed:
        await shop.world.subscribe(shop.visitor)
    await shop.happen(what)
    await shop.world.work()
    watcher = Watcher(shop.app, shop.visitor)
    [journey] = (await watcher.view())["journeys"]
    assert states(journey)["decide"] == "stop"
    assert states(journey)["compose"] == "open"
    last = journey["entries"][-1]
    assert (last["title"], last["text"], last["tone"]) == (f"Drop: {reason}", REASONS[reason], "bad")
    assert last["gates"][-1][1] == "drop"
    watcher.leave()
    await watcher.task


async def test_a_notification_by_call_has_no_event_and_is_shown_all_the_same(shop: Shop) -> None:
    await shop.world.subscribe(shop.visitor)
    await shop.world.notify(shop.visitor, title="By hand")
    await shop.world.work()
    watcher = Watcher(shop.app, shop.visitor)
    [journey] = (await watcher.view())["journeys"]
    assert (journey["title"], journey["entries"][0]["title"]) == ("By hand", "A call asked for it")
    watcher.leave()
    await watcher.task


async def test_only_changes_are_sent_and_silence_has_a_heartbeat(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.01)
    watcher = Watcher(shop.app, shop.visitor)
    await watcher.start()
    assert (await watcher.chunk()).startswith("retry:")
    assert (await watcher.chunk()).startswith("event: story")
    assert [await watcher.chunk() for _ in range(3)] == [": still here\n\n"] * 3
    watcher.leave()
    await watcher.task


async def test_a_watcher_that_leaves_or_a_server_that_stops_ends_the_stream(shop: Shop) -> None:
    leaver, stayer = Watcher(shop.app, "ada"), Watcher(shop.app, "bob")
    await leaver.view()
    await stayer.view()
    leaver.leave()
    await asyncio.wait_for(leaver.task, 5)
    assert not stayer.task.done()
    shop.app.stop()
    await asyncio.wait_for(stayer.task, 5)
    assert (await ask(shop.app, "GET", "/live/events?user=ada")).status == 503


async def test_the_stream_outlives_a_database_that_is_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(shop.app, shop.visitor)
    await watcher.view()
    tell_story = shop.world.pipeline.story

    async def away(*_arguments: object) -> list[Chapter]:
        monkeypatch.setattr(shop.world.pipeline, "story", tell_story)
        raise Unavailable("the database is away", retry_after=1)

    monkeypatch.setattr(shop.world.pipeline, "story", away)
    await shop.order()
    assert (await watcher.view())["journeys"][0]["title"] == "order_placed"
    watcher.leave()
    await watcher.task


async def test_watchers_are_bounded(shop: Shop) -> None:
    watchers = [Watcher(shop.app, "ada") for _ in range(MOST_WATCHERS)]
    for watcher in watchers:
        await watcher.start()
    refused = await ask(shop.app, "GET", "/live/events?user=ada")
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    for watcher in watchers:
        watcher.leave()
    await asyncio.gather(*(watcher.task for watcher in watchers))
    again = Watcher(shop.app, "ada")
    assert (await again.start()).status == 200
    again.leave()
    await again.task


@pytest.mark.parametrize("query", ["", "?user=", f"?user={'x' * 257}"])
async def test_a_stream_needs_a_user(shop: Shop, query: str) -> None:
    answer = await ask(shop.app, "GET", f"/live/events{query}")
    assert answer.status == 400
    assert "user" in answer.json["detail"]


async def test_the_live_page_is_of_the_asked_user_else_of_the_visitor(shop: Shop) -> None:
    assert f'data-user="{shop.visitor}"' in (await ask(shop.app, "GET", "/live", shop.cookie)).text
    assert 'data-user="a&lt;b"' in (await ask(shop.app, "GET", "/live?user=a%3Cb")).text
    stranger = await ask(shop.app, "GET", "/live")
    assert f'data-user="{stranger.headers["set-cookie"].split("=")[1].split(";")[0]}"' in stranger.text


# --- telling --------------------------------------------------------------------------------------------------------

receipts = st.lists(
    st.tuples(st.sampled_from(["delivered", "displayed", "clicked", "dismissed"]), st.integers(-5000, 5000)), max_size=8
)


@given(reason=st.sampled_from(list(Reason)), told=receipts, state=st.sampled_from(["queued", "accepted", "failed"]))
def test_the_way_has_nine_stages_in_order_and_no_time_runs_backwards(
    reason: Reason, told: list[tuple[str, int]], state: str
) -> None:
    start = 1_000_000
    named = {"notification_id": "n1"}
    verdict = "send" if reason is Reason.SEND else "drop"
    chapters = [
        Chapter(start + 5, "decide", "", {**named, "decision": verdict, "reason": str(reason), "gates": []}),
        Chapter(start + 5, "deliver", "", {**named, "kind": "webpush", "state": state, "reason": None, "attempts": 1}),
        *(Chapter(start + at, "display", "", {**named, "kind": kind, "action": None}) for kind, at in told),
    ]
    notification = Notification(
        key=1, id="n1", project=1, message=Message(title="Hello"), to=Audience(users=["ada"]), created_at=start
    )
    view = tell("ada", chapters, {"n1": Origin(notification, None)}, {})
    [journey] = view.journeys
    assert tuple(step.stage for step in journey.way) == WAY
    assert all(step.took is None or step.took >= 0 for step in journey.way)
    assert all(entry.title for entry in journey.entries)
    if verdict == "drop":
        assert [step.state for step in journey.way[4:]] == ["stop", "open", "open", "open", "open"]


def test_every_reason_has_its_sentence() -> None:
    assert set(REASONS) == set(Reason)
