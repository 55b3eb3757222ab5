"""Our own push service: what its operator tells all devices at once."""

from litestar import get, put
from litestar.params import JSONBody

from clarion.api.answers.push import BroadcastAnswer, BroadcastList
from clarion.api.door import server
from clarion.api.framework import BroadcastIdInPath, FromServices
from clarion.api.schemas import BroadcastPut


@put("/v1/push/broadcasts/{broadcast_id:str}", **server("admin"))
async def put_broadcast(
    services: FromServices, broadcast_id: BroadcastIdInPath, data: JSONBody[BroadcastPut]
) -> BroadcastAnswer:
    """Give a broadcast a version, and tell it to all devices of our push service that follow it."""
    await services.push_service.set_broadcast(broadcast_id, data.version)
    return BroadcastAnswer(id=broadcast_id, version=data.version)


@get("/v1/push/broadcasts", **server("read"))
async def list_broadcasts(services: FromServices) -> BroadcastList:
    """All broadcasts of our push service."""
    known = await services.push_service.broadcasts()
    return BroadcastList(items=[BroadcastAnswer(id=id, version=version) for id, version in known.items()])


PUSH = (put_broadcast, list_broadcasts)
