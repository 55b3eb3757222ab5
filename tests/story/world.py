"""A whole Clarion in one test: the real pipeline, the manual clock, and push services that answer by script."""

from collections.abc import Sequence

import msgspec

from clarion.crypto import base64url
from clarion.crypto.credentials import Secret
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.signing import Signer
from clarion.crypto.webpush import Receiver
from clarion.journey.catalog import Catalog, credential_context
from clarion.journey.founding import Founded, found
from clarion.journey.pipeline import Pipeline
from clarion.model import (
    Audience,
    Credential,
    DeliveryState,
    Device,
    DeviceKind,
    Event,
    Message,
    Notification,
    Permission,
    Receipt,
    ReceiptKind,
    Registration,
)
from clarion.ports import DecisionRecord, DeliveryRecord, Outgoing, Provider, Recorder, Store
from clarion.testing import ManualClock, ScriptedProvider, SeededChance
from clarion.transport.bus import LocalBus

SECRET = b"a secret of at least 32 characters!"
RECEIPTS_URL = "https://push.example/v1/receipts"


class World:
    """`project`, `pipeline`, `store`, `clock` and `browser` (the push service of every browser) of one test."""

    def __init__(self, store: Store, clock: ManualClock, chance: SeededChance) -> None:
        self.store, self.clock, self.chance = store, clock, chance
        self.bus = LocalBus()
        signer, self.sealer = Signer([SECRET]), Sealer([SECRET])
        self.receipts = ReceiptTokens(signer)
        self.anonymous = AnonymousTokens(signer)
        self.catalog = Catalog(store, self.sealer, clock, self.bus)
        self.browser = ScriptedProvider(DeviceKind.WEBPUSH)
        self.providers: dict[DeviceKind, Provider] = {DeviceKind.WEBPUSH: self.browser}
        self.pipeline = self.another_pipeline()
        self.founded: Founded

    def another_pipeline(self, recorder: Recorder | None = None) -> Pipeline:
        """As a second process would have it."""
        return Pipeline(
            store=self.store,
            catalog=self.catalog,
            bus=self.bus,
            clock=self.clock,
            chance=self.chance,
            providers=self.providers,
            receipts=self.receipts,
            anonymous=self.anonymous,
            receipts_url=RECEIPTS_URL,
            recorder=recorder,
            pause=self.pause,
        )

    async def pause(self, seconds: float) -> None:
        """The manual clock's way to wait."""
        self.clock.advance(round(seconds * 1000))

    async def begin(self, name: str = "Shop") -> "World":
        self.founded = await found(self.store, self.sealer, self.chance, self.clock.now(), name)
        self.project = self.founded.project
        return self

    async def define(self, kind: str, **body: object) -> None:
        await self.store.definitions.put(self.project.key, kind, str(body["name"]), body, self.clock.now())
        await self.catalog.changed()

    async def subscribe(self, user_id: str, address: str | None = None, **more: object) -> Device:
        """A browser of this person that said yes."""
        device, _ = await self.pipeline.register(self.project, user_id, subscription(address or user_id, **more))
        return device

    async def credential(self, kind: DeviceKind, secret: Secret, name: str = "main") -> None:
        """A credential of the project, as the API would have kept it."""
        sealed = self.sealer.seal(secret.sealed_form(), credential_context(self.project.id, kind, name))
        await self.store.projects.add_credential(
            Credential(project=self.project.key, kind=kind, name=name, sealed=sealed, created_at=self.clock.now())
        )
        await self.catalog.changed()

    async def notify(self, *users: str, send_at: int | None = None, **message: object) -> Notification:
        return await self.pipeline.notify(
            self.project,
            Message(**{"title": "Hello", **message}),  # type: ignore[arg-type]
            Audience(users=list(users)),
            send_at=send_at,
        )

    async def happens(self, user_id: str, name: str, id: str | None = None, **properties: object) -> bool:
        event = Event(user_id=user_id, name=name, properties=properties, occurred_at=self.clock.now(), id=id)
        [new] = await self.pipeline.ingest(self.project, [event])
        return new

    async def work(self) -> int:
        """Do everything that is due, as the workers would; how many jobs it was."""
        done = 0
        while leases := await self.due():
            for lease in leases:
                await self.pipeline.step(lease)
            done += len(leases)
        return done

    async def due(self, at: int | None = None) -> list:
        """Leases of everything that is due, now or at another time."""
        now = at or self.clock.now()
        queues = [queue for queue, due in (await self.store.work.waiting()).items() if due <= now]
        return [lease for queue in queues for lease in await self.store.work.claim(queue, 10, now, 15_000)]

    async def decisions(self, notification: Notification) -> list[DecisionRecord]:
        page = await self.store.trail.decisions(
            self.project.key, notification=notification.key, user=None, reason=None, cursor=None, limit=1000
        )
        return page.items

    async def reasons(self, notification: Notification) -> dict[str, str]:
        return {one.user_id: str(one.reason) for one in await self.decisions(notification)}

    async def deliveries(self, notification: Notification) -> list[DeliveryRecord]:
        page = await self.store.trail.deliveries(
            self.project.key, notification=notification.key, user=None, state=None, cursor=None, limit=1000
        )
        return page.items

    async def states(self, notification: Notification) -> list[DeliveryState]:
        return [one.state for one in await self.deliveries(notification)]

    async def device_tells(self, message: Outgoing, *kinds: ReceiptKind, action: str | None = None) -> list[bool]:
        """The device sends receipts for a message that it got, by the token in the payload."""
        claim = self.receipts.read(payload(message)["receipt"], self.clock.now())
        return await self.pipeline.learn(
            [
                Receipt(claim.project, claim.notification, claim.user, claim.device, kind, action, self.clock.now())
                for kind in kinds
            ]
        )


def subscription(address: str, permission: Permission = Permission.GRANTED, **more: object) -> Registration:
    receiver = Receiver.generate()
    return Registration(
        kind=DeviceKind.WEBPUSH,
        address=f"https://push.example/{address}",
        permission=permission,
        details={"p256dh": base64url.encode(receiver.p256dh), "auth": base64url.encode(receiver.auth)},
        **more,  # type: ignore[arg-type]
    )


def payload(message: Outgoing) -> dict:
    """What the device decrypts."""
    return msgspec.json.decode(message.body or message.ready.payload)


def titles(messages: Sequence[Outgoing]) -> list[str]:
    return [payload(message)["title"] for message in messages]
