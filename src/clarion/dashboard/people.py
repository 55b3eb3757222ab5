"""People: found by the caller's own id, with their devices, what they agreed to, and the story of what happened."""

from typing import Any
from zoneinfo import ZoneInfo

from clarion.dashboard import words
from clarion.dashboard.rendering import page
from clarion.dashboard.session import Visit
from clarion.journey.story import Chapter
from clarion.model import Consent, Device, DeviceState, Permission, User, Verdict
from clarion.ports import ANY_CATEGORY
from clarion.web.http import Answer

_LEDGER = 50
_CHAPTERS = 60


async def show(visit: Visit) -> Answer:
    """`GET /dashboard/people?user_id=`."""
    wanted = visit.request.query.get("user_id", "").strip()
    user = await visit.services.store.users.get(visit.project.key, wanted) if wanted else None
    if user is None:
        return page(visit, "people", status=404 if wanted else 200, wanted=wanted, person=None)
    return page(visit, "people", wanted=wanted, person=await _person(visit, user))


async def _person(visit: Visit, user: User) -> dict[str, Any]:
    services, project = visit.services, visit.project
    zone = words.zone_of(project.settings.default_timezone)
    devices = await services.store.devices.of_user(project.key, user.key)
    ledger = await services.store.consents.of_user(project.key, user.key)
    asked = await services.store.preferences.get(project.key, user.key)
    story = await services.pipeline.story(project, user.user_id)
    paused = asked.marketing_paused_until or 0
    return {
        "user_id": user.user_id,
        "anonymous": user.anonymous,
        "since": words.moment(user.created_at, zone),
        "facts": _facts(user),
        "attributes": user.attributes,
        "quiet_hours": asked.quiet_hours,
        "paused_until": words.moment(paused, zone) if paused > services.clock.now() else None,
        "preferences": await services.pipeline.preferences(project, user),
        "devices": [_device(one, zone) for one in devices],
        "ledger": [_line(one, zone) for one in reversed(ledger[-_LEDGER:])],
        "is_long": len(story) > _CHAPTERS,
        "story": [_chapter(one, zone) for one in reversed(story[-_CHAPTERS:])],
    }


def _facts(user: User) -> list[dict[str, str]]:
    every = (("Language", user.locale), ("Time zone", user.timezone), ("E-mail", user.email), ("Phone", user.phone))
    return [{"name": name, "value": value} for name, value in every if value]


def _device(one: Device, zone: ZoneInfo) -> dict[str, Any]:
    allowed = one.permission in (Permission.GRANTED, Permission.PROVISIONAL)
    good = allowed and one.state is DeviceState.ACTIVE and one.address is not None
    return {
        "id": one.id,
        "kind": words.KINDS[one.kind],
        "model": one.model,
        "permission": one.permission.value,
        "state": one.state.value,
        "why": one.state_reason,
        "tone": "good" if good else "off",
        "timezone": one.timezone,
        "seen": words.moment(one.registered_at, zone),
    }


def _line(one: Consent, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "category": None if one.category == ANY_CATEGORY else one.category,
        "channel": one.channel.value,
        "granted": one.granted,
        "source": one.source,
        "at": words.moment(one.at, zone),
    }


def _chapter(one: Chapter, zone: ZoneInfo) -> dict[str, Any]:
    detail = one.detail
    decision = detail.get("decision")
    return {
        "stage": one.stage,
        "what": one.what,
        "at": words.moment(one.at, zone),
        "notification": detail.get("notification_id"),
        "tone": words.TONES[Verdict(decision)] if decision else "plain",
        "gates": detail.get("gates") or [],
    }
