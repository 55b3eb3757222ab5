"""Notifications and definitions as callers tell of them become the model's nouns."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from clarion.api.fields import millis
from clarion.api.quiet import of_category
from clarion.api.schemas import (
    ActionBody,
    AudienceBody,
    Body,
    CapBody,
    CategoryPut,
    ContentBody,
    DigestBody,
    ExperimentBody,
    GoalBody,
    MessageBody,
    NotificationBody,
    PartialPut,
    PlatformsBody,
    ReplaceBody,
    RollingBody,
    ScheduledWindowBody,
    SlidingWindowBody,
    TemplatePut,
)
from clarion.errors import InvalidRequest
from clarion.journey.schedules import check_local_time
from clarion.model import (
    Action,
    Audience,
    Cap,
    Category,
    Content,
    DeviceKind,
    Digest,
    Experiment,
    FixedWindow,
    Goal,
    Holdout,
    LocalTime,
    Message,
    Millis,
    Partial,
    PlatformContent,
    Rolling,
    ScheduledWindow,
    SlidingWindow,
    Struct,
    Template,
    UnlessEvent,
    Variant,
    Winner,
)

S = TypeVar("S", bound=Struct)

_WAYS = ("users", "devices", "segment", "topic", "everyone")


def _given(body: Body, noun: type[S], **more: Any) -> S:
    """The noun with what was given; null and absent alike leave the noun's own default."""
    names = set(noun.__struct_fields__) & set(body.__struct_fields__)
    told = {name: value for name in names if (value := getattr(body, name)) is not None}
    return noun(**(told | more))


def message(body: MessageBody) -> Message:
    """What to say and how."""
    more = {
        name: _given(told, noun)
        for name, told, noun in (("unless_event", body.unless_event, UnlessEvent), ("holdout", body.holdout, Holdout))
        if told is not None
    }
    more |= {} if body.experiment is None else {"experiment": experiment(body.experiment)}
    variants = [_given(one, Variant, **_actions(one.actions)) for one in body.variants or ()]
    return _given(body, Message, variants=variants, **_actions(body.actions), **more)


def _actions(bodies: Sequence[ActionBody] | None) -> dict[str, list[Action]]:
    return {} if bodies is None else {"actions": [_given(action, Action) for action in bodies]}


def experiment(body: ExperimentBody) -> Experiment:
    """What is tried out."""
    goal = Goal() if not isinstance(body.goal, GoalBody) else _given(body.goal, Goal)
    winner = None if body.winner is None else _given(body.winner, Winner)
    return _given(body, Experiment, goal=goal, winner=winner)


def changes(body: ReplaceBody) -> dict[str, Any]:
    """The fields of a message that are new. Raises InvalidRequest when there is none."""
    told = {
        name: value
        for name in body.__struct_fields__
        if name != "renotify" and (value := getattr(body, name)) is not None
    }
    if not told:
        raise InvalidRequest.field("body", "is needed, or another field: nothing would change")
    if body.actions is not None:
        told["actions"] = [_given(action, Action) for action in body.actions]
    return told


def audience(body: AudienceBody) -> Audience:
    """To whom. Raises InvalidRequest unless exactly one way of naming people is used."""
    named = [name for name in _WAYS if getattr(body, name) is not None]
    if len(named) != 1:
        raise InvalidRequest.field("to", f"must have exactly one of {', '.join(_WAYS)}")
    return _given(body, Audience)


def send_at(body: NotificationBody) -> Millis | None:
    """When. Raises InvalidRequest for what contradicts itself."""
    if body.arm and (body.send_at is not None or body.local_time is not None):
        field = "send_at" if body.send_at is not None else "local_time"
        raise InvalidRequest.field("arm", f"cannot be true beside {field}: what is armed is sent when it is fired")
    if body.send_at is not None and body.local_time is not None and "T" in body.local_time:
        raise InvalidRequest.field("send_at", "must be left out: local_time names a day")
    return None if body.send_at is None else millis(body.send_at, "send_at")


def local_time(at: str | None, passed: str | None, now: Millis, field: str = "local_time") -> LocalTime | None:
    """By whose clock. Raises InvalidRequest for a day that does not exist, or is over everywhere."""
    if at is None:
        if passed is not None:
            raise InvalidRequest.field(f"{field}_passed", f"needs {field}")
        return None
    local = LocalTime(at=at) if passed is None else msgspec.convert({"at": at, "passed": passed}, LocalTime)
    if wrong := check_local_time(local, now, field):
        raise InvalidRequest.field(*wrong[0])
    return local


def caps(bodies: Sequence[CapBody]) -> list[Cap]:
    """A project's caps."""
    return [
        _given(body, Cap, per=_given(body.per, Rolling) if isinstance(body.per, RollingBody) else body.per)
        for body in bodies
    ]


def category(body: CategoryPut, name: str) -> Category:
    """A kind of message. A channel that is named twice counts once."""
    more: dict[str, Any] = {} if body.channels is None else {"channels": list(dict.fromkeys(body.channels))}
    more |= {} if body.digest is None else {"digest": digest(body.digest)}
    return _given(body, Category, name=name, quiet_hours=of_category(body), **more)


def digest(body: DigestBody) -> Digest:
    """How the messages of a category are collected. A time of day that is named twice counts once."""
    match body.window:
        case ScheduledWindowBody():
            return _given(body, Digest, window=ScheduledWindow(at=tuple(sorted(set(body.window.at)))))
        case SlidingWindowBody():
            return _given(body, Digest, window=_given(body.window, SlidingWindow))
        case _:
            return _given(body, Digest, window=_given(body.window, FixedWindow))


def template(body: TemplatePut, name: str) -> Template:
    """Words by locale. Its version is the store's to say."""
    return _given(body, Template, name=name, version=1, locales=contents(body.locales))


def contents(bodies: Mapping[str, ContentBody]) -> dict[str, Content]:
    """What a template says, by locale."""
    return {locale: _given(body, Content, platforms=_platforms(body.platforms)) for locale, body in bodies.items()}


def _platforms(body: PlatformsBody | None) -> dict[DeviceKind, PlatformContent]:
    told = {name: getattr(body, name) for name in body.__struct_fields__} if body is not None else {}
    return {DeviceKind(name): _given(there, PlatformContent) for name, there in told.items() if there is not None}


def partial(body: PartialPut, name: str) -> Partial:
    """A piece of text."""
    return _given(body, Partial, name=name)


def stored(noun: Struct) -> dict[str, Any]:
    """The JSON form in which a definition is kept."""
    kept: dict[str, Any] = msgspec.to_builtins(noun)
    return kept
