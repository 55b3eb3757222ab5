"""Segments: listed, made, read, replaced, deleted, looked into before they are used; and lists that are uploaded."""

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api import segments
from clarion.api.answers.segments import Added, PreviewAnswer, Removed, SegmentAnswer, SegmentList, UserIds
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.http import MIB
from clarion.api.problems import not_found
from clarion.api.schemas import PeopleBody, SegmentPost, SegmentPreview, SegmentPut
from clarion.api.server import defined
from clarion.errors import Conflict, InvalidRequest
from clarion.journey.segments.lookup import crowd_in, users_of_segment
from clarion.journey.uses import Kind
from clarion.model import Segment

_PREVIEW = "preview"
_LIST_LIMIT = 4 * MIB


@get("/v1/segments", **server("read"))
async def list_segments(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> SegmentList:
    """Segments by name."""
    page = await services.store.definitions.page(caller.project.key, segments.SEGMENTS, cursor, limit)
    items = [SegmentAnswer.of(one) for one in msgspec.convert(page.items, list[Segment])]
    return SegmentList(items=items, next_cursor=page.next_cursor)


@post("/v1/segments", **server("write", creates=True))
async def create_segment(services: FromServices, caller: FromCaller, data: JSONBody[SegmentPost]) -> SegmentAnswer:
    """Define a segment: by a rule, from a ready-made one, or as a list."""
    if data.name == _PREVIEW:
        raise InvalidRequest.field("name", "must be another one: preview is a path of its own")
    project, store = caller.project, services.store
    noun = await segments.checked(services.catalog, project, segments.segment(data, data.name, data.description))
    taken = Conflict.field("name", f"there is one called {noun.name} already; PUT replaces it")
    if await store.definitions.get(project.key, segments.SEGMENTS, noun.name) is not None:
        raise taken
    await store.audiences.drop(project.key, "list", noun.name)  # of one that was deleted while people were put on it
    if not await store.definitions.add(
        project.key, segments.SEGMENTS, noun.name, segments.stored(noun), services.clock.now()
    ):
        raise taken
    await services.catalog.changed()
    return SegmentAnswer.of(noun)


@post("/v1/segments/preview", status_code=200, **server("read"))
async def preview_segment(services: FromServices, caller: FromCaller, data: JSONBody[SegmentPreview]) -> PreviewAnswer:
    """How many people a segment, or a rule that is tried out, has now, and some of them."""
    return await segments.preview(services.store, services.catalog, caller.project, data, services.clock.now())


@get("/v1/segments/{name:str}", **server("read"))
async def get_segment(services: FromServices, caller: FromCaller, name: NameInPath) -> SegmentAnswer:
    """Read a segment, with its rule as a sentence."""
    return SegmentAnswer.of(await segments.found(services.store, caller.project, name))


@put("/v1/segments/{name:str}", **server("write"))
async def replace_segment(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[SegmentPut]
) -> SegmentAnswer:
    """Replace a segment as a whole. A list stays what it is; a rule in its place lets it go."""
    if data.name is not None and data.name != name:
        raise InvalidRequest.field("name", f"must be {name}, as in the path; a name cannot be changed")
    project, store = caller.project, services.store
    await segments.found(store, project, name)
    noun = await segments.checked(services.catalog, project, segments.segment(data, name, data.description))
    await store.definitions.put(project.key, segments.SEGMENTS, name, segments.stored(noun), services.clock.now())
    if noun.rule is not None:
        await store.audiences.drop(project.key, "list", name)
    await services.catalog.changed()
    return SegmentAnswer.of(noun)


@delete("/v1/segments/{name:str}", **server("write"))
async def delete_segment(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a segment that nothing needs. What is still to be sent to it reaches nobody."""
    project, store = caller.project, services.store
    await segments.found(store, project, name)
    others = users_of_segment(name, await services.catalog.segments(project.key))
    if others:
        raise Conflict(f"{', '.join(others)} {'refer' if others[1:] else 'refers'} to it")
    await defined.must_be_free(services, project, Kind.SEGMENT, name)
    await store.audiences.drop(project.key, "list", name)
    if not await store.definitions.delete(project.key, segments.SEGMENTS, name):
        not_found()
    await services.catalog.changed()


@get("/v1/segments/{name:str}/users", **server("read"))
async def list_segment_users(
    services: FromServices, caller: FromCaller, name: NameInPath, cursor: Cursor = None, limit: Limit = PAGE
) -> UserIds:
    """Who is in it now."""
    project, store = caller.project.key, services.store
    await segments.found(services.store, caller.project, name)
    crowd = crowd_in(name, await services.catalog.segments(project), services.clock.now())
    page = await store.audiences.page(project, crowd, cursor, limit)
    return UserIds(items=page.items, next_cursor=page.next_cursor)


@post("/v1/segments/{name:str}/users", status_code=200, **server("write", limit=_LIST_LIMIT))
async def add_segment_users(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[PeopleBody]
) -> Added:
    """Put people on the list of a segment, up to 10,000 a call."""
    return await segments.add(services.store, caller.project, name, data.users, services.clock.now())


@post("/v1/segments/{name:str}/users/remove", status_code=200, **server("write", limit=_LIST_LIMIT))
async def remove_segment_users(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[PeopleBody]
) -> Removed:
    """Take people off the list of a segment, up to 10,000 a call."""
    await segments.listing(services.store, caller.project, name)
    return Removed(removed=await services.store.audiences.remove(caller.project.key, "list", name, data.users))


SEGMENT_ROUTES = (
    list_segments,
    create_segment,
    preview_segment,
    get_segment,
    replace_segment,
    delete_segment,
    list_segment_users,
    add_segment_users,
    remove_segment_users,
)
