"""From the disk to the screen: each message once, when the screen can take it; and what people do with it.

`kill -9` between asking the desktop to show a message and noting that it did leaves a doubt, and no order of steps
takes it away: the screen and our disk share no transaction. So the doubt itself is on disk (`attempted`), and its
window is as narrow as it can be: pictures are there and the desktop is connected before it opens. In doubt, a system
that puts a notification in the place of its own earlier copy (macOS, Windows) is asked again. A Linux desktop would
show it twice, and nearly all of the window lies after it did: there it counts as shown, but no receipt says so.
"""

import asyncio
from dataclasses import replace

import structlog

from clarion.agent import browser
from clarion.agent.card import Card, card_of, place_of
from clarion.agent.clock import now
from clarion.agent.inbox import Inbox, Waiting
from clarion.agent.on_screen import OnScreen
from clarion.agent.outbox import Outbox
from clarion.agent.pictures import Pictures
from clarion.agent.reception import read_payload
from clarion.agent.screen import Answer, InDoubt, Screen, ScreenAway
from clarion.agent.state import State
from clarion.agent.together import rest
from clarion.model import LockScreen, ReceiptKind, UpdateKind
from clarion.wire.payload import WebPayload

log = structlog.get_logger(__name__)

AGAIN_S = 5.0
_MOST_FAILURES = 5
"""Refusals of one message by a desktop that is there, until it is given up."""


class Display:
    """Shows what waits in the inbox, in its order; what must wait lets the others pass."""

    def __init__(
        self, state: State, inbox: Inbox, outbox: Outbox, screen: Screen, pictures: Pictures, again_s: float = AGAIN_S
    ) -> None:
        self._state = state
        self._inbox = inbox
        self._outbox = outbox
        self._on_screen = OnScreen(state.db)
        self._screen = screen
        self._pictures = pictures
        self._again_s = again_s
        self.news = asyncio.Event()
        """Set it when there is something new to show."""
        self.reports = asyncio.Event()
        """It is set when there is something new to report."""
        self._away = False

    async def run(self) -> None:
        """Show for ever; look again every few seconds while something cannot be shown yet."""
        self._settle_doubts()
        while True:
            self.news.clear()
            waits = await self.show_all()
            await rest(self.news, self._again_s if waits else None)

    async def show_all(self) -> bool:
        """One round; whether something is left."""
        left = False
        try:
            await self._screen.ready(self.answered, self._on_screen.handles())
            for message in self._inbox.waiting():
                left = not await self._show(message) or left
            self._away = False
        except ScreenAway as error:
            if not self._away:
                log.warning("screen_away", why=str(error))
            self._away = left = True
        return left

    def _settle_doubts(self) -> None:
        for message in self._inbox.waiting():
            if message.attempted and not self._screen.in_place:
                log.info("counted_as_shown", delivery=message.id)
                self._inbox.done(message.id)

    async def _show(self, message: Waiting) -> bool:
        """Whether it is done with. Raises ScreenAway."""
        payload = read_payload(message.payload)
        if payload is None or message.failures >= _MOST_FAILURES:
            log.warning("not_shown", delivery=message.id, why="the desktop refuses it")
            self._inbox.done(message.id)
            return True
        if payload.update == UpdateKind.WITHDRAW:
            return await self._take_down(message, payload)
        card = await self._card(payload)
        if card is None:
            return False
        await self._screen.ready(self.answered, self._on_screen.handles())
        if not self._inbox.attempt(message.id):
            return True  # a newer one took its place meanwhile
        return await self._put_up(message, payload, card.plain() if message.failures else card)

    async def _card(self, payload: WebPayload) -> Card | None:
        """With its pictures; None while a locked screen must not show it."""
        locked = await self._screen.locked() if payload.lock_screen == LockScreen.HIDE else None
        if locked:
            return None
        icon, image = await asyncio.gather(self._pictures.fetch(payload.icon), self._pictures.fetch(payload.image))
        card = card_of(payload, lock_known=locked is not None, icon=icon, image=image)
        # In the place of what is there, and nobody asked for another sound.
        quietly = payload.update == UpdateKind.REPLACE and payload.renotify is not True
        return replace(card, sound=None) if quietly and self._on_screen.has(card.id) else card

    async def _take_down(self, message: Waiting, payload: WebPayload) -> bool:
        """What it withdraws left the inbox when it came. Where nobody knows whether that was shown, it does no harm."""
        place = place_of(payload.tag)
        await self._screen.ready(self.answered, self._on_screen.handles())
        await self._screen.take_down(place)
        with self._state.transaction():
            self._on_screen.take(place)
            self._inbox.done(message.id)
        log.info("withdrawn", delivery=message.id)
        return True

    async def _put_up(self, message: Waiting, payload: WebPayload, card: Card) -> bool:
        try:
            handle = await self._screen.show(card)
        except ScreenAway as error:
            self._inbox.failed(message.id)
            log.warning("refused", delivery=message.id, why=str(error))
            return False
        except InDoubt as error:
            log.warning("in_doubt", delivery=message.id, why=str(error))
            if self._screen.in_place:
                self._inbox.failed(message.id)
                return False
            self._inbox.done(message.id)
            return True
        with self._state.transaction():
            self._inbox.done(message.id)
            self._on_screen.put(card.id, message.payload, handle)
            self._outbox.add(payload, ReceiptKind.DISPLAYED, now())
        self.reports.set()
        log.info("shown", delivery=message.id)
        return True

    def answered(self, answer: Answer) -> None:
        """The person did something with what stands there."""
        with self._state.transaction():
            plain = self._on_screen.take(answer.place)
            payload = None if plain is None else read_payload(plain)
            if payload is None:
                return
            kind = ReceiptKind.CLICKED if answer.clicked else ReceiptKind.DISMISSED
            self._outbox.add(payload, kind, now(), answer.action)
        self.reports.set()
        opened = answer.clicked and browser.open_page(target_of(payload, answer.action))
        log.info(kind.value, delivery=payload.id, action=answer.action, opened=opened)


def target_of(payload: WebPayload, action: str | None) -> str | None:
    """The page of the button, else of the notification."""
    own = next((each.url for each in payload.actions if each.id == action), None)
    return own or payload.url
