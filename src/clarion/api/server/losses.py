"""Whom we lose after what we sent, beside who taps."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from clarion.api.answers.losses import LossList
from clarion.api.door import server
from clarion.api.framework import FromCaller, FromServices, chosen
from clarion.ports import Dimension

_DIMENSIONS = {each.value: each for each in Dimension}

By = Annotated[
    str,
    QueryParameter(
        description="What to tell messages apart by. An automation is a campaign too, else a notification is.",
        schema_extra={"enum": list(_DIMENSIONS)},
    ),
]
Days = Annotated[int, QueryParameter(ge=1, le=365, description="The last so many days (UTC), today included.")]


@get("/v1/losses", **server("read"))
async def list_losses(
    services: FromServices, caller: FromCaller, by: By = Dimension.CATEGORY.value, days: Days = 7
) -> LossList:
    """People who said no within 24 hours of a message, beside those who were reached and who tapped."""
    dimension = chosen("by", by, _DIMENSIONS)
    span, standings = await services.pipeline.losses.standings(caller.project.key, dimension, days)
    return LossList.of(dimension, *span, standings)


LOSSES = (list_losses,)
"""Of the project whose key asks."""
