"""Carries receipts to the server, oldest first, until they are taken or refused for good."""

import asyncio

import aiohttp
import structlog

from clarion.agent.backoff import Backoff
from clarion.agent.outbox import Outbox, Receipt
from clarion.agent.server import TIMEOUT, reason_of, retry_after
from clarion.agent.together import rest

log = structlog.get_logger(__name__)

BATCH = 100
_PASSING = (408, 425, 429)
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class Reporter:
    """`news` is set when a receipt is new; `hurry` when waiting has become pointless."""

    def __init__(self, http: aiohttp.ClientSession, outbox: Outbox, backoff: Backoff, news: asyncio.Event) -> None:
        self._http = http
        self._outbox = outbox
        self._backoff = backoff
        self._news = news
        self.hurry = asyncio.Event()

    async def run(self) -> None:
        """Report for ever."""
        while True:
            self._news.clear()
            batch = self._outbox.batch(BATCH)
            if not batch:
                await self._news.wait()
                continue
            wait = await self._send(batch)
            if wait is not None:
                self.hurry.clear()
                await rest(self.hurry, wait)

    async def _send(self, batch: list[Receipt]) -> float | None:
        """Seconds to wait before the next attempt; None when this batch is done with."""
        try:
            async with self._http.post(
                batch[0].url, json={"receipts": [_told(each) for each in batch]}, timeout=TIMEOUT
            ) as response:
                status, later = response.status, retry_after(response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return self._later(reason_of(error), None)
        if status >= _SERVER_ERROR or status in _PASSING:
            return self._later(f"the server answered {status}", later)
        if status >= _CLIENT_ERROR:
            log.warning("receipts_refused", status=status, count=len(batch))
        self._outbox.drop(batch)
        self._backoff.reset()
        return None

    def _later(self, why: str, retry_after_s: int | None) -> float:
        wait = self._backoff.next(retry_after_s)
        log.info("receipts_wait", why=why, again_in_s=round(wait, 1))
        return wait


def _told(receipt: Receipt) -> dict[str, str]:
    told = {"receipt": receipt.receipt, "kind": receipt.kind, "action": receipt.action, "at": receipt.at}
    return {name: value for name, value in told.items() if value is not None}
