"""Armed Web Push: what waits is ciphertext, and what is sent at the fire is the browser's to read."""

import msgspec

from clarion.crypto import base64url
from clarion.crypto.webpush import Receiver
from clarion.model import Audience, DeviceKind, Message, Registration
from clarion.ports import ArmedWork, HttpBatch, HttpResponse, Store
from clarion.providers.webpush import WebPushProvider
from clarion.testing import ManualClock, SeededChance
from story.world import World

HOUR_MS = 3_600_000


class PushService:
    """Takes everything."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        self.bodies += [request.body for request in batch.requests]
        self.headers += [dict((*batch.headers, *request.headers)) for request in batch.requests]
        return [HttpResponse(201)] * len(batch.requests)

    async def close(self) -> None:
        """There is nothing to close."""


async def test_ciphertext_waits_and_the_browser_can_read_it(
    store: Store, clock: ManualClock, chance: SeededChance
) -> None:
    world, service, browser = await World(store, clock, chance).begin(), PushService(), Receiver.generate()
    provider = WebPushProvider(service, subject="mailto:a@b.example", own_origin="https://own.example")
    world.providers[DeviceKind.WEBPUSH] = provider
    keys = {"p256dh": base64url.encode(browser.p256dh), "auth": base64url.encode(browser.auth)}
    device = Registration(kind=DeviceKind.WEBPUSH, address="https://push.example/1", details=keys)
    await world.pipeline.register(world.project, "ada", device)
    clock.advance(HOUR_MS)
    said = Message(title="Goal!", ttl=60)
    armed = await world.pipeline.notify(world.project, said, Audience(users=["ada"]), arm=True)
    await world.work()

    [lease] = await world.due(at=armed.armed_until)
    assert isinstance(lease.job, ArmedWork)
    assert b"Goal" not in msgspec.msgpack.encode(lease.job)
    assert msgspec.json.decode(browser.decrypt(lease.job.bodies[0]))["title"] == "Goal!"
    await world.pipeline.step(lease)  # too soon: it goes on waiting

    clock.advance(24 * HOUR_MS)
    await world.pipeline.fire(world.project, armed.id)
    await world.work()
    assert service.bodies == lease.job.bodies
    [headers] = service.headers
    assert headers["ttl"] == "60"
    token = headers["authorization"].split("t=")[1].split(",")[0]
    claims = msgspec.json.decode(base64url.decode(token.split(".")[1]))
    assert claims["exp"] * 1000 > clock.now(), "signed at the fire"
