"""Where senders hand in messages: the RFC 8030 endpoint over batches of requests, whatever carried them here."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import structlog

from clarion.errors import RateLimited, Unavailable
from clarion.gateway import metrics
from clarion.gateway.extract import Cancel, Discovery, Extractor, Push
from clarion.gateway.gathering import Gathering
from clarion.gateway.gcm.apps import path_at_google
from clarion.gateway.node import Node
from clarion.gateway.refusal import Errno, Refused, answer, not_stored, too_often
from clarion.gateway.router import Envelope, NotStored, Outcome, Router, Stored
from clarion.model import Key, Millis
from clarion.ports import HttpRequest, HttpResponse, Limiter, PushChannel, PushMessage

log = structlog.get_logger(__name__)

T = TypeVar("T")
_SLICE = 250  # requests: no turn of the loop takes more than about 3 ms
_PAUSE_S = 0.004  # after a batch of what senders brought one by one
_DISCOVERED = HttpResponse(HTTPStatus.OK.value, {"content-type": "application/json"}, b'{"unifiedpush":{"version":1}}')
_CREATED = HTTPStatus.CREATED.value
_NO_CONTENT = HttpResponse(HTTPStatus.NO_CONTENT.value)


class Limits(NamedTuple):
    """How often senders may come: from one address, whatever they want, and with messages for one subscription."""

    by_address: Limiter
    by_token: Limiter


class PushEndpoint:
    """Takes requests, answers in order, never raises for one of them."""

    def __init__(self, node: Node, extractor: Extractor, router: Router, limits: Limits | None = None) -> None:
        self._node = node
        self._extractor = extractor
        self._router = router
        self._limits = limits
        self._gathering = Gathering(self._push, node.tasks, _PAUSE_S)

    async def accept(self, requests: Sequence[HttpRequest], address: str | None = None) -> list[HttpResponse]:
        """Each is answered 201 only when its message is on disk, or needs none (TTL 0).

        `address` is where they came from; None is our own sender, who knows no limits.
        """
        responses: list[HttpResponse] = []
        for start in range(0, len(requests), _SLICE):
            responses += await self._accept(requests[start : start + _SLICE], address)
        return responses

    async def _accept(self, requests: Sequence[HttpRequest], address: str | None) -> list[HttpResponse]:
        now = self._node.clock.now()
        valid = [self._admit(request, now, address) for request in requests]
        pushes = [each for each in valid if isinstance(each, Push)]
        answers = iter(await self._push(pushes) if pushes else [])
        return [next(answers) if isinstance(each, Push) else await self._answer(each) for each in valid]

    async def accept_one(self, request: HttpRequest, address: str | None) -> HttpResponse:
        """The same for requests that come one by one; those of one moment share the way to the store."""
        valid = self._admit(request, self._node.clock.now(), address)
        return await (self._gathering.join(valid) if isinstance(valid, Push) else self._answer(valid))

    def _admit(self, request: HttpRequest, now: Millis, address: str | None) -> Push | Cancel | Discovery | Refused:
        limits = None if address is None else self._limits
        try:
            if limits is not None:
                limits.by_address.take(("sender", address or ""))
            path = path_at_google(request.url) or request.url.removeprefix(self._node.origin)
            valid = self._extractor.extract(request, path.partition("?")[0], now)
            if limits is not None and isinstance(valid, Push):
                limits.by_token.take(("subscription", valid.endpoint.chid.hex()))
        except Refused as refused:
            return refused
        except RateLimited as limited:
            return too_often(limited)
        return valid

    async def _answer(self, valid: Cancel | Discovery | Refused) -> HttpResponse:
        if isinstance(valid, Cancel):
            return await self._cancel(valid)
        return _DISCOVERED if isinstance(valid, Discovery) else answer(valid)

    async def _cancel(self, cancel: Cancel) -> HttpResponse:
        """204 also when it is not there any more: delivered, expired or replaced."""
        deleted = await _guarded(lambda: self._node.store.delete(cancel.key, cancel.channel))
        return answer(deleted) if isinstance(deleted, Refused) else _NO_CONTENT

    async def _push(self, pushes: Sequence[Push]) -> list[HttpResponse]:
        now = self._node.clock.now()
        addressed = await _guarded(lambda: self._address(pushes, now))
        if isinstance(addressed, Refused):
            return [answer(addressed)] * len(pushes)
        envelopes = [each for each in addressed if isinstance(each, Envelope)]
        outcomes = await self._router.accept(envelopes)
        metrics.ACCEPTED.inc(sum(not isinstance(outcome, NotStored) for outcome in outcomes))
        left = iter(outcomes)
        return [
            answer(each) if isinstance(each, Refused) else self._accepted(push, each, next(left))
            for push, each in zip(pushes, addressed, strict=True)
        ]

    async def _address(self, pushes: Sequence[Push], now: Millis) -> list[Envelope | Refused]:
        """Find the channels; those that are not there are gone for good."""
        pairs = [(push.endpoint.uaid.hex(), _dashed(push.endpoint.chid)) for push in pushes]
        channels = await self._node.store.channels(pairs)
        lost = {uaid for (uaid, _), channel in zip(pairs, channels, strict=True) if channel is None}
        known = await self._node.store.known_devices(sorted(lost)) if lost else set()
        return [
            _envelope(push, channel, now) if channel else _gone(uaid in known)
            for push, (uaid, _), channel in zip(pushes, pairs, channels, strict=True)
        ]

    def _accepted(self, push: Push, envelope: Envelope, outcome: Outcome) -> HttpResponse:
        """RFC 8030 section 5: 201 with where the message can be taken back, and the TTL that is kept."""
        if isinstance(outcome, NotStored):
            return answer(not_stored(outcome.retry_after))
        key = outcome.key if isinstance(outcome, Stored) else None
        location = f"{self._node.origin}/m/{self._message_id(key, envelope.message.channel)}"
        return HttpResponse(_CREATED, {"location": location, "ttl": str(push.ttl)})

    def _message_id(self, key: Key | None, channel: Key) -> str:
        # Every answer names a resource of its own, also for what is not stored (again): one that no key has.
        return self._extractor.message_id(key, channel) if key else self._extractor.message_id(secrets.randbits(63), 0)


async def _guarded(work: Callable[[], Awaitable[T]]) -> T | Refused:
    try:
        return await work()
    except Unavailable as error:
        log.warning("push_store_unavailable", error=error.detail)
        return not_stored(error.retry_after)
    except Exception:
        log.exception("push_store_failed")
        return not_stored(None)


def _envelope(push: Push, channel: PushChannel, now: Millis) -> Envelope:
    message = PushMessage(
        channel=channel.key,
        device=channel.device,
        channel_id=channel.channel_id,
        data=push.data,
        headers=push.headers,
        expires_at=now + push.ttl * 1000,
        topic=push.topic,
        urgency=push.urgency.value,
        source=push.source,
        sent_at=now,
        app=channel.app,
    )
    return Envelope(push.endpoint.uaid, message, instant=push.ttl == 0, node=channel.node)


def _gone(device_known: bool) -> Refused:
    if device_known:
        return Refused(Errno.NO_CHANNEL, "the subscription was cancelled on the device")
    return Refused(Errno.NO_USER, "the device has no subscriptions any more")


def _dashed(chid: bytes) -> str:
    text = chid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
