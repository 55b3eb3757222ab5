"""What an agent makes of a message: acknowledged by its code, kept once, shown by its rules, answered."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from clarion.agent import browser
from clarion.agent.card import GENERIC, Card, Weight, card_of, place_of
from clarion.agent.display import Display, target_of
from clarion.agent.inbox import Inbox
from clarion.agent.outbox import Outbox
from clarion.agent.pictures import Pictures
from clarion.agent.reception import Reception
from clarion.agent.screen import InDoubt, ScreenAway
from clarion.agent.state import State
from clarion.crypto import base64url
from clarion.wire.autopush import AckCode, Notification
from clarion.wire.payload import WebPayload
from contract.support_agent import CHANNEL, RecordingScreen, payload, pushed


class Desk:
    """An agent without its connection: what arrives, what is shown, what would be reported."""

    def __init__(self, folder: Path, screen: RecordingScreen, http: aiohttp.ClientSession) -> None:
        self.path = folder / "agent.db"
        self.state = State(self.path)
        self.inbox, self.outbox = Inbox(self.state.db), Outbox(self.state.db)
        self.reception = Reception(self.state, self.inbox, self.outbox)
        self.screen = screen
        self.display = Display(self.state, self.inbox, self.outbox, screen, Pictures(http, folder / "pictures"))

    def receive(self, message: WebPayload | Notification) -> AckCode:
        if isinstance(message, WebPayload):
            message = pushed(self.state.kept.receiver, message)
        return self.reception.receive(message)

    async def show(self, *messages: WebPayload) -> bool:
        """Take them in and do one round; whether something is left."""
        for message in messages:
            assert self.receive(message) is AckCode.DELIVERED
        return await self.display.show_all()

    async def restart(self) -> None:
        """A new process on the same files, that runs until it waits."""
        self.state.close()
        self.__init__(self.path.parent, self.screen, self.display._pictures._http)  # type: ignore[misc]
        running = asyncio.create_task(self.display.run())
        for _ in range(50):
            await asyncio.sleep(0)
        running.cancel()

    @property
    def reports(self) -> list[tuple[str, str]]:
        return [(each.kind, each.receipt.removeprefix("receipt of ")) for each in self.outbox.batch(100)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser is given."""
    urls: list[str] = []
    monkeypatch.setattr(browser, "open_page", lambda url: browser.may_open(url) and not urls.append(url))
    return urls


@pytest.fixture
async def desk(tmp_path: Path, opened: list[str]) -> Any:
    async with aiohttp.ClientSession() as http:
        desk = Desk(tmp_path, RecordingScreen(), http)
        yield desk
        desk.state.close()


# --- arriving --------------------------------------------------------------------------------------------------------


async def test_a_message_is_on_disk_when_it_is_acknowledged(desk: Desk) -> None:
    assert desk.receive(payload()) is AckCode.DELIVERED
    other = State(desk.path)  # as after a crash
    assert [message.id for message in Inbox(other.db).waiting()] == ["d1"]
    assert [each.kind for each in Outbox(other.db).batch(9)] == ["delivered"]


async def test_a_repetition_is_acknowledged_and_not_shown(desk: Desk) -> None:
    await desk.show(payload())
    assert desk.receive(payload()) is AckCode.DELIVERED
    assert not await desk.display.show_all()
    assert desk.screen.titles == ["Title d1"]
    assert desk.reports == [("delivered", "d1"), ("displayed", "d1")]


async def test_an_outside_sender_is_understood(desk: Desk) -> None:
    receiver = desk.state.kept.receiver
    body = http_ece.encrypt(
        msgspec.json.encode(payload()),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=receiver.p256dh,
        auth_secret=receiver.auth,
        version="aes128gcm",
    )
    message = Notification(
        channel_id=CHANNEL, version="1", data=base64url.encode(body), headers={"encoding": "aes128gcm"}
    )
    assert desk.receive(message) is AckCode.DELIVERED


def changed(message: Notification, **fields: Any) -> Notification:
    return msgspec.structs.replace(message, **fields)


async def test_what_cannot_be_decrypted_is_said_so_and_shows_nothing(desk: Desk) -> None:
    good = pushed(desk.state.kept.receiver, payload())
    assert good.data is not None
    turned = "A" if good.data[-9] != "A" else "B"  # not the last one, of which some bits may mean nothing
    for bad in (
        changed(good, data=good.data[:-9] + turned + good.data[-8:]),
        changed(good, data="not base64url!"),
        changed(good, data=""),
        changed(good, data=None, headers=None),
        changed(good, headers={"encoding": "aesgcm", "encryption": "salt=x", "crypto_key": "dh=y"}),
    ):
        assert desk.receive(bad) is AckCode.NOT_DECRYPTED
    assert not await desk.display.show_all()
    assert (desk.screen.cards, desk.reports) == ([], [])
    assert desk.receive(good) is AckCode.DELIVERED


@pytest.mark.parametrize("plain", [b"", b"\xff", b"[]", b"{}", b'{"title": "x"}', b"null", b"[" * 3000])
async def test_what_is_no_payload_is_not_delivered(desk: Desk, plain: bytes) -> None:
    assert desk.receive(pushed(desk.state.kept.receiver, plain)) is AckCode.NOT_DELIVERED
    assert desk.inbox.waiting() == []


async def test_fields_of_newer_servers_are_no_harm(desk: Desk) -> None:
    actions = [{"id": "track", "title": "Track", "haptics": "strong"}]
    newer = {"v": 2, "hologram": True, "actions": actions}
    plain = msgspec.json.encode(msgspec.to_builtins(payload()) | newer)
    assert desk.receive(pushed(desk.state.kept.receiver, plain)) is AckCode.DELIVERED


# --- showing ---------------------------------------------------------------------------------------------------------


async def test_messages_are_shown_in_their_order_and_reported(desk: Desk) -> None:
    assert not await desk.show(payload("d1"), payload("d2"))
    assert desk.screen.titles == ["Title d1", "Title d2"]
    assert desk.reports == [(kind, id) for kind in ("delivered", "displayed") for id in ("d1", "d2")]


async def test_what_replaces_takes_the_place_without_a_sound_unless_it_asks_for_one(desk: Desk) -> None:
    loud = {"tag": "order", "update": "replace", "renotify": True}
    await desk.show(payload("d1", tag="order"), payload("d2", tag="order", update="replace"), payload("d3", **loud))
    assert [(card.id, card.sound) for card in desk.screen.cards] == [(place_of("order"), "default")], (
        "the newest of three"
    )
    for id, more, sound in (("d4", {"tag": "order", "update": "replace"}, None), ("d5", loud, "default")):
        await desk.show(payload(id, **more))
        assert (desk.screen.cards[-1].id, desk.screen.cards[-1].sound) == (place_of("order"), sound)
    await desk.show(payload("d6", tag="other", update="replace"))
    assert desk.screen.cards[-1].sound == "default", "nothing was there: it is the first"


async def test_what_is_withdrawn_is_closed_also_after_a_restart_and_never_shown_if_it_waits(desk: Desk) -> None:
    gone = {"tag": "order", "update": "withdraw", "title": "", "body": ""}
    await desk.show(payload("d1", tag="order"))
    desk.screen.away = True
    assert await desk.show(payload("d2", **gone), payload("d3", tag="order", update="replace"), payload("d4", **gone))
    desk.screen.away = False
    await desk.restart()
    assert (desk.screen.titles, desk.screen.taken_down) == (["Title d1"], [place_of("order")])
    assert [each for each in desk.reports if each[1] == "d4"] == [("delivered", "d4")]
    desk.screen.answer(desk.screen.cards[0], clicked=False)
    assert ("dismissed", "d1") not in desk.reports


async def test_while_there_is_no_screen_messages_wait_on_disk(desk: Desk) -> None:
    desk.screen.away = True
    assert await desk.show(payload())
    await desk.restart()
    assert desk.screen.cards == []
    desk.screen.away = False
    await desk.restart()
    assert desk.screen.titles == ["Title d1"]
    assert desk.reports == [("delivered", "d1"), ("displayed", "d1")]


async def test_hidden_from_a_locked_screen_until_it_is_unlocked(desk: Desk) -> None:
    desk.screen.lock = True
    assert await desk.show(payload("d1", lock_screen="hide"), payload("d2"))
    assert desk.screen.titles == ["Title d2"]
    assert desk.reports == [("delivered", "d1"), ("delivered", "d2"), ("displayed", "d2")]
    desk.screen.lock = False
    assert not await desk.display.show_all()
    assert desk.screen.titles == ["Title d2", "Title d1"]
    assert desk.screen.cards[-1].body == "Body"


async def test_where_nobody_knows_whether_it_is_locked_the_content_is_hidden(desk: Desk) -> None:
    desk.screen.lock = None
    await desk.show(payload(lock_screen="hide"))
    assert (desk.screen.titles, desk.screen.cards[0].body) == (["Title d1"], GENERIC)


async def test_a_screen_that_refuses_the_trimmings_gets_the_words(desk: Desk) -> None:
    desk.screen.refuse = lambda card: ScreenAway("no buttons here") if card.buttons else None
    actions = [{"id": "go", "title": "Go"}]
    assert await desk.show(payload(actions=actions))
    assert not await desk.display.show_all()
    assert desk.screen.cards == [Card(place_of("d1"), "Title d1", "Body")]


async def test_a_message_that_no_screen_takes_is_given_up_and_the_next_one_comes(desk: Desk) -> None:
    desk.screen.refuse = lambda card: ScreenAway("never") if card.title == "Title d1" else None
    await desk.show(payload("d1"), payload("d2"))
    for _ in range(10):
        left = await desk.display.show_all()
    assert not left
    assert desk.screen.titles == ["Title d2"]
    assert ("displayed", "d1") not in desk.reports


@pytest.mark.parametrize(("in_place", "again"), [(False, []), (True, ["Title d1"])])
async def test_killed_in_doubt_it_is_shown_again_only_where_that_is_no_second_one(
    desk: Desk, in_place: bool, again: list[str]
) -> None:
    desk.screen.in_place = in_place
    desk.receive(payload())
    desk.inbox.attempt("d1")  # and here it is killed, before the screen answered
    await desk.restart()
    assert desk.screen.titles == again
    assert desk.inbox.waiting() == []
    assert (("displayed", "d1") in desk.reports) == bool(again), "only what was proven"


async def test_a_screen_that_does_not_answer_is_not_asked_twice(desk: Desk) -> None:
    desk.screen.refuse = lambda _: InDoubt("silence")
    assert not await desk.show(payload())
    desk.screen.refuse = lambda _: None
    assert not await desk.display.show_all()
    assert desk.screen.cards == []
    assert desk.reports == [("delivered", "d1")]


async def test_it_is_asked_again_where_that_is_no_second_one(desk: Desk) -> None:
    desk.screen.in_place = True
    desk.screen.refuse = lambda _: InDoubt("silence")
    assert await desk.show(payload())
    desk.screen.refuse = lambda _: None
    assert not await desk.display.show_all()
    assert desk.screen.titles == ["Title d1"]


# --- answering -------------------------------------------------------------------------------------------------------

ACTIONS = [{"id": "track", "title": "Track", "url": "https://shop.example/track"}, {"id": "no", "title": "No"}]


async def test_a_tap_opens_the_page_once_and_is_reported(desk: Desk, opened: list[str]) -> None:
    await desk.show(payload(actions=ACTIONS))
    for _ in range(2):
        desk.screen.answer(desk.screen.cards[0])
    desk.screen.answer(desk.screen.cards[0], clicked=False)
    assert opened == ["https://shop.example/order"]
    assert desk.reports[2:] == [("clicked", "d1")]


async def test_a_button_opens_its_page_or_that_of_the_notification(desk: Desk, opened: list[str]) -> None:
    await desk.show(payload("d1", actions=ACTIONS), payload("d2", actions=ACTIONS))
    for card, action in zip(desk.screen.cards, ("track", "no"), strict=True):
        desk.screen.answer(card, action=action)
    assert opened == ["https://shop.example/track", "https://shop.example/order"]
    assert [each.action for each in desk.outbox.batch(9)[4:]] == ["track", "no"]


async def test_put_away_opens_nothing(desk: Desk, opened: list[str]) -> None:
    await desk.show(payload())
    desk.screen.answer(desk.screen.cards[0], clicked=False)
    assert (opened, desk.reports[-1]) == ([], ("dismissed", "d1"))


async def test_a_tap_after_a_restart(desk: Desk, opened: list[str]) -> None:
    await desk.show(payload())
    await desk.restart()
    assert desk.screen.earlier == {place_of("d1"): "handle of Title d1"}
    desk.screen.answer(desk.screen.cards[0])
    assert opened == ["https://shop.example/order"]
    assert desk.reports[-1] == ("clicked", "d1")


@pytest.mark.parametrize(
    "url",
    [
        *(
            None,
            "",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "/orders",
            "http://",
            "https:",
            "x-app://open",
            "-flag",
        ),
        *("http://shop.example/\n--evil", "http://[bad"),
    ],
)
async def test_only_web_pages_are_opened(desk: Desk, opened: list[str], url: str | None) -> None:
    await desk.show(payload(url=url))
    desk.screen.answer(desk.screen.cards[0])
    assert opened == []
    assert desk.reports[-1] == ("clicked", "d1")


def test_an_unknown_button_leads_where_the_notification_does() -> None:
    assert target_of(payload(actions=ACTIONS), "gone") == "https://shop.example/order"


# --- how it looks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, Weight.NORMAL),
        ({"class": "marketing", "require_interaction": True, "urgency": "high"}, Weight.LOW),
        ({"class": "mandatory"}, Weight.NORMAL),
        ({"class": "mandatory", "require_interaction": True}, Weight.CRITICAL),
        ({"require_interaction": True}, Weight.NORMAL),
        ({"urgency": "low"}, Weight.LOW),
        ({"urgency": "very-low"}, Weight.LOW),
        ({"urgency": "high"}, Weight.NORMAL),
    ],
)
def test_only_what_is_mandatory_breaks_through_do_not_disturb(told: dict[str, Any], expected: Weight) -> None:
    assert card_of(payload(**told), lock_known=True).weight is expected


@pytest.mark.parametrize(
    ("lock_screen", "lock_known", "hidden"),
    [("show", False, False), ("hide_content", True, True), ("hide", True, False), ("hide", False, True)],
)
def test_what_a_locked_screen_may_show(tmp_path: Path, lock_screen: str, lock_known: bool, hidden: bool) -> None:
    image = tmp_path / "image.png"
    card = card_of(payload(lock_screen=lock_screen), lock_known=lock_known, image=image)
    assert (card.title, card.body) == ("Title d1", GENERIC if hidden else "Body")
    assert (card.image is None) == hidden, "an image tells as much as words"


def test_sounds() -> None:
    assert card_of(payload(), lock_known=True).sound == "default"
    assert card_of(payload(sound="bell"), lock_known=True).sound == "bell"
    assert card_of(payload(sound="bell", silent=True), lock_known=True).sound is None


@given(st.text(max_size=50), st.text(max_size=300))
def test_any_text_can_be_shown(title: str, tag: str) -> None:
    told = payload(title=title, tag=tag)
    card = card_of(told, lock_known=True)
    assert card.title == title.replace("\0", "")
    assert len(card.id) == 32
    card.title.encode()


def test_a_tag_is_a_place() -> None:
    assert place_of("order-1") == place_of("order-1") != place_of("order-2")
