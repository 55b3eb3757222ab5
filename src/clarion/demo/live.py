"""The live page's stream: looks at one person's story while somebody watches, and tells when it changed."""

import asyncio

import msgspec

from clarion.demo.services import Services
from clarion.demo.telling import Origin, View, tell
from clarion.errors import NotFound, Unavailable
from clarion.journey.story import Chapter
from clarion.model import Project
from clarion.web.http import Receive, Send

HEARTBEAT_S = 15.0

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_encode = msgspec.json.Encoder().encode


class Story:
    """One person's story, asked for again and again; remembers where notifications came from, which never changes."""

    def __init__(self, services: Services, project: Project, user: str) -> None:
        self._services = services
        self._project = project
        self._user = user
        self._origins: dict[str, Origin] = {}

    async def view(self) -> View:
        """The story as of now; empty of a person whom nobody has named yet."""
        try:
            chapters = await self._services.pipeline.story(self._project, self._user)
        except NotFound:
            chapters = []
        await self._find_origins(chapters)
        categories = await self._services.catalog.categories(self._project.key)
        titles = {name: category.title or name for name, category in categories.items()}
        return tell(self._user, chapters, self._origins, titles)

    async def _find_origins(self, chapters: list[Chapter]) -> None:
        named = {id for chapter in chapters if (id := chapter.detail.get("notification_id")) is not None}
        for id in named - self._origins.keys():
            notification = await self._services.store.trail.notification(self._project.key, id)
            if notification is None:
                continue
            keys = [] if notification.event is None else [notification.event]
            events = await self._services.store.events.load(self._project.key, keys) if keys else []
            self._origins[id] = Origin(notification, next(iter(events), None))


async def stream(story: Story, receive: Receive, send: Send, stopping: asyncio.Event, poll_s: float) -> None:
    """Server-sent events named `story`, one View each, until the watcher goes or the server stops.

    The first comes at once, then one for each change, looked for every `poll_s` seconds. A comment every 15 quiet
    seconds finds watchers that left without a word. A database that is away is waited for.
    """
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    gone = asyncio.ensure_future(_disconnected(receive))
    stop = asyncio.ensure_future(stopping.wait())
    last, quiet_s = b"", 0.0
    try:
        await _write(send, b"retry: 1000\n\n")
        while not (gone.done() or stop.done()):
            told = await _told(story, last)
            if told != last:
                await _write(send, b"event: story\ndata: " + told + b"\n\n")
            elif quiet_s >= HEARTBEAT_S:
                await _write(send, b": still here\n\n")
            quiet_s = 0.0 if told != last or quiet_s >= HEARTBEAT_S else quiet_s + poll_s
            last = told
            await asyncio.wait({gone, stop}, timeout=poll_s, return_when=asyncio.FIRST_COMPLETED)
        if not gone.done():
            await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        stop.cancel()


async def _told(story: Story, last: bytes) -> bytes:
    try:
        return _encode(await story.view())
    except Unavailable:
        return last


async def _write(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
