"""The hot routes as bare ASGI: events and receipts, without the framework's share of the time."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from clarion.api import batches
from clarion.api.answers.sending import BatchAnswer
from clarion.api.auth import Caller
from clarion.api.batches import Batches
from clarion.api.cors import Rule
from clarion.api.desk import Desk
from clarion.api.door import CALLER, Access
from clarion.api.fields import millis
from clarion.api.http import (
    MIB,
    Answer,
    ClientGone,
    MethodNotAllowed,
    Receive,
    Scope,
    Send,
    check_json,
    header,
    read_body,
    write,
)
from clarion.api.idempotency import HEADER as IDEMPOTENCY_KEY
from clarion.api.idempotency import repeatable_ids
from clarion.api.identity import Identity, Visitor
from clarion.api.schemas import (
    EventBatch,
    EventBody,
    ReceiptBatch,
    ReceiptBody,
    SdkEventBatch,
    SdkEventBody,
)
from clarion.api.services import Services
from clarion.crypto.receipts import ReceiptExpired, ReceiptForged
from clarion.errors import InvalidRequest
from clarion.journey import trigger
from clarion.model import Event, Millis, Project, Receipt

BATCH_LIMIT = 8 * MIB

Handle = Callable[[Scope, Caller | None, bytes], Awaitable[Answer]]


class Described(NamedTuple):
    """What the OpenAPI document says about a bare route."""

    name: str
    summary: str
    tag: str
    body: Any
    answers: Mapping[int, Any]


class PlainRoute(NamedTuple):
    """One path that takes POST."""

    path: str
    access: Access
    cors_rule: Rule | None
    handle: Handle
    described: Described


class PlainApp:
    """A plain route behind the door."""

    def __init__(self, route: PlainRoute, desk: Desk) -> None:
        self._route = route
        self._door, self._cors, self._problems, self._metrics = desk.door, desk.cors, desk.problems, desk.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route, headers = self._route, dict(scope["headers"])
        try:
            if scope["method"] == "POST":
                caller = await self._door.admit(route.access, scope, headers)
                answer = await self._post(scope, caller, headers, receive)
            else:
                answer = await self._other(scope, headers)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - every error is answered with a problem document
            answer = self._problems.answer(error)
        self._metrics.count(route.path, answer.status)
        if route.cors_rule is None or scope["method"] == "OPTIONS":
            await write(send, answer)
        else:
            caller = scope.get(CALLER)
            project = caller.project if caller else None
            await write(send, answer, await self._cors.headers(route.cors_rule, headers.get(b"origin"), project))

    async def _post(self, scope: Scope, caller: Caller | None, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        route = self._route
        if scope["query_string"]:
            raise InvalidRequest("this path takes no query parameters")
        check_json(headers, route.access.media)
        body = await read_body(headers, receive, route.access.limit)
        if b"idempotency-key" not in headers:
            return await route.handle(scope, caller, body)

        async def run() -> Answer:
            return await route.handle(scope, caller, body)

        return await self._door.once(route.access, caller, scope, headers, body, run)

    async def _other(self, scope: Scope, headers: dict[bytes, bytes]) -> Answer:
        if scope["method"] != "OPTIONS":
            raise MethodNotAllowed("POST")
        origin = headers.get(b"origin")
        if self._route.cors_rule is None or origin is None:
            return Answer(204, b"", ((b"allow", b"OPTIONS, POST"),))
        return await self._cors.preflight(self._route.cors_rule, origin)


def plain_routes(services: Services, identity: Identity) -> list[PlainRoute]:
    """Events of servers and of SDKs, and receipts."""
    return [
        PlainRoute(
            "/v1/events",
            Access(key="server", scope="send", limit=BATCH_LIMIT, creates=True, bounded=True),
            None,
            _server_events(services),
            Described(
                "ingest_events",
                "Take one event, or up to 1,000 as a batch. They are on disk before the answer; an id counts once.",
                "Sending",
                (EventBody, EventBatch),
                {202: BatchAnswer},
            ),
        ),
        PlainRoute(
            "/v1/sdk/events",
            Access(key="public", limit=BATCH_LIMIT, creates=True, bounded=True),
            "listed",
            _sdk_events(services, identity),
            Described(
                "ingest_sdk_events",
                "Take behaviour events of the caller's own user.",
                "SDK",
                (SdkEventBody, SdkEventBatch),
                {202: BatchAnswer},
            ),
        ),
        PlainRoute(
            "/v1/receipts",
            Access(key=None, media=(b"text/plain",)),
            "any",
            _receipts(services),
            Described(
                "take_receipts",
                "Take what devices tell about deliveries. Needs no key: each receipt is a signed token of its message.",
                "SDK",
                (ReceiptBody, ReceiptBatch),
                {202: BatchAnswer},
            ),
        ),
    ]


def _server_events(services: Services) -> Handle:
    now = services.clock.now
    bodies = Batches(EventBody, EventBatch)

    async def handle(scope: Scope, caller: Caller | None, body: bytes) -> Answer:
        assert caller is not None
        at = now()
        events, errors = bodies.read(body, lambda item: event(item, item.user_id, caller.project, at))
        events = _repeatable(events, caller, header(scope, IDEMPOTENCY_KEY), at)
        return batches.answer(await services.pipeline.ingest(caller.project, events) if events else (), errors)

    return handle


def _sdk_events(services: Services, identity: Identity) -> Handle:
    bodies = Batches(SdkEventBody, SdkEventBatch)

    async def handle(scope: Scope, caller: Caller | None, body: bytes) -> Answer:
        assert caller is not None
        person = await Visitor(identity, caller.project, scope).named()
        now = services.clock.now()
        events, errors = bodies.read(body, lambda item: event(item, person.user_id, caller.project, now))
        events = _of_their_own(_repeatable(events, caller, header(scope, IDEMPOTENCY_KEY), now))
        new = await services.pipeline.ingest(caller.project, events) if events else ()
        return batches.answer(new, errors)

    return handle


def event(body: SdkEventBody, user_id: str, project: Project, now: Millis) -> Event:
    """What a body says of somebody. Raises InvalidRequest when it is older than what the project keeps."""
    occurred_at = now if body.occurred_at is None else millis(body.occurred_at, "occurred_at")
    oldest = trigger.oldest_kept(project.settings, now)
    if oldest is not None and occurred_at < oldest:
        raise InvalidRequest.field(
            "occurred_at", f"lies before what the project keeps: the last {project.settings.event_days} days"
        )
    return Event(
        user_id=user_id,
        name=body.name,
        properties=body.properties or {},
        occurred_at=occurred_at,
        id=body.id,
    )


def _of_their_own(events: list[Event]) -> list[Event]:
    """Ids with the user's before them: who holds a public key must not use up those of a server, or of others."""
    return [
        event if event.id is None else msgspec.structs.replace(event, id=f"{event.user_id}:{event.id}")
        for event in events
    ]


def _repeatable(events: list[Event], caller: Caller, key: bytes | None, now: Millis) -> list[Event]:
    """Under an Idempotency-Key events without an id get one of it, so that a repetition after a crash counts once."""
    if key is None:
        return events
    made, _ = repeatable_ids(caller.key.kind, key, now)
    return [
        event if event.id is not None else msgspec.structs.replace(event, id=f"{made}.{place}")
        for place, event in enumerate(events)
    ]


def _receipts(services: Services) -> Handle:
    tokens, now = services.receipts, services.clock.now
    bodies = Batches(ReceiptBody, ReceiptBatch)

    def make(body: ReceiptBody) -> Receipt:
        try:
            claim = tokens.read(body.receipt, now())
        except ReceiptForged:
            raise InvalidRequest.field("receipt", "must be the token from the message's payload") from None
        except ReceiptExpired:
            raise InvalidRequest.field("receipt", "has expired") from None
        at = now() if body.at is None else millis(body.at, "at")
        return Receipt(claim.project, claim.notification, claim.user, claim.device, body.kind, body.action, at)

    async def handle(_scope: Scope, _caller: Caller | None, body: bytes) -> Answer:
        receipts, errors = bodies.read(body, make)
        return batches.answer(await services.pipeline.learn(receipts) if receipts else (), errors)

    return handle
