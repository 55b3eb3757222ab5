"""The agent itself: stays connected through sleep, other networks and dead servers, until it is told to end."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp
import structlog

from clarion.agent import paths
from clarion.agent.backoff import Backoff
from clarion.agent.connection import STAY_AWAY, Connection, Lost, connected
from clarion.agent.display import Display
from clarion.agent.inbox import Inbox
from clarion.agent.lock import Lock
from clarion.agent.options import Options
from clarion.agent.outbox import Outbox
from clarion.agent.pictures import Pictures
from clarion.agent.reception import Reception
from clarion.agent.registering import Registering
from clarion.agent.reporter import Reporter
from clarion.agent.screen import Screen
from clarion.agent.server import USER_AGENT, Config, NotClarion, Server
from clarion.agent.state import Kept, State
from clarion.agent.surroundings import Surroundings
from clarion.agent.together import first_of, rest, together
from clarion.errors import Unavailable
from clarion.wire.autopush import AckCode, Notification

log = structlog.get_logger(__name__)

STABLE_S = 60.0
"""A connection that lived so long ends a row of failures."""


class Agent:
    """Connects, keeps the device registered, takes messages. Calls `connected` whenever all is well."""

    def __init__(
        self,
        options: Options,
        state: State,
        screen: Screen,
        http: aiohttp.ClientSession,
        *,
        connected: Callable[[Kept], None] = lambda _: None,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - spreads out reconnections
        self._options = options
        self._state = state
        self._http = http
        self._connected = connected
        self._backoff = Backoff(chance)
        inbox, outbox = Inbox(state.db), Outbox(state.db)
        self._reception = Reception(state, inbox, outbox)
        self._display = Display(state, inbox, outbox, screen, Pictures(http, paths.cache_folder()))
        self._reporter = Reporter(http, outbox, Backoff(chance), self._display.reports)
        self._server = Server(http, options.origin, options.key)
        self._registering = Registering(options, state, self._server, Backoff(chance))
        self._surroundings = Surroundings(self._look_again)
        self._again = asyncio.Event()
        self._line: Connection | None = None

    async def run(self) -> None:
        """Until the push service says to stay away. Raises ClarionError for what somebody must mend."""
        await first_of(self._stay_connected(), self._surroundings.watch(), self._display.run(), self._reporter.run())

    def _look_again(self) -> None:
        """The machine woke up, or its network changed."""
        self._again.set()
        self._reporter.hurry.set()
        if self._line is not None:
            self._line.check()

    @property
    def _at_home(self) -> bool:
        """Whether this server knows us; before, a failure is more likely a wrong address than a server that is away."""
        kept = self._state.kept
        return kept.server == self._options.origin and kept.device_id is not None

    async def _stay_connected(self) -> None:
        while True:
            begun = time.monotonic()
            try:
                await self._session()
            except Lost as lost:
                if lost.code == STAY_AWAY:
                    log.warning("told_to_stay_away")
                    return
                why, retry_after_s = lost.why, lost.retry_after_s
            except (Unavailable, NotClarion) as error:
                if not self._at_home:
                    raise
                why, retry_after_s = error.detail, error.retry_after
            if time.monotonic() - begun >= STABLE_S:
                self._backoff.reset()
            wait = self._backoff.next(retry_after_s)
            log.warning("disconnected", why=why, again_in_s=round(wait, 1))
            self._again.clear()
            if await rest(self._again, wait):
                self._backoff.reset()

    async def _session(self) -> None:
        """One connection, from hello to its end. Raises Lost or ClarionError."""
        config = await self._current_config()
        url = self._options.push_url or config.push_url
        async with connected(self._http, url, self._state.kept.uaid) as line:
            self._line = line
            log.info("connected")
            try:
                await together(line.read(self._receive), line.pulse(), self._register(line, config))
            finally:
                self._line = None

    async def _register(self, line: Connection, config: Config) -> None:
        await self._registering.keep(line, config)
        self._connected(self._state.kept)

    def _receive(self, message: Notification) -> AckCode:
        code = self._reception.receive(message)
        self._display.news.set()
        self._display.reports.set()
        return code

    async def _current_config(self) -> Config:
        """As the server tells it now; while it is away, as it told before: the push service may be there."""
        try:
            config = await self._server.config()
        except Unavailable:
            kept = self._state.kept
            if not self._at_home or kept.project is None or kept.push_url is None or kept.vapid is None:
                raise
            return Config(project=kept.project, push_url=kept.push_url, vapid_public_key=kept.vapid)
        self._remember(config)
        return config

    def _remember(self, config: Config) -> None:
        """Another server, or another key and VAPID key at once, is another project: nothing of the old one is its."""
        kept, options = self._state.kept, self._options
        other_project = kept.key != options.key and kept.vapid != config.vapid_public_key
        if kept.server is not None and (kept.server != options.origin or other_project):
            self._state.forget_server()
        self._state.keep(
            server=options.origin,
            key=options.key,
            project=config.project,
            push_url=config.push_url,
            vapid=config.vapid_public_key,
        )


async def run(options: Options, screen: Callable[[State], Screen], connected: Callable[[Kept], None]) -> None:
    """An agent with its file and its connections, from beginning to end."""
    async with AsyncExitStack() as stack:
        stack.callback(Lock(options.state).release)
        state = State(options.state)
        stack.callback(state.close)
        http = await stack.enter_async_context(aiohttp.ClientSession(headers={"User-Agent": USER_AGENT}))
        await Agent(options, state, screen(state), http, connected=connected).run()
