"""Whole requests as the batches that transports take."""

import asyncio
from collections.abc import Sequence

from clarion.ports import BatchRequest, HttpBatch, HttpRequest, HttpResponse, Transport


def parted(url: str) -> tuple[str, str]:
    """What leads to a service, and what is asked there."""
    slash = url.find("/", len("https://"))
    return (url[:slash], url[slash:]) if slash >= 0 else (url, "")


async def send(transport: Transport, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
    """One batch for each origin and set of headers, all at once; answers in order."""
    batches: dict[tuple[str, tuple[str, ...]], dict[int, BatchRequest]] = {}
    for number, request in enumerate(requests):
        origin, path = parted(request.url)
        headers = tuple((name.lower(), value) for name, value in request.headers.items())
        names = tuple(name for name, _ in headers)
        batches.setdefault((origin, names), {})[number] = BatchRequest(path, headers, request.body, request.id)
    done = await asyncio.gather(
        *(
            transport.send_batch(HttpBatch.of(origin, (), list(batch.values())))
            for (origin, _), batch in batches.items()
        )
    )
    answers: dict[int, HttpResponse] = {}
    for batch, answered in zip(batches.values(), done, strict=True):
        answers |= zip(batch, answered, strict=True)
    return [answers[number] for number in range(len(requests))]


async def send_and_close(transport: Transport, *requests: HttpRequest) -> list[HttpResponse]:
    """The same, by a transport that is of no use any more."""
    try:
        return await send(transport, requests)
    finally:
        await transport.close()
