"""A gateway node in a process of its own, and in it what our own sender does: batches into `Gateway.accept`."""

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import uvloop

from clarion.bootstrap import Platform, calm_collector, working
from clarion.config import load
from clarion.gateway import metrics
from clarion.ports import HttpRequest
from fleet.control import reply
from fleet.servers import ORIGIN, SECRET

_BATCH = 1_000
_BATCHES_AT_ONCE = 2
_LOOK_S = 0.01
_BODY = os.urandom(232)


class Pusher:
    """Pushes to endpoints; done when the last acknowledged message is gone from the store."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._stored = sqlite3.connect(folder / "clarion.db", isolation_level=None)

    async def push(self, endpoints: list[str], authorization: str, count: int, own: bool = False) -> None:
        """`count` durable messages to the endpoints in turn; `own` ones carry the id of a delivery."""
        headers = {"TTL": "86400", "Content-Encoding": "aes128gcm", "Authorization": authorization}
        acked_before, begun, cpu = _acked(), time.monotonic(), time.process_time()
        new_id: Callable[[], bytes | None] = (lambda: uuid4().bytes) if own else (lambda: None)
        numbers = iter(range(0, count, _BATCH))

        async def send() -> None:
            for start in numbers:
                body = time.monotonic_ns().to_bytes(8) + _BODY
                batch = [
                    HttpRequest("POST", endpoints[number % len(endpoints)], headers, body, id=new_id())
                    for number in range(start, min(start + _BATCH, count))
                ]
                answers = await self._platform.gateway.accept(batch)
                assert all(each.status == 201 for each in answers), answers
                reply(progress=start)

        await asyncio.gather(*(send() for _ in range(_BATCHES_AT_ONCE)))
        # Nobody tells when a store is empty.
        while _acked() - acked_before < count or self._waiting():  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_S)
        seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
        reply(per_s=count / seconds, cpu_us=cpu / count * 1e6)

    def _waiting(self) -> bool:
        return self._stored.execute("SELECT 1 FROM push_message WHERE data IS NOT NULL LIMIT 1").fetchone() is not None


def _acked() -> float:
    samples = [sample for family in metrics.ACKED.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


async def main(folder: Path, port: int) -> None:
    """Serve devices, and push at command, until stdin ends."""
    settings = load({}, None, data=folder, push_port=port, secret_key=[SECRET], public_endpoint_url=ORIGIN)
    loop = asyncio.get_running_loop()
    async with Platform(settings).opened() as platform, working(platform, ["gateway"]):
        pusher = Pusher(platform, folder)
        calm_collector()
        reply(ready=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            command.pop("do")
            command["endpoints"] = Path(command["endpoints"]).read_text("ascii").split()  # noqa: ASYNC240 - nothing runs
            await pusher.push(**command)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
