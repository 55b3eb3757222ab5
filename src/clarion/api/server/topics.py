"""Topics: listed, made, read, replaced, deleted; subscribed to in batches, and by an SDK for its own user."""

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api.answers.segments import (
    Added,
    OwnTopic,
    OwnTopics,
    Removed,
    TopicAnswer,
    TopicList,
    TopicNames,
    UserIds,
)
from clarion.api.door import public, server
from clarion.api.framework import (
    PAGE,
    Cursor,
    FromCaller,
    FromServices,
    FromVisitor,
    Limit,
    NameInPath,
    UserIdInPath,
)
from clarion.api.http import MIB
from clarion.api.problems import not_found
from clarion.api.schemas import OwnTopicPut, PeopleBody, TopicPost, TopicPut
from clarion.api.segments import stored
from clarion.api.server import defined
from clarion.api.services import Services
from clarion.errors import Conflict, InvalidRequest
from clarion.journey.segments.lookup import users_of_topic
from clarion.journey.uses import Kind
from clarion.model import Project, Topic, User

TOPICS = "topics"
_LIST_LIMIT = 4 * MIB


@get("/v1/topics", **server("read"))
async def list_topics(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> TopicList:
    """Topics by name."""
    page = await services.store.definitions.page(caller.project.key, TOPICS, cursor, limit)
    topics = msgspec.convert(page.items, list[Topic])
    sizes = await services.store.audiences.sizes(caller.project.key, "topic", [one.name for one in topics])
    return TopicList(items=[TopicAnswer.of(one, sizes[one.name]) for one in topics], next_cursor=page.next_cursor)


@post("/v1/topics", **server("write", creates=True))
async def create_topic(services: FromServices, caller: FromCaller, data: JSONBody[TopicPost]) -> TopicAnswer:
    """Define a topic. A slash in its name puts it below another: what is sent to `sport` reaches `sport/football`."""
    project, store, topic = caller.project.key, services.store, _topic(data, data.name)
    taken = Conflict.field("name", f"there is one called {topic.name} already; PUT replaces it")
    if await store.definitions.get(project, TOPICS, topic.name) is not None:
        raise taken
    await store.audiences.drop(project, "topic", topic.name)  # of one that was deleted while somebody subscribed
    if not await store.definitions.add(project, TOPICS, topic.name, stored(topic), services.clock.now()):
        raise taken
    await services.catalog.changed()
    return TopicAnswer.of(topic, 0)


@get("/v1/topics/{name:str}", **server("read"))
async def get_topic(services: FromServices, caller: FromCaller, name: NameInPath) -> TopicAnswer:
    """Read a topic; a slash in its name is `%2F` here."""
    return await _shown(services, caller.project, await _known(services, caller.project, name))


@put("/v1/topics/{name:str}", **server("write"))
async def replace_topic(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[TopicPut]
) -> TopicAnswer:
    """Replace what a topic is called; its subscribers stay."""
    if data.name is not None and data.name != name:
        raise InvalidRequest.field("name", f"must be {name}, as in the path; a name cannot be changed")
    await _known(services, caller.project, name)
    topic = _topic(data, name)
    await services.store.definitions.put(caller.project.key, TOPICS, name, stored(topic), services.clock.now())
    await services.catalog.changed()
    return await _shown(services, caller.project, topic)


@delete("/v1/topics/{name:str}", **server("write"))
async def delete_topic(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a topic and its subscriptions; those below it stay."""
    project, store = caller.project.key, services.store
    await _known(services, caller.project, name)
    others = users_of_topic(name, await services.catalog.segments(project))
    if others:
        raise Conflict(f"{', '.join(others)} {'refer' if others[1:] else 'refers'} to it")
    await defined.must_be_free(services, caller.project, Kind.TOPIC, name)
    await store.audiences.drop(project, "topic", name)
    if not await store.definitions.delete(project, TOPICS, name):
        not_found()
    await services.catalog.changed()


@get("/v1/topics/{name:str}/users", **server("read"))
async def list_subscribers(
    services: FromServices, caller: FromCaller, name: NameInPath, cursor: Cursor = None, limit: Limit = PAGE
) -> UserIds:
    """Who is subscribed to the topic itself."""
    await _known(services, caller.project, name)
    page = await services.store.audiences.listed(caller.project.key, "topic", name, cursor, limit)
    return UserIds(items=page.items, next_cursor=page.next_cursor)


@post("/v1/topics/{name:str}/subscribe", status_code=200, **server("write", limit=_LIST_LIMIT))
async def subscribe_users(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[PeopleBody]
) -> Added:
    """Subscribe people to a topic, up to 10,000 a call."""
    await _known(services, caller.project, name)
    project, now = caller.project.key, services.clock.now()
    return Added(added=await services.store.audiences.add(project, "topic", name, data.users, now))


@post("/v1/topics/{name:str}/unsubscribe", status_code=200, **server("write", limit=_LIST_LIMIT))
async def unsubscribe_users(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[PeopleBody]
) -> Removed:
    """End the subscriptions of people to a topic, up to 10,000 a call."""
    await _known(services, caller.project, name)
    return Removed(removed=await services.store.audiences.remove(caller.project.key, "topic", name, data.users))


@get("/v1/users/{user_id:str}/topics", **server("read"))
async def list_user_topics(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> TopicNames:
    """The topics that a user is subscribed to."""
    user = await services.store.users.get(caller.project.key, user_id) or not_found(f"user {user_id}")
    return TopicNames(items=await services.store.audiences.of_user(caller.project.key, "topic", user.key))


# --- what an SDK calls ------------------------------------------------------------------------------------------------


@get("/v1/sdk/topics", **public())
async def list_own_topics(services: FromServices, caller: FromCaller, visitor: FromVisitor) -> OwnTopics:
    """The open topics, and which of them the caller is subscribed to."""
    person = await visitor.person()
    user = None if person is None else await visitor.known(person)
    return await _own(services, caller.project, user)


@put("/v1/sdk/topics", **public())
async def put_own_topic(
    services: FromServices, caller: FromCaller, visitor: FromVisitor, data: JSONBody[OwnTopicPut]
) -> OwnTopics:
    """Subscribe the caller to an open topic, or end it."""
    project, audiences = caller.project.key, services.store.audiences
    person = await visitor.named()
    topic = (await services.catalog.topics(project)).get(data.topic)
    if topic is None or not topic.open:
        raise InvalidRequest.field("topic", f"there is no open topic {data.topic}")
    if data.subscribed:
        await audiences.add(project, "topic", topic.name, [person.user_id], services.clock.now())
    else:
        await audiences.remove(project, "topic", topic.name, [person.user_id])
    return await _own(services, caller.project, await visitor.known(person))


async def _own(services: Services, project: Project, user: User | None) -> OwnTopics:
    topics = await services.catalog.topics(project.key)
    mine = [] if user is None else await services.store.audiences.of_user(project.key, "topic", user.key)
    return OwnTopics(
        items=[
            OwnTopic(topic=name, title=one.title, description=one.description, subscribed=name in mine)
            for name, one in sorted(topics.items())
            if one.open
        ]
    )


# --- what they share --------------------------------------------------------------------------------------------------


def _topic(body: TopicPut, name: str) -> Topic:
    return Topic(name=name, title=body.title or "", description=body.description or "", open=bool(body.open))


async def _known(services: Services, project: Project, name: str) -> Topic:
    return msgspec.convert(
        await services.store.definitions.get(project.key, TOPICS, name) or not_found(f"topic {name}"), Topic
    )


async def _shown(services: Services, project: Project, topic: Topic) -> TopicAnswer:
    sizes = await services.store.audiences.sizes(project.key, "topic", [topic.name])
    return TopicAnswer.of(topic, sizes[topic.name])


TOPIC_ROUTES = (
    list_topics,
    create_topic,
    get_topic,
    replace_topic,
    delete_topic,
    list_subscribers,
    subscribe_users,
    unsubscribe_users,
    list_user_topics,
)
OWN_TOPICS = (list_own_topics, put_own_topic)
