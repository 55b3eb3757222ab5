"""What people should look at: push services that refuse our keys or do not answer, messages that lose people."""

from litestar import get

from clarion.api.answers.alerts import AlertList
from clarion.api.door import server
from clarion.api.framework import FromCaller, FromServices


@get("/v1/alerts", **server("read"))
async def list_alerts(services: FromServices, caller: FromCaller) -> AlertList:
    """Push services that nothing is sent to for now, and messages that lose twice as many people as usual.

    The oldest thousand; an empty list when all is well.
    """
    project, store = caller.project.key, services.store
    return AlertList.of(await store.stoppages.of_project(project), await store.losses.alerts(project))


ALERTS = (list_alerts,)
"""Of the project whose key asks."""
