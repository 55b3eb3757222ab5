"""aioapns: on its own pool, as `http2.py` has it, to tokens and with a text of ours."""

import uuid
from typing import Any

import uvloop
from aioapns.common import NotificationRequest, NotificationResult, PushType

from http2_peers.aioapns_client import AioapnsClient
from http2_peers.target import Target
from sending_parts.asked import BODY, TITLE, URL, Watch, task

_MESSAGE = {"aps": {"alert": {"title": TITLE, "body": BODY}, "sound": "default"}, "url": URL}
_STREAMS = 1_000


class _Client(AioapnsClient):
    async def _one(self, pool: Any, id: str) -> bool:
        """`id`: the device's token."""
        request = NotificationRequest(
            id, _MESSAGE, str(uuid.uuid4()), time_to_live=259_200, priority=10, push_type=PushType.ALERT
        )
        result: NotificationResult = await pool.send_notification(request)
        return result.status == "200"


async def main() -> None:
    told = task()
    client, tokens = _Client(), told["tokens"]
    await client.open(Target(told["port"], told["authority"], _STREAMS, 1))
    await client.send(tokens[: len(tokens) // 10])
    watch = Watch()
    watch.tell(await client.send(tokens), len(tokens))
    await client.close()


if __name__ == "__main__":
    uvloop.run(main())
