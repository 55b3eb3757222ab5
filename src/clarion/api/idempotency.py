"""Idempotency-Key: who repeats a request for want of an answer gets the first one's answer, and no second effect."""

import hashlib
import logging
from collections.abc import Awaitable, Callable

from clarion.api.auth import Caller
from clarion.api.http import Answer, Header
from clarion.crypto.sealing import SealBroken, Sealer
from clarion.errors import Conflict, IdempotencyInProgress, IdempotencyMismatch, InvalidRequest, Unavailable
from clarion.model import DAY_MS, Key, Millis
from clarion.ports import Clock, SavedAnswer
from clarion.ports import Idempotency as SavedAnswers

log = logging.getLogger(__name__)

HEADER = b"idempotency-key"
_FIELD = "Idempotency-Key"
REPLAYED: Header = (b"idempotency-replayed", b"true")
MAX_KEY = 255
_IN_PROGRESS_RETRY_S = 2
_FAILED = 300


class Idempotency:
    """One effect a key. Only answers that did something are kept; whoever was refused may mend the request and repeat.

    Kept answers are sealed: some of them show a secret for the only time.
    """

    def __init__(self, answers: SavedAnswers, sealer: Sealer, clock: Clock) -> None:
        self._answers = answers
        self._sealer = sealer
        self._clock = clock

    async def once(
        self, caller: Caller, key: bytes, request: tuple[bytes, ...], run: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The answer of `run`, or the one that the same request got before.

        `request` is all that makes a request the same one: path, who it speaks for, body.

        Raises:
            InvalidRequest: the key is not 1 to 255 printable ASCII characters.
            IdempotencyMismatch: the key came with another request.
            IdempotencyInProgress: the first request has not ended.
        """
        # A public key is in everybody's hands: what is known under it must not get in the way of a server's keys.
        name = f"{caller.key.kind}:{_checked(key)}"
        digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in request)).digest()
        project = caller.project.key
        known = await self._answers.begin(project, name, digest, self._clock.now())
        if known is not None:
            return self._replay(known, digest, f"idempotency/{project}/{name}")
        try:
            answer = await run()
        except BaseException:
            await self._answers.abandon(project, name)
            raise
        if answer.status >= _FAILED:
            await self._answers.abandon(project, name)
        else:
            await self._keep(project, name, answer)
        return answer

    async def _keep(self, project: Key, name: str, answer: Answer) -> None:
        sealed = self._sealer.seal(answer.body, f"idempotency/{project}/{name}")
        try:
            await self._answers.finish(project, name, answer.status, sealed)
        except Unavailable:
            # What was asked for is done, and the caller is told so; only a repetition will have to find out by itself.
            log.warning("an answer could not be kept for repetitions", exc_info=True)

    def _replay(self, known: SavedAnswer, digest: bytes, context: str) -> Answer:
        if known.request_hash != digest:
            raise IdempotencyMismatch.field(_FIELD, "it was used with another request; take a new one")
        if known.status == 0:
            raise IdempotencyInProgress(
                f"{_FIELD}: the first request with it has not ended", retry_after=_IN_PROGRESS_RETRY_S
            )
        try:
            body = self._sealer.open(known.body, context)
        except SealBroken:
            raise Conflict.field(_FIELD, "it was used before, and its answer can no longer be read") from None
        plain = Answer(known.status, body)
        return Answer(plain.status, body, (*plain.headers, REPLAYED))


def repeatable_ids(side: str, key: bytes, now: Millis) -> tuple[str, str]:
    """The id of what a request with this key makes today, and the one that it would have had yesterday.

    A repetition after a crash, of which no answer was kept, finds what the first attempt made by its id. Answers are
    kept for a day; the day in the id lets the key make something new after that. `side`: the kind of the caller's key.
    """
    today = now // DAY_MS
    ids = (
        hashlib.blake2b(f"{side}:".encode() + key + f":{day}".encode(), digest_size=16) for day in (today, today - 1)
    )
    first, second = (id.hexdigest() for id in ids)
    return first, second


def _checked(key: bytes) -> str:
    text = key.decode("latin-1")
    if not 0 < len(text) <= MAX_KEY or not (text.isascii() and text.isprintable()):
        raise InvalidRequest.field(_FIELD, f"must be 1 to {MAX_KEY} printable ASCII characters")
    return text
