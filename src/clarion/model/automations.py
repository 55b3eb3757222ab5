"""Automations: what starts a run of a person, and the steps that it goes through.

Told in the words in which callers tell them. A run goes from a step to its `next`, else to the one below it; below the
last step it is done.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from clarion.model.notifications import Message
from clarion.model.segments import Duration, EventLabel, Label, Percentage, Rule, SegmentName
from clarion.model.words import Json, Struct

MAX_STEPS = 100
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)"
StepId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, examples=["reminder"])]
TimeOfDay: TypeAlias = Annotated[str, Meta(pattern=TIME_PATTERN, examples=["09:00"])]
Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Weekdays: TypeAlias = Annotated[list[Weekday], Meta(min_length=1, max_length=7)]


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Told as briefly as it can be."""


# --- what starts a run, and what it waits for -------------------------------------------------------------------------


class EventMatch(_Part, frozen=True, kw_only=True):
    """An event of the person: of this name, with these properties.

    `same`: properties that must be as in the event, or the `data`, that the run began with.
    """

    event: EventLabel
    where: Annotated[Json, Meta(max_length=20)] = {}
    same: Annotated[list[Label], Meta(max_length=20)] = []


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What starts a run: exactly one of `event`, `segment`, `attribute` and `api`.

    event: one with these properties. `key`: a property that tells runs of one person apart. What happened longer than
    `max_age_s` ago begins nothing; None: the time to live of the first message.

    segment: coming into it, or leaving it; `existing`: who is in it already begins, too.

    attribute: a date in it (`2026-11-26`, or a time of that day), `days` later (earlier if negative), when it is `at`
    where the person is; `yearly`: every year on that day, such as a birthday.
    """

    event: EventLabel | None = None
    where: Annotated[Json, Meta(max_length=20)] = {}
    key: Label | None = None
    max_age_s: Annotated[int, Meta(ge=0, le=3_650 * 86_400)] | None = None
    segment: SegmentName | None = None
    when: Literal["enters", "leaves"] = "enters"
    existing: bool = False
    attribute: Label | None = None
    days: Annotated[int, Meta(ge=-366, le=366)] = 0
    at: TimeOfDay = "09:00"
    yearly: bool = False
    api: bool = False


# --- the steps --------------------------------------------------------------------------------------------------------


class _Step(_Part, frozen=True, kw_only=True, tag_field="type"):
    """`id`: by which others name it; `next`: the step after it."""

    id: StepId | None = None
    next: StepId | None = None


class Send(_Step, frozen=True, kw_only=True, tag="send"):
    """Say something."""

    notification: Message


class LocalTime(_Part, frozen=True, kw_only=True):
    """The next time that it is `at` where the person is, on one of these days (None: any)."""

    at: TimeOfDay
    days: Weekdays | None = None


class Within(_Part, frozen=True, kw_only=True):
    """When it is between two times of day where the person is, on one of these days; at once, if it is now."""

    start: TimeOfDay
    end: TimeOfDay
    days: Weekdays | None = None


class Delay(_Step, frozen=True, kw_only=True, tag="delay", rename={"for_": "for"}):
    """Wait: for so long, until a local time, or until a window opens. Exactly one of the three."""

    for_: Duration | None = None
    until: LocalTime | None = None
    window: Within | None = None


class Wait(_Step, frozen=True, kw_only=True, tag="wait", rename={"for_": "for"}):
    """Wait for an event: with it to `next`, without it to `on_timeout` (None: to `next` as well)."""

    for_: EventMatch
    timeout: Duration
    on_timeout: StepId | None = None


class Path(_Part, frozen=True, kw_only=True, rename={"if_": "if"}):
    """One way: for those of whom a rule holds, or for a part of the people by chance, the same ones always."""

    to: StepId
    if_: Rule | None = None
    percent: Percentage | None = None


class Branch(_Step, frozen=True, kw_only=True, tag="branch"):
    """The first path that fits, else `next`."""

    paths: Annotated[list[Path], Meta(min_length=1, max_length=20)]


class UpdateUser(_Step, frozen=True, kw_only=True, tag="update_user"):
    """Set attributes; null removes one."""

    attributes: Annotated[dict[Label, bool | int | float | str | None], Meta(min_length=1, max_length=50)]


class Webhook(_Step, frozen=True, kw_only=True, tag="webhook"):
    """Call a URL, signed. The run does not wait for the answer."""

    url: Annotated[str, Meta(max_length=2_048)]
    body: Json = {}


class Exit(_Step, frozen=True, kw_only=True, tag="exit"):
    """The end."""


Step: TypeAlias = Send | Delay | Wait | Branch | UpdateUser | Webhook | Exit


class Automation(Struct, frozen=True, kw_only=True):
    """The simplest: an event becomes a notification to its user. With `steps`, each start is a run through them.

    A run ends early by the event of its `goal` or `exit_on`, or where `exit_if` holds before something is done.
    `reentry`: whether a run that ended may begin again under its key; a duration: so long after it began.
    `also_watched`: events that runs of earlier versions may wait for.
    """

    name: str
    on: Entry
    notification: Message | None = None
    steps: Annotated[list[Step], Meta(min_length=1, max_length=MAX_STEPS)] | None = None
    goal: EventMatch | None = None
    exit_on: EventMatch | None = None
    exit_if: Rule | None = None
    reentry: Literal["always", "never"] | Duration = "always"
    enabled: bool = True
    version: int = 1
    description: str = ""
    ready_made: str | None = None
    parameters: dict[str, Any] | None = None
    also_watched: list[str] = []
