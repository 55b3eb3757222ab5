"""Notifications: asked for, tried, looked at, cancelled; and what became of each candidate and delivery."""

import time
from typing import Annotated, Any, cast

from litestar import Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from clarion.api import messages
from clarion.api.answers.results import ResultsAnswer
from clarion.api.answers.sending import (
    DELIVERY_STATES,
    Created,
    DecisionAnswer,
    DecisionList,
    DeliveryAnswer,
    DeliveryList,
    DryRunAnswer,
    NotificationAnswer,
    NotificationList,
    NotificationSummary,
    TrialDecision,
    counts_of,
    request_of,
    update_of,
)
from clarion.api.auth import Caller
from clarion.api.door import server
from clarion.api.fields import told, told_or_none
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, IdInPath, Limit, chosen
from clarion.api.http import MIB, Scope, header
from clarion.api.idempotency import HEADER as IDEMPOTENCY_KEY
from clarion.api.idempotency import repeatable_ids
from clarion.api.problems import not_found
from clarion.api.schemas import NotificationBody, ReplaceBody
from clarion.api.services import Services
from clarion.journey.experiments.winning import results_of
from clarion.journey.progress import state_of
from clarion.model import DAY_MS, DeliveryState, Notification, Project, Reason, User

AUDIENCE_LIMIT = 16 * MIB
_REASONS = {reason.value: reason for reason in Reason}
_STATES = {name: DeliveryState[name.upper()] for name in DELIVERY_STATES}

OfUser = Annotated[str | None, QueryParameter(min_length=1, max_length=255, description="Of this user only.")]
OfNotification = Annotated[str | None, QueryParameter(min_length=1, max_length=64, description="Of this one only.")]
OfReason = Annotated[str | None, QueryParameter(schema_extra={"enum": sorted(_REASONS)})]
OfState = Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": sorted(_STATES)})]


@post(
    "/v1/notifications",
    status_code=202,
    responses={
        200: ResponseSpec(DryRunAnswer, description="A dry run: nothing was sent"),
        202: ResponseSpec(Created, description="Accepted, and on disk"),
    },
    **server("send", limit=AUDIENCE_LIMIT, creates=True, bounded=True),
)
async def notify(
    services: FromServices, caller: FromCaller, request: Request[Any, Any, Any], data: JSONBody[NotificationBody]
) -> Response[DryRunAnswer] | Response[Created]:
    """Send a notification, now or at `send_at`; with `arm`, prepare it; with `dry_run`, tell what would be decided."""
    send_at = messages.send_at(data)
    local_time = messages.local_time(data.local_time, data.local_time_passed, services.clock.now())
    to = messages.audience(data.to)
    message = messages.message(data)
    if data.dry_run:
        begun = time.perf_counter()
        trial = await services.pipeline.dry_run(
            caller.project, message, to, send_at=send_at, local_time=local_time, sent_by=caller.key.id
        )
        took_ms = round((time.perf_counter() - begun) * 1000, 3)
        return Response(
            DryRunAnswer(
                counts=trial.counts,
                variants=trial.variants,
                decisions=[_trial(one) for one in trial.decisions],
                took_ms=took_ms,
            ),
            status_code=200,
        )
    today, id = await _repeated(services, caller, request)
    if id is None:
        made = await services.pipeline.notify(
            caller.project,
            message,
            to,
            send_at=send_at,
            local_time=local_time,
            arm=bool(data.arm),
            id=today,
            sent_by=caller.key.id,
        )
        id = made.id
    return Response(Created(id=id), status_code=202)


async def _repeated(
    services: Services, caller: Caller, request: Request[Any, Any, Any]
) -> tuple[str | None, str | None]:
    """By its Idempotency-Key: the id that what this request makes is to have, and what it made before, if it did."""
    key = header(cast("Scope", request.scope), IDEMPOTENCY_KEY)
    if key is None:
        return None, None
    today, yesterday = repeatable_ids(caller.key.kind, key, services.clock.now())
    return today, await _made_within_a_day(services, caller.project, yesterday)


async def _made_within_a_day(services: Services, project: Project, id: str | None) -> str | None:
    """The id, if a notification has it that is not older than what is kept for repetitions."""
    known = None if id is None else await services.store.trail.notification(project.key, id)
    return id if known is not None and services.clock.now() - known.created_at < DAY_MS else None


@get("/v1/notifications", **server("read"))
async def list_notifications(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> NotificationList:
    """Notifications, newest first."""
    page = await services.store.trail.notifications(caller.project.key, cursor, limit)
    return NotificationList(
        items=[NotificationSummary.of(notification) for notification in page.items], next_cursor=page.next_cursor
    )


@get("/v1/notifications/{notification_id:str}", **server("read"))
async def get_notification(services: FromServices, caller: FromCaller, notification_id: IdInPath) -> NotificationAnswer:
    """What was asked for, how far it came, and counts by decision, reason and delivery state."""
    return await _shown(services, await _notification(services, caller.project, notification_id))


@post("/v1/notifications/{notification_id:str}/cancel", status_code=200, **server("send"))
async def cancel_notification(
    services: FromServices, caller: FromCaller, notification_id: IdInPath
) -> NotificationAnswer:
    """Drop everything that was not handed to a provider yet."""
    return await _shown(services, await services.pipeline.cancel(caller.project, notification_id))


@post("/v1/notifications/{notification_id:str}/fire", status_code=200, **server("send"))
async def fire_notification(
    services: FromServices, caller: FromCaller, notification_id: IdInPath
) -> NotificationAnswer:
    """Send what was prepared with `arm`: once, whoever calls it how often."""
    return await _shown(services, await services.pipeline.fire(caller.project, notification_id))


@post("/v1/notifications/{notification_id:str}/replace", status_code=202, **server("send", creates=True, bounded=True))
async def replace_notification(
    services: FromServices,
    caller: FromCaller,
    request: Request[Any, Any, Any],
    notification_id: IdInPath,
    data: JSONBody[ReplaceBody],
) -> Created:
    """Put new words in the place of what was sent, wherever it may be shown. The answer is the id of the update."""
    changes = messages.changes(data)
    today, known = await _repeated(services, caller, request)
    if known is None:
        made = await services.pipeline.updating.replace(
            caller.project,
            notification_id,
            changes,
            renotify=bool(data.renotify),
            new_id=today,
            sent_by=caller.key.id,
        )
        known = made.id
    return Created(id=known)


@post("/v1/notifications/{notification_id:str}/withdraw", status_code=202, **server("send"))
async def withdraw_notification(services: FromServices, caller: FromCaller, notification_id: IdInPath) -> Created:
    """Cancel what was not sent yet, and close it where it is shown. The answer is the id of the withdrawal."""
    made = await services.pipeline.updating.withdraw(caller.project, notification_id, sent_by=caller.key.id)
    return Created(id=made.id)


@get("/v1/notifications/{notification_id:str}/decisions", **server("read"))
async def list_decisions(
    services: FromServices,
    caller: FromCaller,
    notification_id: IdInPath,
    user_id: OfUser = None,
    reason: OfReason = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> DecisionList:
    """The recorded decisions of a notification."""
    wanted = chosen("reason", reason, _REASONS)
    notification = await _notification(services, caller.project, notification_id)
    user = await _filter(services, caller.project, user_id)
    if user_id is not None and user is None:
        return DecisionList(items=[])
    page = await services.store.trail.decisions(
        caller.project.key,
        notification=notification.key,
        user=user.key if user else None,
        reason=wanted,
        cursor=cursor,
        limit=limit,
    )
    return DecisionList(items=[DecisionAnswer.of(record) for record in page.items], next_cursor=page.next_cursor)


@get("/v1/notifications/{notification_id:str}/results", **server("read"))
async def get_results(services: FromServices, caller: FromCaller, notification_id: IdInPath) -> ResultsAnswer:
    """What came of a notification by variant, with intervals that may be looked at as often as one likes."""
    notification = await _notification(services, caller.project, notification_id)
    found = await results_of(services.store, notification, services.clock.now())
    return ResultsAnswer.of(notification, found)


@get("/v1/deliveries", **server("read"))
async def list_deliveries(
    services: FromServices,
    caller: FromCaller,
    user_id: OfUser = None,
    notification_id: OfNotification = None,
    in_state: OfState = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> DeliveryList:
    """Deliveries, newest notification first."""
    wanted = chosen("state", in_state, _STATES)
    project, store = caller.project.key, services.store
    user = await _filter(services, caller.project, user_id)
    notification = await store.trail.notification(project, notification_id) if notification_id is not None else None
    if (user_id is not None and user is None) or (notification_id is not None and notification is None):
        return DeliveryList(items=[])
    page = await store.trail.deliveries(
        project,
        notification=notification.key if notification else None,
        user=user.key if user else None,
        state=wanted,
        cursor=cursor,
        limit=limit,
    )
    return DeliveryList(items=[DeliveryAnswer.of(record) for record in page.items], next_cursor=page.next_cursor)


async def _notification(services: Services, project: Project, id: str) -> Notification:
    return await services.store.trail.notification(project.key, id) or not_found(f"notification {id}")


async def _filter(services: Services, project: Project, user_id: str | None) -> User | None:
    return None if user_id is None else await services.store.users.get(project.key, user_id)


async def _shown(services: Services, notification: Notification) -> NotificationAnswer:
    progress = await services.store.trail.progress(notification.project, notification.key)
    newest = await services.pipeline.updating.newest_of(notification)
    deliveries = {state.name.lower(): number for state, number in progress.deliveries.items()}
    items = await services.store.trail.load(notification.project, notification.digest_of)
    return NotificationAnswer(
        id=notification.id,
        state=state_of(notification, progress, services.clock.now()),
        request=request_of(notification),
        counts=counts_of(progress.reasons, deliveries),
        automation=notification.automation,
        digest_of=[items[key].id for key in notification.digest_of if key in items],
        sent_by=notification.sent_by,
        created_at=told(notification.created_at),
        send_at=told_or_none(notification.send_at),
        armed_until=told_or_none(notification.armed_until),
        fired_at=told_or_none(notification.fired_at),
        cancelled_at=told_or_none(notification.cancelled_at),
        campaign=notification.campaign,
        paused_at=told_or_none(notification.paused_at),
        update=update_of(notification),
        updated_by=None if newest is None else newest.id,
    )


def _trial(one: Any) -> TrialDecision:
    return TrialDecision(
        user_id=one.user_id,
        decision=one.decision,
        reason=one.reason,
        until=told_or_none(one.until),
        variant=one.variant,
        gates=one.gates,
        at=told(one.at),
    )


SENDING = (
    notify,
    list_notifications,
    get_notification,
    cancel_notification,
    fire_notification,
    replace_notification,
    withdraw_notification,
    list_decisions,
    get_results,
    list_deliveries,
)
