"""Campaigns: listed, made, read, replaced, deleted; started, paused, resumed, cancelled."""

from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api import campaigns
from clarion.api.answers.campaigns import CampaignAnswer, CampaignList, CampaignSummary
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.http import MIB
from clarion.api.schemas import CampaignPost, CampaignPut
from clarion.api.server.defined import same_name

_AUDIENCE_LIMIT = 16 * MIB


@get("/v1/campaigns", **server("read"))
async def list_campaigns(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> CampaignList:
    """Campaigns by name."""
    page = await services.pipeline.campaigns.page(caller.project.key, cursor, limit)
    return CampaignList(items=[CampaignSummary.of(one) for one in page.items], next_cursor=page.next_cursor)


@post("/v1/campaigns", **server("write", limit=_AUDIENCE_LIMIT, creates=True))
async def create_campaign(services: FromServices, caller: FromCaller, data: JSONBody[CampaignPost]) -> CampaignSummary:
    """Define a campaign: a draft, until it is started."""
    noun = campaigns.campaign(data, data.name, services.clock.now())
    return CampaignSummary.of(await services.pipeline.campaigns.create(caller.project, noun))


@get("/v1/campaigns/{name:str}", **server("read"))
async def get_campaign(services: FromServices, caller: FromCaller, name: NameInPath) -> CampaignAnswer:
    """Read a campaign: how far it is by now, and what came of it."""
    return await campaigns.shown(services.pipeline.campaigns, caller.project.key, name)


@put("/v1/campaigns/{name:str}", **server("write", limit=_AUDIENCE_LIMIT))
async def replace_campaign(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[CampaignPut]
) -> CampaignSummary:
    """Replace a draft, or one that waits for its next run, as a whole."""
    noun = campaigns.campaign(data, same_name(name, data.name), services.clock.now())
    return CampaignSummary.of(await services.pipeline.campaigns.replace(caller.project, noun))


@delete("/v1/campaigns/{name:str}", **server("write"))
async def delete_campaign(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a draft, or one that is over. What it sent stays in the trail."""
    await services.pipeline.campaigns.delete(caller.project, name)


@post("/v1/campaigns/{name:str}/start", status_code=200, **server("send"))
async def start_campaign(services: FromServices, caller: FromCaller, name: NameInPath) -> CampaignAnswer:
    """Let a draft run: at once, or when its schedule says so."""
    await services.pipeline.campaigns.start(caller.project, name, sent_by=caller.key.id)
    return await campaigns.shown(services.pipeline.campaigns, caller.project.key, name)


@post("/v1/campaigns/{name:str}/pause", status_code=200, **server("send"))
async def pause_campaign(services: FromServices, caller: FromCaller, name: NameInPath) -> CampaignAnswer:
    """Keep back everything that was not handed to a provider yet, and begin no run."""
    await services.pipeline.campaigns.pause(caller.project, name)
    return await campaigns.shown(services.pipeline.campaigns, caller.project.key, name)


@post("/v1/campaigns/{name:str}/resume", status_code=200, **server("send"))
async def resume_campaign(services: FromServices, caller: FromCaller, name: NameInPath) -> CampaignAnswer:
    """Let a paused campaign go on where it was."""
    await services.pipeline.campaigns.resume(caller.project, name)
    return await campaigns.shown(services.pipeline.campaigns, caller.project.key, name)


@post("/v1/campaigns/{name:str}/cancel", status_code=200, **server("send"))
async def cancel_campaign(services: FromServices, caller: FromCaller, name: NameInPath) -> CampaignAnswer:
    """Drop everything that was not handed to a provider yet, for good."""
    await services.pipeline.campaigns.cancel(caller.project, name)
    return await campaigns.shown(services.pipeline.campaigns, caller.project.key, name)


CAMPAIGNS = (
    list_campaigns,
    create_campaign,
    get_campaign,
    replace_campaign,
    delete_campaign,
    start_campaign,
    pause_campaign,
    resume_campaign,
    cancel_campaign,
)
