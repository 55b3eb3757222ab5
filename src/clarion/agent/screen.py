"""The screen that notifications are shown on: a port, and the system's own through desktop-notifier."""

import asyncio
import html
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from clarion.agent import freedesktop
from clarion.agent.card import DEFAULT_SOUND, Card
from clarion.errors import ConfigurationError

if TYPE_CHECKING:
    from desktop_notifier import Notification
    from desktop_notifier.backends.base import DesktopNotifierBackend

log = structlog.get_logger(__name__)

_LINUX = sys.platform == "linux"
_PATIENCE_S = 10.0
_FREEDESKTOP_SOUND = "message-new-instant"  # the Sound Naming Specification has no "default"
_KEEP = 0  # never away by itself; -1 leaves it to the system


class Answer(NamedTuple):
    """What the person did with the card of that id: tapped it, or a button, or put it away."""

    place: str
    clicked: bool
    action: str | None = None


Answered = Callable[[Answer], None]


class ScreenAway(Exception):
    """Nothing can be shown now; later perhaps."""


class InDoubt(Exception):
    """It may have been shown: no answer came."""


class Screen(Protocol):
    """Where cards are shown."""

    in_place: bool
    """Whether showing a card again leaves one, although an earlier process showed it."""

    async def ready(self, answered: Answered, earlier: Mapping[str, str]) -> None:
        """Raises ScreenAway while nothing can be shown.

        `answered` is told, in the loop, of what people do, also with what an earlier process showed; `earlier` are
        handles of that by card id.
        """
        ...

    async def show(self, card: Card) -> str | None:
        """The handle by which it can be found again, where that is not the card's id. The screen must be ready.

        Raises ScreenAway when it is certainly not shown, InDoubt when nobody knows.
        """
        ...

    async def take_down(self, place: str) -> None:
        """Close the card of that id, if it is there. The screen must be ready. Raises ScreenAway."""
        ...

    async def locked(self) -> bool | None:
        """None where it cannot be known."""
        ...


class DesktopScreen:
    """The desktop of this machine. `app_name` is asked for each time: at the first start nobody knows it yet."""

    in_place = sys.platform in ("darwin", "win32")

    def __init__(self, app_name: Callable[[], str]) -> None:
        self._app_name = app_name
        self._notifier: DesktopNotifierBackend | None = None
        self._markup = False
        self._handle: Callable[[str], str | None] = lambda _: None

    async def ready(self, answered: Answered, earlier: Mapping[str, str]) -> None:
        if self._notifier is None:
            self._notifier = await _within(self._connect(answered, earlier), ScreenAway("the desktop does not answer"))

    async def show(self, card: Card) -> str | None:
        assert self._notifier is not None
        self._notifier.app_name = self._app_name()
        shown = asyncio.Event()
        await _within(self._notifier.send(self._notification(card, shown)), InDoubt("the desktop did not answer"))
        if not shown.is_set():  # desktop-notifier logs why, and raises nothing
            raise ScreenAway("the desktop refused it")
        return self._handle(card.id)

    async def take_down(self, place: str) -> None:
        assert self._notifier is not None
        await _within(self._notifier.clear(place), ScreenAway("the desktop did not answer"))

    async def locked(self) -> bool | None:
        return await freedesktop.locked() if _LINUX else None

    async def _connect(self, answered: Answered, earlier: Mapping[str, str]) -> "DesktopNotifierBackend":
        """A new connection. Raises ScreenAway, and ConfigurationError where nothing can ever be shown."""
        from desktop_notifier import Capability  # noqa: PLC0415 - an extra; needed only where something is shown

        if _LINUX:
            told = await freedesktop.capabilities()
            if told is None:
                raise ScreenAway("no notification service answers on D-Bus")
            self._markup = "body-markup" in told
        notifier = self._new_notifier(earlier)
        _listen(notifier, answered)
        try:
            await notifier.request_authorisation()
            capabilities = await notifier.get_capabilities()
        except Exception as error:
            raise ScreenAway(f"no notification service: {error}") from error
        if Capability.TITLE not in capabilities:
            raise ConfigurationError(
                "this system shows no notifications of this program; macOS does so only for a Python that is an "
                "application, as the one from python.org is"
            )
        return notifier

    def _new_notifier(self, earlier: Mapping[str, str]) -> "DesktopNotifierBackend":
        """The system's own. On macOS and Windows notifications are found again by our own identifier."""
        if _LINUX:
            from clarion.agent.linux import LinuxNotifier  # noqa: PLC0415 - as above

            notifier = LinuxNotifier(self._app_name(), earlier)
            self._handle = notifier.handle
            return notifier
        from desktop_notifier.main import get_backend_class  # noqa: PLC0415 - as above

        return get_backend_class()(self._app_name())

    def _notification(self, card: Card, shown: asyncio.Event) -> "Notification":
        from desktop_notifier import Attachment, Button, Icon, Notification, Urgency  # noqa: PLC0415 - as above

        return Notification(
            title=card.title,
            message=html.escape(card.body, quote=False) if self._markup else card.body,
            urgency=Urgency(card.weight.value),
            icon=Icon(path=card.icon) if card.icon else None,
            attachment=Attachment(path=card.image) if card.image else None,
            sound=_sound(card.sound),
            buttons=tuple(Button(title, identifier=id) for id, title in card.buttons),
            timeout=_KEEP if card.stays else -1,
            identifier=card.id,
            on_dispatched=shown.set,
        )


def _listen(notifier: "DesktopNotifierBackend", answered: Answered) -> None:
    """Whichever thread the system tells it in, it is answered in the loop."""
    loop = asyncio.get_running_loop()

    def tell(answer: Answer) -> None:
        loop.call_soon_threadsafe(answered, answer)

    notifier.on_clicked = lambda place: tell(Answer(place, clicked=True))
    notifier.on_button_pressed = lambda place, action: tell(Answer(place, clicked=True, action=action))
    notifier.on_dismissed = lambda place: tell(Answer(place, clicked=False))


def _sound(name: str | None) -> Any:
    from desktop_notifier import Sound  # noqa: PLC0415 - as above

    if name is None:
        return None
    return Sound(name=_FREEDESKTOP_SOUND if name == DEFAULT_SOUND and _LINUX else name)


async def _within(work: Coroutine[Any, Any, Any], otherwise: Exception) -> Any:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await work
    except TimeoutError:
        raise otherwise from None
