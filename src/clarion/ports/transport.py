"""How requests go out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """A request to our own push endpoint, whoever carried it here. `id`, a delivery's id, tells a repetition."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    id: bytes | None = None


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """`status` 0 means that no answer came; `error` says why. Header names are lower case.

    `unknown`: the request may have been processed although no answer came. With a status, `error` says that the rest
    of the answer is missing.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    error: str | None = None
    unknown: bool = False


class BatchRequest(msgspec.Struct, frozen=True, gc=False):
    """What one request of a batch does not share with the others. `path` with its query; header names in lower case.

    `id`, a delivery's id, lets a transport that can tell a repetition recognise it.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    id: bytes | None = None


class HttpBatch(msgspec.Struct, frozen=True):
    """POST requests to one origin (`https://host[:port]`). `headers`, in lower case, go with every one of them.

    A plain success may be answered without its headers: reading them costs more than the request. Anything else has
    all of them.
    """

    origin: str
    headers: tuple[tuple[str, str], ...]
    requests: Sequence[BatchRequest]


class Transport(Protocol):
    """Carries many small requests to one origin; answers in order; never raises for a single request."""

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A certificate by which we are known in the TLS handshake, with its key; both in PEM."""

    certificate: bytes
    private_key: bytes = field(repr=False)


class Senders(Protocol):
    """The transports to all origins, made when they are first asked for."""

    def to(
        self, origin: str, *, sender: str = "", identity: ClientIdentity | None = None, cautious: bool = False
    ) -> Transport:
        """The one for an origin; each sender and each identity has connections of its own.

        `cautious`: one stream a connection until the first success. Raises ValueError for a useless identity.
        """
        ...

    async def close(self) -> None: ...
