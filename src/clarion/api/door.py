"""Who gets in: key, scope, rate, backlog, body, Idempotency-Key, for the framework's and the bare routes alike."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clarion.api.auth import Caller, KeyKind, KeyScope, allow, authenticate
from clarion.api.decoding import BODY
from clarion.api.http import (
    MIB,
    Answer,
    App,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    check_json,
    client_of,
    read_body,
    write,
)
from clarion.api.idempotency import HEADER as IDEMPOTENCY_KEY
from clarion.api.idempotency import Idempotency
from clarion.api.identity import USER_HEADER
from clarion.api.limits import Backlog, Buckets
from clarion.api.services import Services
from clarion.errors import FieldError, InvalidRequest

CALLER = "clarion.caller"
"""Where the caller stands in the ASGI scope once it is known."""

_WITH_BODY = ("POST", "PUT")


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a route asks of its callers. `limit`: bytes of the body; `bounded`: refused while too much work waits."""

    key: KeyKind | None
    scope: KeyScope | None = None
    limit: int = MIB
    creates: bool = False
    bounded: bool = False
    media: tuple[bytes, ...] = ()


def server(scope: KeyScope, **more: Any) -> dict[str, Any]:
    """Route options: a server key with this scope."""
    return {"opt": {"access": Access(key="server", scope=scope, **more)}}


def public(**more: Any) -> dict[str, Any]:
    """Route options: a public key."""
    return {"opt": {"access": Access(key="public", **more)}}


class Door:
    """What is checked before a handler runs."""

    def __init__(self, services: Services) -> None:
        self._catalog = services.catalog
        self._buckets = Buckets(services.clock) if services.settings.rate_limits else None
        self.backlog = Backlog(services.store.work, services.clock, services.backlog_bound)
        self._idempotency = Idempotency(services.store.idempotency, services.sealer, services.clock)

    async def admit(self, access: Access, scope: Scope, headers: dict[bytes, bytes]) -> Caller | None:
        """The caller, also noted in the scope; None where no key is asked for.

        Raises:
            Unauthenticated, Forbidden, RateLimited.
        """
        caller = None
        if access.key is not None:
            caller = scope[CALLER] = await authenticate(self._catalog, headers.get(b"authorization"))
            allow(caller, access.key, access.scope)
        if access.key != "server" and self._buckets is not None:
            self._buckets.take((caller.key.id if caller else "", client_of(scope)))
        if access.bounded:
            await self.backlog.check()
        return caller

    async def once(
        self,
        access: Access,
        caller: Caller | None,
        scope: Scope,
        headers: dict[bytes, bytes],
        body: bytes,
        run: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """`run`, under the request's Idempotency-Key if it has one and the route creates something."""
        key = headers.get(IDEMPOTENCY_KEY)
        if key is None or caller is None or not access.creates:
            return await run()
        request = (scope["path"].encode(), scope["query_string"], headers.get(USER_HEADER, b""), body)
        return await self._idempotency.once(caller, key, request, run)


class Guarded:
    """The door before the framework's routes: ASGI middleware that reads what the route's `opt` asks for."""

    def __init__(self, app: App, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through to its handler, or raise what is wrong with it."""
        handler = scope["route_handler"]
        access: Access | None = handler.opt.get("access")
        if access is None:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        caller = await self._door.admit(access, scope, headers)
        scope["path_params"] = {name: slashes(value) for name, value in scope["path_params"].items()}
        _check_query(scope, handler.parsed_fn_signature.parameters)
        if scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        if handler.parsed_data_field is not None:
            check_json(headers, access.media)
        try:
            body = await read_body(headers, receive, access.limit)
        except ClientGone:
            return
        if not body and handler.parsed_data_field is not None:
            raise InvalidRequest.field(BODY, "is required: a JSON object")

        async def run() -> Answer:
            return await captured(self._app, scope, body)

        await write(send, await self._door.once(access, caller, scope, headers, body, run))


def slashes(value: str) -> str:
    """A path parameter as it was meant: `%2F` travels through the router as U+0000 (see `front.readable`)."""
    return value.replace("\0", "/")


async def captured(app: App, scope: Scope, body: bytes) -> Answer:
    """The whole answer of an app to a body that is here already."""
    status, parts, headers = 500, list[bytes](), list[tuple[bytes, bytes]]()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.extend(pair for pair in message.get("headers", ()) if pair[0] != b"content-length")
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, b"".join(parts), tuple(headers))


def _check_query(scope: Scope, parameters: Mapping[str, Any]) -> None:
    """A parameter that nobody reads is a typing mistake too."""
    if not scope["query_string"]:
        return
    known = {getattr(field.kwarg_definition, "name", None) or name for name, field in parameters.items()}
    told = {part.partition("=")[0] for part in scope["query_string"].decode("latin-1").split("&") if part}
    wrong = [FieldError(name, "is not a query parameter here") for name in sorted(told - known)]
    if wrong:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in wrong), errors=wrong)
