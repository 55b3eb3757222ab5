"""What SDKs call with a public key, for one person at a time."""

from litestar import Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from clarion.api.answers.people import DeviceAnswer, PreferencesAnswer
from clarion.api.answers.project import SdkCategory, SdkConfig
from clarion.api.door import public
from clarion.api.framework import FromCaller, FromIdentity, FromServices, FromVisitor, IdInPath
from clarion.api.problems import not_found
from clarion.api.registering import registration
from clarion.api.schemas import AnyDevice, PreferenceBody, PreferencePut, PreferencesPut
from clarion.api.services import Services
from clarion.errors import InvalidRequest
from clarion.journey.permission import Said
from clarion.model import Project, User

_SOURCE = "sdk_preferences"


@get("/v1/sdk/config", **public())
async def sdk_config(services: FromServices, caller: FromCaller, identity: FromIdentity) -> SdkConfig:
    """What an SDK needs to know: keys, addresses, categories with their wording and default."""
    settings, project = services.settings, caller.project
    preferences = await services.pipeline.preferences(project, None)
    return SdkConfig(
        project=project.name,
        vapid_public_key=project.vapid_public_key,
        categories=[SdkCategory.of(preference) for preference in preferences],
        push_url=settings.push_url,
        receipts_url=f"{settings.http_origin}/v1/receipts",
        plain_users=identity.plain_users(project),
    )


@post(
    "/v1/sdk/devices",
    responses={200: ResponseSpec(DeviceAnswer, description="It was known")},
    **public(creates=True),
)
async def register_own_device(
    services: FromServices, caller: FromCaller, visitor: FromVisitor, data: JSONBody[AnyDevice]
) -> Response[DeviceAnswer]:
    """Register the caller's device. Nobody becomes a new anonymous user, whose secret is the answer's `user_token`.

    At a login the header `Clarion-Anonymous` names the anonymous user that the device was; that one is merged.
    """
    if data.user_id is not None:
        raise InvalidRequest.field("user_id", "is not taken here: the header Clarion-User says who the caller is")
    project = caller.project
    told = registration(data, services.settings)
    person = await visitor.person()
    if person is None:
        device, created, user_token = await services.pipeline.register_anonymous(project, told)
        return Response(DeviceAnswer.of(device, user_token), status_code=201 if created else 200)
    before = await visitor.left_behind() if person.user is None else None
    device, created = await services.pipeline.register(project, person.user_id, told)
    if before is not None:
        await services.pipeline.merge(project, before, person.user_id)
    return Response(DeviceAnswer.of(device), status_code=201 if created else 200)


@delete("/v1/sdk/devices/{device_id:str}", **public())
async def delete_own_device(
    services: FromServices, caller: FromCaller, visitor: FromVisitor, device_id: IdInPath
) -> None:
    """Remove a device of the caller's own."""
    user = await visitor.known(await visitor.named())
    device = await services.store.devices.get(caller.project.key, device_id)
    if user is None or device is None or device.user != user.key:
        not_found()
    await services.store.devices.delete(caller.project.key, device_id)


@get("/v1/sdk/preferences", **public())
async def get_preferences(services: FromServices, caller: FromCaller, visitor: FromVisitor) -> PreferencesAnswer:
    """What is on and off for the caller, by category and channel; for nobody, what holds until something is said."""
    person = await visitor.person()
    user = None if person is None else await visitor.known(person)
    return await _preferences(services, caller.project, user)


@put("/v1/sdk/preferences", **public())
async def put_preferences(
    services: FromServices,
    caller: FromCaller,
    visitor: FromVisitor,
    data: JSONBody[PreferencePut | PreferencesPut],
) -> PreferencesAnswer:
    """Switch categories and channels on or off for the caller."""
    project = caller.project
    person = await visitor.named()
    many = isinstance(data, PreferencesPut)
    switches: list[PreferenceBody] = list(data.preferences) if isinstance(data, PreferencesPut) else [data]
    await _check_switches(services, project, switches, "preferences[{}]." if many else "")
    said = [Said(switch.category, switch.channel, switch.granted) for switch in switches]
    source = data.source or _SOURCE
    await services.pipeline.consent(
        project, person.user_id, said, source=source, wording=data.wording, wording_version=data.wording_version
    )
    return await _preferences(services, project, await visitor.known(person))


async def _check_switches(services: Services, project: Project, switches: list[PreferenceBody], prefix: str) -> None:
    """All are good before any is stored. Raises InvalidRequest."""
    shown = {one.category: one for one in await services.pipeline.preferences(project, None)}
    for index, switch in enumerate(switches):
        place = prefix.format(index)
        known = shown.get(switch.category)
        if known is None:
            raise InvalidRequest.field(f"{place}category", f"must be one of {', '.join(shown)}")
        if known.locked and not switch.granted:
            raise InvalidRequest.field(f"{place}granted", f"{switch.category} cannot be switched off")
        if switch.channel is not None and switch.channel not in known.channels:
            raise InvalidRequest.field(f"{place}channel", f"must be one of {', '.join(known.channels)}")


async def _preferences(services: Services, project: Project, user: User | None) -> PreferencesAnswer:
    return PreferencesAnswer.of(await services.pipeline.preferences(project, user))


SDK = (
    sdk_config,
    register_own_device,
    delete_own_device,
    get_preferences,
    put_preferences,
)
