"""The agent's screen on a desktop's own bus: what it tells the notification service, and what it takes as an answer."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from desktop_agent import screen_saver
from harness import Desktop, Notification, require
from harness import desktop as harness

from clarion.agent.card import Card, Weight
from clarion.agent.screen import Answer, DesktopScreen, ScreenAway

pytestmark = pytest.mark.browser


@pytest.fixture
async def desktop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desktop]:
    require("dbus-daemon")
    monkeypatch.delenv("XDG_SESSION_ID", raising=False)
    async with Desktop() as desktop:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", desktop.address)
        yield desktop


class Person:
    """In front of a screen: what they did with which card."""

    def __init__(self) -> None:
        self.screen = DesktopScreen(lambda: "Shop")
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()

    async def looks(self, earlier: dict[str, str] | None = None) -> "Person":
        await self.screen.ready(self.answers.put_nowait, earlier or {})
        return self

    async def answer(self) -> Answer:
        return await asyncio.wait_for(self.answers.get(), 10)


@pytest.fixture
async def person(desktop: Desktop) -> Person:
    return await Person().looks()


async def test_everything_on_a_card(person: Person, desktop: Desktop, tmp_path: Path) -> None:
    card = Card(
        *("place", "Title", "Body"),
        weight=Weight.CRITICAL,
        sound="bell",
        stays=True,
        buttons=(("go", "Go"), ("no", "No")),
        icon=tmp_path / "icon.png",
        image=tmp_path / "image.png",
    )
    await person.screen.show(card)
    shown = await desktop.next_notification()
    assert (shown.app_name, shown.summary, shown.body) == ("Shop", "Title", "Body")
    assert shown.actions == {"default": "", "go": "Go", "no": "No"}
    assert shown.icon == (tmp_path / "icon.png").as_uri()
    assert shown.expire_ms == 0
    assert shown.hints == {"urgency": 2, "sound-name": "bell", "image-path": (tmp_path / "image.png").as_uri()}


@pytest.mark.parametrize("button", ["default", "go", None])
async def test_an_answer_that_comes_at_once(person: Person, desktop: Desktop, button: str | None) -> None:
    """As fast as a machine taps: it stands right behind the reply to `Notify`."""
    record = desktop.show

    def react(notification: Notification) -> None:
        record(notification)
        answer = (
            partial(desktop.dismiss, notification) if button is None else partial(desktop.click, notification, button)
        )
        asyncio.get_running_loop().call_soon(answer)

    desktop.show = react  # type: ignore[method-assign]
    await person.screen.show(Card("place", "Title", "", buttons=(("go", "Go"),)))
    assert await person.answer() == Answer("place", button is not None, "go" if button == "go" else None)


async def test_a_newer_card_takes_the_place_without_a_gap(person: Person, desktop: Desktop) -> None:
    await person.screen.show(Card("a", "Old", ""))
    await person.screen.show(Card("b", "Other", ""))
    await person.screen.show(Card("a", "New", ""))
    old, other, new = desktop.notifications
    assert (old.replaces_id, other.replaces_id, new.replaces_id) == (0, 0, old.id)
    desktop.click(new)
    assert await person.answer() == Answer("a", clicked=True)
    await person.screen.show(Card("a", "Newest", ""))
    assert desktop.notifications[-1].replaces_id == 0, "it was gone"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([], "<b>1 & 2</b>"), (["body-markup"], "&lt;b&gt;1 &amp; 2&lt;/b&gt;")],
)
async def test_words_are_never_taken_for_markup(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, capabilities: list[str], expected: str
) -> None:
    monkeypatch.setattr(harness, "_CAPABILITIES", ["body", "actions", *capabilities])
    person = await Person().looks()
    await person.screen.show(Card("a", "<b>", "<b>1 & 2</b>"))
    shown = await desktop.next_notification()
    assert (shown.summary, shown.body) == ("<b>", expected)


async def test_what_an_earlier_process_showed_is_known_again(person: Person, desktop: Desktop) -> None:
    earlier = {place: await person.screen.show(Card(place, f"Title {place}", "")) for place in ("a", "b")}
    known = {place: handle for place, handle in earlier.items() if handle is not None}
    first, second = desktop.notifications
    later = await Person().looks(known)
    desktop.click(first)
    assert await later.answer() == Answer("a", clicked=True)
    await later.screen.show(Card("b", "Newer", ""))
    assert desktop.notifications[-1].replaces_id == second.id


async def test_another_services_numbers_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification service that begins again counts from one, also for other programs."""
    require("dbus-daemon")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        first, second = Desktop(), Desktop()
        first.address = second.address = f"unix:path={folder}/bus"
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", first.address)
        await first._start_bus(harness._write_config(Path(folder), first.address), stack)
        async with AsyncExitStack() as running:
            await first._take_name(running)
            person = await Person().looks()
            handle = await person.screen.show(Card("a", "Ours", ""))
            assert handle is not None
        with pytest.raises(ScreenAway):
            await Person().looks()
        await second._take_name(stack)
        later = await Person().looks({"a": handle})
        number = first.notifications[0].id
        second._service.action_invoked(number, "default")  # somebody taps what another program has shown there
        await person.screen.show(Card("b", "Ours too", ""))
        [ours] = second.notifications
        assert ours.id == number, "the same number, which now means something else"
        second.click(ours)
        assert await person.answer() == Answer("b", clicked=True)
        assert person.answers.empty()
        assert later.answers.empty()


async def test_where_nobody_answers_it_is_away_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    person = Person()
    open_before = None
    for _ in range(5):
        with pytest.raises(ScreenAway):
            await person.looks()
        open_before = open_before or len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a folder without a disk
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208 - the same


async def test_whether_the_screen_is_locked(person: Person, desktop: Desktop) -> None:
    assert await person.screen.locked() is None
    async with screen_saver(desktop) as saver:
        assert await person.screen.locked() is False
        saver.active = True
        assert await person.screen.locked() is True
    assert await person.screen.locked() is None
