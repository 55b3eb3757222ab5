"""What people should look at: push services that refuse our keys or do not answer."""

from litestar import get

from clarion.api.answers.alerts import AlertAnswer, AlertList
from clarion.api.door import server
from clarion.api.framework import FromCaller, FromServices

_MOST = 1_000


@get("/v1/alerts", **server("read"))
async def list_alerts(services: FromServices, caller: FromCaller) -> AlertList:
    """Push services that nothing is sent to for now, the oldest thousand; an empty list when all is well."""
    every = await services.store.stoppages.of_project(caller.project.key)
    return AlertList(items=[AlertAnswer.of(each) for each in every[:_MOST]])


ALERTS = (list_alerts,)
"""Of the project whose key asks."""
