"""Settings in, running platform out: the only file that names adapters."""

import contextlib
import gc
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog

from clarion import dashboard, demo
from clarion.api.app import create_app
from clarion.api.http import App
from clarion.api.limits import Backlog, Buckets
from clarion.api.listener import HttpServer
from clarion.api.services import Services
from clarion.config import Settings
from clarion.crypto.android import AndroidIds
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.keyfile import secret_keys
from clarion.crypto.preferences import PreferencesTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.sessions import SessionTokens
from clarion.crypto.signing import Signer
from clarion.crypto.turns import Encrypt
from clarion.crypto.unsubscribe import UnsubscribeTokens
from clarion.crypto.webhooks import WebhookSecrets
from clarion.errors import ConfigurationError
from clarion.gateway import Gateway, Limits
from clarion.journey import trigger
from clarion.journey.automations.calling import Webhooks
from clarion.journey.catalog import Catalog
from clarion.journey.pipeline import WAKE, Pipeline
from clarion.model import MAX_CAP_SECONDS, DeviceKind, Millis
from clarion.ports import Bus, Clock, Provider, Senders, Store, Transport
from clarion.providers import apns, fcm
from clarion.providers.webpush import WebPushProvider
from clarion.storage.sqlite import SqliteStore
from clarion.transport.authority import OwnCertificate
from clarion.transport.bus import LocalBus
from clarion.transport.http import HttpTransport
from clarion.transport.local import LocalTransport
from clarion.transport.origins import OriginsTransport
from clarion.transport.senders import Http2Senders
from clarion.transport.tls import Certificate
from clarion.workers.delivery import Workers
from clarion.workers.encryption import EncryptionPool
from clarion.workers.recording import BehindTheSending
from clarion.workers.scheduler import Scheduler

ROLES = ("api", "worker", "scheduler", "gateway", "dashboard")
SWEEP_SECONDS = 30.0
CAMPAIGNS_SECONDS = 1.0
DOUBTS_SECONDS = 600.0
DOUBTS_AT_ONCE = 5_000
DOUBT_MS = 7 * 86_400_000
SLOTS_SECONDS = 3_600.0
LOSSES_SECONDS = 300.0
SLOTS_AT_ONCE = 2_000
SLOT_MS = 1_000 * MAX_CAP_SECONDS
RUNS_SECONDS = 1.0
EVENTS_SECONDS = 3_600.0
CERTIFICATE_SECONDS = 5.0
OWN_CERTIFICATE_SECONDS = 86_400.0
# Jobs at once by queue. Deciding on SQLite holds the one writer, so more than two would only wait for each other.
CONCURRENCY = {"trigger": 2, "audience": 1, "decide": 2, "runs": 2, "watch": 1}
COLLECT_AFTER = 20_000
# Of the push endpoint. A sender may be a whole shop; nobody wants to hear of one thing ten times a second.
SENDER_PER_S_AND_BURST = (1_000, 10_000)
TOKEN_PER_S_AND_BURST = (10, 1_000)
# Of people who sign in, by address. Nobody guesses 256 bits; it is for the log and the database.
SIGN_IN_PER_S_AND_BURST = (0.2, 10)

log = structlog.get_logger(__name__)


class SystemClock:
    """The machine's time."""

    def now(self) -> Millis:
        return time.time_ns() // 1_000_000


class SystemChance:
    """The machine's randomness."""

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class Platform:
    """Every part of one process, built but not yet working."""

    def __init__(self, settings: Settings, *, server: bool = True) -> None:
        """`server`: False for a short command beside a running server."""
        keys = secret_keys(settings)
        self.settings = settings
        self.clock = SystemClock()
        self.chance = SystemChance()
        self.signer = Signer(keys)
        self.sealer = Sealer(keys)
        self.certificate = _certificate(settings, self.clock) if server else None
        self.receipts = ReceiptTokens(self.signer)
        self.anonymous = AnonymousTokens(self.signer)
        self.store, self.bus = _engine(settings, server=server)
        self.catalog = Catalog(self.store, self.sealer, self.clock, self.bus)
        self.gateway = Gateway(
            settings,
            self.store.push,
            self.bus,
            self.clock,
            EndpointTokens(keys),
            self.signer,
            AndroidIds(keys),
            limits=_push_limits(self.clock) if settings.rate_limits else None,
        )
        self.transport = LocalTransport(
            settings.endpoint_origin,
            self.gateway.accept,
            OriginsTransport(
                HttpTransport(allow_private=settings.allow_private_endpoints),
                allow_private=settings.allow_private_endpoints,
            ),
            self.gateway.issued,
        )
        self.calls = HttpTransport(allow_private=settings.allow_private_endpoints)
        self.senders = Http2Senders(authority=settings.provider_ca)
        self.encryption = EncryptionPool(settings.encryption_processes)
        self.providers = _providers(settings, self.transport, self.senders, self.encryption.encrypt)
        self.checks: dict[str, Callable[[], Awaitable[None]]] = {}
        self.recorder = BehindTheSending(self.store.work, self.clock)
        self.pipeline = Pipeline(
            store=self.store,
            catalog=self.catalog,
            bus=self.bus,
            clock=self.clock,
            chance=self.chance,
            providers=self.providers,
            receipts=self.receipts,
            anonymous=self.anonymous,
            receipts_url=f"{settings.http_origin}/v1/receipts",
            recorder=self.recorder,
            webhooks=Webhooks(self.calls, WebhookSecrets(keys)),
            own_origin=settings.endpoint_origin,
        )

    @property
    def tls(self) -> dict[str, Any]:
        """What `create_server` takes to listen with TLS; nothing without a certificate."""
        return self.certificate.listening() if self.certificate is not None else {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Platform"]:
        """The platform with its database and bus connected."""
        await self.store.open()
        try:
            await self.bus.open()
            yield self
        finally:
            await self.encryption.close()
            await self.transport.close()
            await self.calls.close()
            await self.senders.close()
            await self.bus.close()
            await self.store.close()

    def workers(self) -> Workers:
        """One queue a stage, and one for each lane of deliveries."""
        pipeline = self.pipeline
        return Workers(CONCURRENCY, pipeline.step, self.store.work, self.clock, self.bus, pipeline.throttle)

    def scheduler(self) -> Scheduler:
        """What happens by the clock alone."""
        return Scheduler(
            {
                "runs": (RUNS_SECONDS, self.pipeline.hand_out),
                "push messages": (SWEEP_SECONDS, lambda: self.store.push.sweep(self.clock.now())),
                "campaigns": (CAMPAIGNS_SECONDS, self.pipeline.campaigns.tick),
                "doubts": (DOUBTS_SECONDS, self._end_doubts),
                "slots": (SLOTS_SECONDS, self._forget_slots),
                "events": (EVENTS_SECONDS, self._forget_events),
                "losses": (LOSSES_SECONDS, self.pipeline.losses.sweep),
            }
        )

    async def _end_doubts(self) -> None:
        """Devices that were quarantined a week ago get another try; stoppages that nobody tried since are over."""
        now = self.clock.now()
        while await self.store.devices.retry_doubtful(now - DOUBT_MS, now, DOUBTS_AT_ONCE) == DOUBTS_AT_ONCE:
            pass
        await self.store.stoppages.forget(now - DOUBT_MS)

    async def _forget_slots(self) -> None:
        """Places under caps that are older than the longest window, some people at a time."""
        before, after = self.clock.now() - SLOT_MS, 0
        while (last := await self.store.steps.forget_slots(before, after, SLOTS_AT_ONCE)) is not None:
            after = last

    async def _forget_events(self) -> None:
        """What happened longer ago than the project keeps it."""
        for project in await self.store.projects.all():
            if (oldest := trigger.oldest_kept(project.settings, self.clock.now())) is not None:
                await self.store.events.forget(project.key, oldest)


def _providers(
    settings: Settings, transport: Transport, senders: Senders, encrypt: Encrypt
) -> dict[DeviceKind, Provider]:
    """By the kind of device that each serves."""
    hosts = apns.HOSTS if settings.apns_url is None else dict.fromkeys(apns.HOSTS, settings.apns_url.rstrip("/"))
    every: list[Provider] = [
        apns.ApnsProvider(senders, hosts=hosts),
        fcm.FcmProvider(senders, url=(settings.fcm_url or fcm.URL).rstrip("/")),
        WebPushProvider(transport, subject=settings.push_subject, own_origin=settings.endpoint_origin, encrypt=encrypt),
    ]
    return {provider.kind: provider for provider in every}


def _certificate(settings: Settings, clock: Clock) -> Certificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key, clock)


def _gcm_certificate(platform: Platform) -> Certificate | None:
    """For Chromium, which accepts no connection without: the one of the other ports, else one of our own."""
    settings = platform.settings
    if not settings.gcm:
        return None
    names = (urlsplit(settings.gcm_url).hostname or "", "localhost", "127.0.0.1")
    return platform.certificate or OwnCertificate(settings.data, names, platform.clock)


def _push_limits(clock: Clock) -> Limits:
    return Limits(by_address=Buckets(clock, *SENDER_PER_S_AND_BURST), by_token=Buckets(clock, *TOKEN_PER_S_AND_BURST))


def _engine(settings: Settings, *, server: bool) -> tuple[Store, Bus]:
    """The database, and the bus that goes with it."""
    if settings.database_url is None:
        return SqliteStore(settings.data, server=server), LocalBus()
    # The driver is only loaded where it is used: a command on a folder starts sooner.
    from clarion.storage.notify import PostgresBus  # noqa: PLC0415
    from clarion.storage.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore(settings.database_url), PostgresBus(settings.database_url)


def check_roles(roles: Collection[str]) -> frozenset[str]:
    """The roles of this process; `all` means all. Raises ConfigurationError."""
    wanted = frozenset(ROLES) if not roles or "all" in roles else frozenset(roles)
    if unknown := wanted - set(ROLES):
        raise ConfigurationError(f"--role {', '.join(sorted(unknown))}: takes all, {', '.join(ROLES)}")
    return wanted


@asynccontextmanager
async def working(platform: Platform, roles: Collection[str]) -> AsyncIterator[None]:
    """The parts that run beside the HTTP port, as the roles say."""
    async with contextlib.AsyncExitStack() as stack:
        if platform.certificate is not None:
            renewal = Scheduler({"certificate": (CERTIFICATE_SECONDS, platform.certificate.renew)})
            renewal.start()
            stack.push_async_callback(renewal.stop)
        if "gateway" in roles:
            gcm = _gcm_certificate(platform)
            await platform.gateway.start(tls=platform.tls, gcm_tls=gcm.listening() if gcm else None)
            stack.push_async_callback(platform.gateway.close)
            if gcm is not None and gcm is not platform.certificate:
                making = Scheduler({"gcm certificate": (OWN_CERTIFICATE_SECONDS, gcm.renew)})
                making.start()
                stack.push_async_callback(making.stop)
        if "worker" in roles:
            platform.recorder.start()
            stack.push_async_callback(platform.recorder.stop)
            workers = platform.workers()
            workers.start(WAKE)
            platform.checks["workers"] = workers.check
            stack.push_async_callback(workers.stop)
            stack.callback(platform.pipeline.end)
        if "scheduler" in roles:
            scheduler = platform.scheduler()
            scheduler.start()
            stack.push_async_callback(scheduler.stop)
        yield


def http_app(platform: Platform, roles: Collection[str], mounts: Mapping[str, App] | None = None) -> App:
    """What answers on the HTTP port: the API, the push endpoint where the gateway is, and what else is mounted."""
    services = Services(
        settings=platform.settings,
        store=platform.store,
        pipeline=platform.pipeline,
        catalog=platform.catalog,
        clock=platform.clock,
        chance=platform.chance,
        sealer=platform.sealer,
        receipts=platform.receipts,
        anonymous=platform.anonymous,
        unsubscribes=UnsubscribeTokens(platform.signer),
        preferences=PreferencesTokens(platform.signer),
        push_service=platform.gateway,
        mounts={
            **(platform.gateway.mounts if "gateway" in roles else {}),
            **({dashboard.PREFIX: dashboard_app(platform)} if "dashboard" in roles else {}),
            **(mounts or {}),
        },
        checks=platform.checks,
        serves_api="api" in roles,
    )
    return create_app(services)


def dashboard_app(platform: Platform) -> App:
    """The pages for people who run a project."""
    clock, settings = platform.clock, platform.settings
    return dashboard.DashboardApp(
        dashboard.Services(
            pipeline=platform.pipeline,
            store=platform.store,
            catalog=platform.catalog,
            clock=clock,
            chance=platform.chance,
            sessions=SessionTokens(platform.signer),
            backlog=Backlog(platform.store.work, clock).check,
            attempts=Buckets(clock, *SIGN_IN_PER_S_AND_BURST) if settings.rate_limits else None,
            is_secure=settings.http_origin.startswith("https://"),
        )
    )


def calm_collector() -> None:
    """Tell the garbage collector that what start-up made stays, and to look less often.

    A batch makes thousands of small objects and lets all of them go again; with the default threshold of 700 the
    collector walks over them dozens of times for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def _nothing() -> None:
    """Nobody waits for it."""


async def _listen(
    platform: Platform, app: App, ready: Callable[[], None], ending: Callable[[], None] = _nothing
) -> None:
    """Answer HTTP until the process is told to end."""

    def begun() -> None:
        calm_collector()
        ready()

    await HttpServer(app, platform.settings, platform.tls, begun, ending).serve()


async def serve(settings: Settings, roles: Collection[str], ready: Callable[[], None] = _nothing) -> None:
    """One process with these roles, until it is told to end."""
    wanted = check_roles(roles)
    async with Platform(settings).opened() as platform, working(platform, wanted):
        await _listen(platform, http_app(platform, wanted), ready)


async def serve_demo(settings: Settings, ready: Callable[[demo.Links], None]) -> None:
    """Everything in one process, with the shop; `ready` gets its links when it listens."""
    async with Platform(settings).opened() as platform, working(platform, ROLES):
        keys = await demo.demo_project(platform, platform.sealer, settings.data, server_url=settings.http_origin)
        project = await platform.catalog.project(keys.project)
        shop = demo.create_demo_app(
            platform,
            project=project,
            public_key=keys.public_key,
            server_url=settings.http_origin,
            push_url=settings.push_url,
        )
        links = demo.Links(
            shop=f"{settings.http_origin}/shop",
            live=f"{settings.http_origin}/live",
            dashboard=f"{settings.http_origin}{dashboard.PREFIX}",
            docs=f"{settings.http_origin}/docs",
            push=settings.push_url,
            server_key=keys.server_key,
            public_key=keys.public_key,
            keys_are_new=keys.new,
        )
        await _listen(platform, http_app(platform, ROLES, {"/": shop}), lambda: ready(links), shop.stop)
