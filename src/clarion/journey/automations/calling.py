"""Calling: the webhooks of automations, signed, tried again with ever longer pauses, and given up after a day."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from clarion.crypto.webhooks import WebhookSecrets
from clarion.errors import Unavailable
from clarion.journey.catalog import Catalog
from clarion.model import Millis
from clarion.ports import BatchRequest, Call, Clock, Effects, HttpBatch, HttpResponse, Lease, NewWork, Transport
from clarion.ports import WebhookWork as Webhook

FIRST_PAUSE_MS = 2_000
LONGEST_PAUSE_MS = 3_600_000
TRIES = 32
"""With these pauses: about a day."""
_AGAIN = frozenset({408, 409, 425, 429})
_THEIR_ERROR = 500
_HEADERS = (("content-type", "application/json"),)


class Webhooks(NamedTuple):
    """How calls go out: the guard against private addresses is the transport's. `secrets` sign them."""

    transport: Transport
    secrets: WebhookSecrets


class Calling:
    """What the pipeline does with calls of other people's servers."""

    def __init__(self, webhooks: Webhooks | None, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._webhooks = webhooks
        self._clock = clock

    def secret(self, project_id: str) -> str:
        """With what the calls of a project are signed. Raises Unavailable."""
        if self._webhooks is None:
            raise Unavailable("this process makes no calls")
        return self._webhooks.secrets.secret(project_id)

    async def effects(self, lease: Lease, job: Webhook) -> Effects:
        """Makes the calls; those to be tried again are work of their own, so that each is made until it is taken."""
        if self._webhooks is None:
            return Effects()
        now, project_id = self._clock.now(), (await self._catalog.project(lease.project)).id
        parts = urlsplit(job.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        requests = [self._request(project_id, path, call, now) for call in job.calls]
        batch = HttpBatch.of(f"{parts.scheme}://{parts.netloc}", _HEADERS, requests)
        answers = await self._webhooks.transport.send_batch(batch)
        left = failed(job.calls, answers)
        if not left or lease.attempts + 1 >= TRIES:
            return Effects()
        again = msgspec.structs.replace(job, calls=left)
        due_at = self._clock.now() + pause_ms(lease.attempts)
        return Effects(work=[NewWork(lease.project, again, due_at, attempts=lease.attempts + 1)])

    def _request(self, project_id: str, path: str, call: Call, now: Millis) -> BatchRequest:
        assert self._webhooks is not None
        seconds = now // 1000
        signature = self._webhooks.secrets.sign(project_id, call.id, seconds, call.body)
        named = (("webhook-id", call.id), ("webhook-timestamp", str(seconds)), ("webhook-signature", signature))
        return BatchRequest(path, named, call.body)


def failed(calls: Sequence[Call], answers: Sequence[HttpResponse]) -> list[Call]:
    """Those that another try may mend: no answer, an overload, an error of theirs. A refusal is their last word."""
    return [call for call, answer in zip(calls, answers, strict=True) if _may_mend(answer)]


def _may_mend(answer: HttpResponse) -> bool:
    if answer.status == 0:
        return not (answer.error or "").startswith("refused")  # an address that we do not connect to
    return answer.status in _AGAIN or answer.status >= _THEIR_ERROR


def pause_ms(attempts: int) -> Millis:
    """2 s, doubled each time, at most an hour."""
    return min(FIRST_PAUSE_MS << min(attempts, 20), LONGEST_PAUSE_MS)
