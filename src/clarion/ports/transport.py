"""How requests go out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
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
    """One request of a batch by itself: what it does not share with the others.

    `id`, a delivery's id, lets a transport that can tell a repetition recognise it.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    id: bytes | None = None


class HttpBatch(msgspec.Struct, frozen=True):
    """POST requests to one origin (`https://host[:port]`), as columns: the n-th request is the n-th of each.

    `headers` go with every request; of those in `varying` each has a value of its own. Names are in lower case, paths
    with their query. `ids`, where there are any, are those of the deliveries.

    A plain success may be answered without its headers: reading them costs more than the request. Anything else has
    all of them.
    """

    origin: str
    headers: tuple[tuple[str, str], ...]
    paths: Sequence[str]
    bodies: Sequence[bytes]
    varying: Mapping[str, Sequence[str]] = {}
    ids: Sequence[bytes] | None = None

    def __post_init__(self) -> None:
        columns = [self.bodies, *self.varying.values(), *([] if self.ids is None else [self.ids])]
        if any(len(column) != len(self.paths) for column in columns):
            raise ValueError("the columns of a batch are of different lengths")

    @classmethod
    def of(cls, origin: str, headers: tuple[tuple[str, str], ...], requests: Sequence[BatchRequest]) -> "HttpBatch":
        """A batch of requests that all name the same headers, in the same order."""
        names = [name for name, _ in requests[0].headers] if requests else []
        varying = {name: [request.headers[at][1] for request in requests] for at, name in enumerate(names)}
        ids = [request.id for request in requests if request.id is not None]
        paths, bodies = [request.path for request in requests], [request.body for request in requests]
        return cls(origin, headers, paths, bodies, varying, ids if len(ids) == len(requests) else None)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def requests(self) -> list[BatchRequest]:
        """One by one, for who has no use for columns."""
        names, count = tuple(self.varying), len(self)
        values = zip(*self.varying.values(), strict=True) if names else repeat((), count)
        headers = (tuple(zip(names, each, strict=True)) for each in values)
        return list(map(BatchRequest, self.paths, headers, self.bodies, self.ids or repeat(None, count)))

    def part(self, numbers: Sequence[int]) -> "HttpBatch":
        """Those of the requests."""
        return msgspec.structs.replace(
            self,
            paths=[self.paths[number] for number in numbers],
            bodies=[self.bodies[number] for number in numbers],
            varying={name: [values[number] for number in numbers] for name, values in self.varying.items()},
            ids=None if self.ids is None else [self.ids[number] for number in numbers],
        )


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
