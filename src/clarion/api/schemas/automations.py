"""Automations, and the runs that go through them."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from clarion.api.fields import Name, UserId, Word, Words
from clarion.api.schemas.base import Body
from clarion.api.schemas.messages import MessageBody
from clarion.journey.automations.ready_made import READY_MADE_AUTOMATIONS
from clarion.model import Entry, Json, Rule
from clarion.model.automations import (
    MAX_STEPS,
    Branch,
    Delay,
    EventMatch,
    Exit,
    StepId,
    UpdateUser,
    Wait,
    Webhook,
)
from clarion.model.segments import Duration

MAX_BEGINS = 1_000
"""Runs that one call begins."""


class SendBody(Body, frozen=True, kw_only=True, tag_field="type", tag="send"):
    """Say something; `next`: the step after it, else the one below."""

    notification: MessageBody
    id: StepId | None = None
    next: StepId | None = None


StepBody: TypeAlias = SendBody | Delay | Wait | Branch | UpdateUser | Webhook | Exit


class AutomationPut(Body, frozen=True, kw_only=True):
    """Replaced as a whole: an event becomes a `notification`, or a start becomes a run through `steps`."""

    name: Name | None = None
    description: Words | None = None
    on: Annotated[Entry, Meta(description="Exactly one of event, segment, attribute, api.")] | None = None
    notification: MessageBody | None = None
    steps: Annotated[list[StepBody], Meta(min_length=1, max_length=MAX_STEPS)] | None = None
    goal: Annotated[EventMatch, Meta(description="The event that a run is for; it ends it.")] | None = None
    exit_on: Annotated[EventMatch, Meta(description="Another event that ends a run.")] | None = None
    exit_if: Annotated[Rule, Meta(description="Ends a run of whom it holds before anything is done.")] | None = None
    reentry: (
        Annotated[
            Literal["always", "never"] | Duration,
            Meta(description="Whether a run that ended may begin again under its key; a duration: so long after."),
        ]
        | None
    ) = None
    enabled: Annotated[bool, Meta(description="False: no run begins; those under way go on.")] | None = None
    ready_made: Annotated[str, Meta(description=f"One of {', '.join(READY_MADE_AUTOMATIONS)}.")] | None = None
    parameters: Annotated[Json, Meta(description="Of the ready-made one.", max_length=50)] | None = None
    version: Annotated[Any, Meta(description="As it was read; not looked at.")] = None
    also_watched: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class AutomationPost(AutomationPut, frozen=True, kw_only=True):
    """An event becomes a `notification`, or a start becomes a run through `steps`."""

    name: Name


class RunBody(Body, frozen=True, kw_only=True):
    """A person whose run begins."""

    user_id: UserId
    key: Annotated[Word, Meta(description="Tells several runs of one person apart.")] | None = None
    data: Annotated[Json, Meta(description="What the texts of the run see as data.", max_length=100)] | None = None


class RunsBody(Body, frozen=True, kw_only=True):
    """People whose runs begin."""

    runs: Annotated[list[RunBody], Meta(min_length=1, max_length=MAX_BEGINS)]


class CancelRunsBody(Body, frozen=True, kw_only=True):
    """Which runs end: of a key, of a person, or of both."""

    key: Word | None = None
    user_id: UserId | None = None
