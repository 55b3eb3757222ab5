"""Who gets in: key, scope, rate, backlog, body, Idempotency-Key, for the framework's and the bare routes alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from clarion.api.auth import Caller, KeyKind, KeyScope, allow, authenticate
from clarion.api.http import (
    MIB,
    Answer,
    Scope,
    client_of,
)
from clarion.api.idempotency import HEADER as IDEMPOTENCY_KEY
from clarion.api.idempotency import Idempotency
from clarion.api.identity import USER_HEADER
from clarion.api.limits import Backlog, Buckets
from clarion.api.services import Services

CALLER = "clarion.caller"
"""Where the caller stands in the ASGI scope once it is known."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a route asks of its callers.

    `limit`: bytes of the body; `bounded`: refused while too much work waits; `any_query`: people follow it as a link,
    to which mail programs and counters add parameters of their own.
    """

    key: KeyKind | None
    scope: KeyScope | None = None
    limit: int = MIB
    creates: bool = False
    bounded: bool = False
    media: tuple[bytes, ...] = ()
    any_query: bool = False


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
        if access.bounded and caller is not None:
            await self.backlog.check(caller.project.key)
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
