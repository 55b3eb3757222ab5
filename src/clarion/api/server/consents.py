"""Consents of many people at once, and the link to a person's own page about them."""

from datetime import datetime
from typing import Annotated

from litestar import post
from litestar.params import JSONBody, QueryParameter

from clarion.api.answers.people import PreferencesLink
from clarion.api.answers.sending import BatchAnswer, BatchError
from clarion.api.door import server
from clarion.api.fields import millis, told
from clarion.api.framework import FromCaller, FromServices, UserIdInPath
from clarion.api.receivers import preferences_url
from clarion.api.schemas import ConsentImport, ConsentImports
from clarion.errors import InvalidRequest
from clarion.journey.permission import Elsewhere, Said
from clarion.model import DAY_MS, Millis

_SOURCE = "import"
_SKEW_MS = 300_000
"""The clocks of two machines may differ by so much."""
Days = Annotated[int, QueryParameter(ge=1, le=365, description="How long the link works.")]


@post("/v1/consents", status_code=200, **server("write", creates=True))
async def import_consents(services: FromServices, caller: FromCaller, data: JSONBody[ConsentImports]) -> BatchAnswer:
    """Take over up to 1,000 consents that were given elsewhere.

    If an entry is wrong, none is taken. One that is no newer than what the ledger has about the same is left out
    and told as `superseded`: whoever said no since then is not switched on again.
    """
    now = services.clock.now()
    entries = [_elsewhere(index, one, now) for index, one in enumerate(data.consents)]
    news = await services.pipeline.take_over_consents(caller.project, entries)
    words = "the ledger has the same, or a newer word about it"
    return BatchAnswer(
        accepted=sum(news),
        duplicates=0,
        errors=[
            BatchError(index=index, code="superseded", field=f"consents[{index}].at", message=words)
            for index, new in enumerate(news)
            if not new
        ],
    )


@post("/v1/users/{user_id:str}/preferences_link", status_code=200, **server("write"))
async def make_preferences_link(
    services: FromServices, caller: FromCaller, user_id: UserIdInPath, days: Days = 30
) -> PreferencesLink:
    """A link to the page on which a user sees and changes what they get. Whoever has it needs no login."""
    project, now = caller.project.key, services.clock.now()
    key = (await services.store.users.resolve(project, [user_id], now, create=True))[user_id]
    expires_at = now + days * DAY_MS
    return PreferencesLink(
        url=preferences_url(services, project, key, expires_at), expires_at=told(-(-expires_at // 1000) * 1000)
    )


def _elsewhere(index: int, one: ConsentImport, now: Millis) -> Elsewhere:
    said = Said(one.category, one.channel, one.granted, one.wording)
    return Elsewhere(one.user_id, said, one.source or _SOURCE, one.wording_version, _moment(index, one.at, now))


def _moment(index: int, at: datetime | None, now: Millis) -> Millis | None:
    if at is None:
        return None
    field = f"consents[{index}].at"
    moment = millis(at, field)
    if moment > now + _SKEW_MS:
        raise InvalidRequest.field(field, "must not lie in the future")
    return min(moment, now)


CONSENTS = (
    import_consents,
    make_preferences_link,
)
