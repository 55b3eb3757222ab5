"""Whom a link in a message names: the person as they are now, of the project that the token was made for."""

from typing import NamedTuple

from clarion.api.services import Services
from clarion.crypto.preferences import PreferencesExpired, PreferencesForged
from clarion.crypto.unsubscribe import UnsubscribeExpired, UnsubscribeForged
from clarion.errors import NotFound
from clarion.model import Key, Millis, Project, User

HOUR_MS = 3_600_000
_BROKEN = "the link is not one of ours, or too old"


class Receiver(NamedTuple):
    """The person behind a link."""

    project: Project
    user: User


async def of_unsubscribe(services: Services, token: str) -> tuple[Receiver, str]:
    """The receiver, and the category's name. Raises NotFound."""
    try:
        claim = services.unsubscribes.read(token, services.clock.now())
    except (UnsubscribeForged, UnsubscribeExpired):
        raise NotFound(_BROKEN) from None
    return await _receiver(services, claim.project, claim.user), claim.category


async def of_preferences(services: Services, token: str) -> Receiver:
    """The receiver. Raises NotFound."""
    try:
        claim = services.preferences.read(token, services.clock.now())
    except (PreferencesForged, PreferencesExpired):
        raise NotFound(_BROKEN) from None
    return await _receiver(services, claim.project, claim.user)


def preferences_url(services: Services, project: Key, user: Key, expires_at: Millis) -> str:
    """The address of somebody's preference page."""
    token = services.preferences.make(project, user, expires_at)
    return f"{services.settings.http_origin}/preferences/{token}"


async def _receiver(services: Services, project_key: Key, key: Key) -> Receiver:
    """Also of an anonymous person who turned out to be somebody: the message was theirs."""
    project, users = await services.catalog.project(project_key), services.store.users
    user = await users.by_key(project.key, key)
    if user is None:
        present = (await users.successors(project.key, [key])).get(key)
        user = None if present is None else await users.by_key(project.key, present)
    if user is None:
        raise NotFound("the link's receiver is gone")
    return Receiver(project, user)
