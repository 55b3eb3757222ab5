"""The peer: a plain `websockets` server that holds the same devices and answers their hello."""

import asyncio
import json
import sys
from contextlib import suppress
from uuid import uuid4

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from fleet.control import reply

_PING_INTERVAL_S, _PING_TIMEOUT_S = 300, 4  # as our own


async def answer(device: ServerConnection) -> None:
    """Answer hellos until it goes."""
    with suppress(ConnectionClosed):
        async for message in device:
            said = json.loads(message)
            if said["messageType"] == "hello":
                await device.send(json.dumps({"messageType": "hello", "uaid": said.get("uaid") or uuid4().hex}))


async def main(port: int) -> None:
    """Serve until terminated."""
    async with serve(
        answer,
        "127.0.0.1",
        port,
        subprotocols=["push-notification"],  # type: ignore[list-item] # a NewType of str
        ping_interval=_PING_INTERVAL_S,
        ping_timeout=_PING_TIMEOUT_S,
        backlog=4096,
    ):
        reply(ready=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
