"""People: who they are, where they can be reached, what they said, and everything that is known about them."""

from typing import Annotated

import msgspec
from litestar import Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from clarion.api.answers.people import ConsentAnswer, ConsentLine, DeviceAnswer, DeviceList, OwnPreferences, UserAnswer
from clarion.api.answers.sending import DecisionAnswer, DeliveryAnswer
from clarion.api.answers.story import ChapterAnswer, EventAnswer, ExportAnswer, ReceiptAnswer, StoryAnswer
from clarion.api.door import server
from clarion.api.fields import check_zone
from clarion.api.framework import FromCaller, FromServices, IdInPath, UserIdInPath
from clarion.api.problems import not_found
from clarion.api.quiet import preference_change
from clarion.api.registering import registration
from clarion.api.schemas import AnyDevice, ConsentPut, OwnPreferencesPut, UserPut
from clarion.api.services import Services
from clarion.errors import InvalidRequest
from clarion.journey.permission import Said
from clarion.model import Project, User, UserChange
from clarion.ports import DecisionRecord, DeliveryRecord

_PAGE = 1_000
_ALL = 1_000_000


@put("/v1/users/{user_id:str}", responses={201: ResponseSpec(UserAnswer, description="Created")}, **server("write"))
async def put_user(
    services: FromServices, caller: FromCaller, user_id: UserIdInPath, data: JSONBody[UserPut]
) -> Response[UserAnswer]:
    """Create a user, or replace what is given."""
    if data.timezone is not msgspec.UNSET:
        check_zone(data.timezone)
    change = UserChange(
        attributes=msgspec.UNSET if data.attributes is None else data.attributes,
        locale=data.locale,
        timezone=data.timezone,
        email=data.email,
        phone=data.phone,
    )
    user, created = await services.store.users.put(caller.project.key, user_id, change, services.clock.now())
    return Response(UserAnswer.of(user), status_code=201 if created else 200)


@get("/v1/users/{user_id:str}", **server("read"))
async def get_user(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> UserAnswer:
    """Read a user."""
    return UserAnswer.of(await _user(services, caller.project, user_id))


@delete("/v1/users/{user_id:str}", **server("write"))
async def erase_user(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> None:
    """Erase a user for good: devices, consents, events, decisions, deliveries and receipts too."""
    if not await services.store.users.erase(caller.project.key, user_id):
        not_found()


@get("/v1/users/{user_id:str}/export", **server("read"))
async def export_user(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> ExportAnswer:
    """Everything that is known about a user."""
    project, store = caller.project.key, services.store
    user = await _user(services, caller.project, user_id)
    deliveries = await _all_deliveries(services, project, user)
    known = {(record.notification, record.device): record for record in deliveries}
    return ExportAnswer(
        user=UserAnswer.of(user),
        devices=[DeviceAnswer.of(device) for device in await store.devices.of_user(project, user.key)],
        consents=[ConsentLine.of(line) for line in await store.consents.of_user(project, user.key)],
        preferences=OwnPreferences.of(await store.preferences.get(project, user.key)),
        topics=await store.audiences.of_user(project, "topic", user.key),
        segments=await store.audiences.of_user(project, "list", user.key),
        events=[EventAnswer.of(event) for event in await store.events.of_user(project, user.key, _ALL)],
        decisions=[DecisionAnswer.of(record) for record in await _all_decisions(services, project, user)],
        deliveries=[DeliveryAnswer.of(record) for record in deliveries],
        receipts=[
            ReceiptAnswer.of(record, known) for record in await store.trail.receipts_of_user(project, user.key, _ALL)
        ],
    )


@get("/v1/users/{user_id:str}/story", **server("read"))
async def tell_story(
    services: FromServices,
    caller: FromCaller,
    user_id: UserIdInPath,
    notification_id: Annotated[str | None, QueryParameter(min_length=1, max_length=64)] = None,
) -> StoryAnswer:
    """What happened to a user, in time order; with `notification_id` around that notification only."""
    chapters = await services.pipeline.story(caller.project, user_id, notification_id)
    return StoryAnswer(
        user_id=user_id,
        chapters=[ChapterAnswer.of(chapter) for chapter in chapters],
    )


@put("/v1/users/{user_id:str}/consent", **server("write"))
async def put_consent(
    services: FromServices, caller: FromCaller, user_id: UserIdInPath, data: JSONBody[ConsentPut]
) -> ConsentAnswer:
    """A new line in the ledger of consents; without a channel, one for each channel of the category."""
    said = [Said(data.category, data.channel, data.granted)]
    await services.pipeline.consent(
        caller.project, user_id, said, source=data.source, wording=data.wording, wording_version=data.wording_version
    )
    return await _consents(services, caller.project, user_id)


@get("/v1/users/{user_id:str}/consent", **server("read"))
async def get_consent(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> ConsentAnswer:
    """What a user said last, and the whole ledger."""
    return await _consents(services, caller.project, user_id)


@put("/v1/users/{user_id:str}/preferences", **server("write"))
async def put_own_preferences(
    services: FromServices, caller: FromCaller, user_id: UserIdInPath, data: JSONBody[OwnPreferencesPut]
) -> OwnPreferences:
    """What a user asks for themselves: what is given is replaced, null takes it back."""
    change = preference_change(data)
    project, now = caller.project.key, services.clock.now()
    key = (await services.store.users.resolve(project, [user_id], now, create=True))[user_id]
    return OwnPreferences.of(await services.store.preferences.put(project, key, change, now) or not_found())


@get("/v1/users/{user_id:str}/preferences", **server("read"))
async def get_own_preferences(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> OwnPreferences:
    """What a user asked for themselves: quiet hours of their own, a pause of marketing."""
    user = await _user(services, caller.project, user_id)
    return OwnPreferences.of(await services.store.preferences.get(caller.project.key, user.key))


@post(
    "/v1/devices",
    responses={200: ResponseSpec(DeviceAnswer, description="It was known")},
    **server("write", creates=True),
)
async def register_device(
    services: FromServices, caller: FromCaller, data: JSONBody[AnyDevice]
) -> Response[DeviceAnswer]:
    """Register a device, or replace its full state. It is known again by installation, previous or same address."""
    if data.user_id is None:
        raise InvalidRequest.field("user_id", "is required")
    told_device = registration(data, services.settings)
    device, created = await services.pipeline.register(caller.project, data.user_id, told_device)
    return Response(DeviceAnswer.of(device), status_code=201 if created else 200)


@get("/v1/users/{user_id:str}/devices", **server("read"))
async def list_devices(services: FromServices, caller: FromCaller, user_id: UserIdInPath) -> DeviceList:
    """All devices of a user, and which of them are connected to our push service now."""
    user = await _user(services, caller.project, user_id)
    devices = await services.store.devices.of_user(caller.project.key, user.key)
    connected = await services.push_service.presence([device.address for device in devices])
    return DeviceList(
        items=[DeviceAnswer.of(device, connected=now) for device, now in zip(devices, connected, strict=True)]
    )


@delete("/v1/devices/{device_id:str}", **server("write"))
async def delete_device(services: FromServices, caller: FromCaller, device_id: IdInPath) -> None:
    """Remove a device."""
    if not await services.store.devices.delete(caller.project.key, device_id):
        not_found()


async def _user(services: Services, project: Project, user_id: str) -> User:
    return await services.store.users.get(project.key, user_id) or not_found(f"user {user_id}")


async def _consents(services: Services, project: Project, user_id: str) -> ConsentAnswer:
    user = await _user(services, project, user_id)
    return ConsentAnswer.of(user_id, await services.store.consents.of_user(project.key, user.key))


async def _all_decisions(services: Services, project: int, user: User) -> list[DecisionRecord]:
    found: list[DecisionRecord] = []
    cursor = None
    while True:
        page = await services.store.trail.decisions(
            project, notification=None, user=user.key, reason=None, cursor=cursor, limit=_PAGE
        )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _all_deliveries(services: Services, project: int, user: User) -> list[DeliveryRecord]:
    found: list[DeliveryRecord] = []
    cursor = None
    while True:
        page = await services.store.trail.deliveries(
            project, notification=None, user=user.key, state=None, cursor=cursor, limit=_PAGE
        )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


PEOPLE = (
    put_user,
    get_user,
    erase_user,
    export_user,
    tell_story,
    put_consent,
    get_consent,
    put_own_preferences,
    get_own_preferences,
    register_device,
    list_devices,
    delete_device,
)
