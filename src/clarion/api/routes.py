"""The framework's routes: one fixed table for the whole program."""

from functools import lru_cache
from typing import Any, cast

from litestar import Litestar, Request, Response, Router
from litestar.di import Provide

from clarion.api.auth import Caller
from clarion.api.desk import DESK, Desk
from clarion.api.door import CALLER
from clarion.api.framework import FromCaller, FromDesk, Strict
from clarion.api.guarded import Guarded
from clarion.api.http import Scope
from clarion.api.identity import Identity, Visitor
from clarion.api.pages import as_response
from clarion.api.preferences import PREFERENCES
from clarion.api.public import SDK
from clarion.api.server.administration import ADMINISTRATION
from clarion.api.server.alerts import ALERTS
from clarion.api.server.automations import AUTOMATION_ROUTES
from clarion.api.server.campaigns import CAMPAIGNS
from clarion.api.server.consents import CONSENTS
from clarion.api.server.credentials import CREDENTIALS
from clarion.api.server.definitions import DEFINITIONS
from clarion.api.server.linting import LINTING
from clarion.api.server.losses import LOSSES
from clarion.api.server.people import PEOPLE
from clarion.api.server.push import PUSH
from clarion.api.server.segments import SEGMENT_ROUTES
from clarion.api.server.sending import SENDING
from clarion.api.server.templates import TEMPLATING
from clarion.api.server.topics import OWN_TOPICS, TOPIC_ROUTES
from clarion.api.services import Services
from clarion.api.system import SYSTEM
from clarion.api.unsubscribe import UNSUBSCRIBING

_TABLE = {
    "People": PEOPLE,
    "Sending": SENDING,
    "Definitions": (*DEFINITIONS, *TEMPLATING),
    "Automations": AUTOMATION_ROUTES,
    "Campaigns": CAMPAIGNS,
    "Segments": SEGMENT_ROUTES,
    "Topics": TOPIC_ROUTES,
    "Title honesty": LINTING,
    "Project and keys": ADMINISTRATION,
    "Credentials": CREDENTIALS,
    "Alerts": ALERTS,
    "Whom we lose": LOSSES,
    "Push service": PUSH,
    "SDK": (*SDK, *OWN_TOPICS),
    "Unsubscribing": (*UNSUBSCRIBING, *PREFERENCES),
    "Consents": CONSENTS,
    "System": SYSTEM,
}


@lru_cache(maxsize=1)
def framework() -> Litestar:
    """The routes. What they work on comes with each request, as the `Desk` in its scope."""
    return Litestar(
        route_handlers=[Router("/", route_handlers=handlers, tags=[tag]) for tag, handlers in _TABLE.items()],
        dto=Strict,
        return_dto=None,
        dependencies={
            "desk": Provide(_desk, sync_to_thread=False),
            "services": Provide(_services, sync_to_thread=False),
            "identity": Provide(_identity, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "visitor": Provide(_visitor, sync_to_thread=False),
        },
        middleware=[cast("Any", Guarded)],
        exception_handlers={Exception: _answer_error},
        openapi_config=None,
        logging_config=None,
        # The door counts the bytes.
        request_max_body_size=None,
        debug=False,
    )


def _desk(request: Request[Any, Any, Any]) -> Desk:
    desk: Desk = cast("Scope", request.scope)[DESK]
    return desk


def _services(desk: FromDesk) -> Services:
    return desk.services


def _identity(desk: FromDesk) -> Identity:
    return desk.identity


def _caller(request: Request[Any, Any, Any]) -> Caller:
    caller: Caller = cast("Scope", request.scope)[CALLER]
    return caller


def _visitor(request: Request[Any, Any, Any], caller: FromCaller, desk: FromDesk) -> Visitor:
    return Visitor(desk.identity, caller.project, cast("Scope", request.scope))


def _answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return as_response(_desk(request).problems.answer(error))
