"""The door as one ASGI app: what it is made of, and in which order a request meets it."""

from functools import lru_cache
from typing import Any, cast

from litestar import Litestar, Request, Response, Router
from litestar.di import Provide

from clarion.api.auth import Caller
from clarion.api.cors import Cors
from clarion.api.door import CALLER, Door, Guarded
from clarion.api.framework import FromCaller, Strict
from clarion.api.front import Front
from clarion.api.http import App, Scope
from clarion.api.identity import Identity, Visitor
from clarion.api.metrics import Metrics
from clarion.api.openapi import document
from clarion.api.pages import as_response
from clarion.api.plain import PlainApp, plain_routes
from clarion.api.problems import Problems
from clarion.api.public import SDK
from clarion.api.sdk_files import SdkFiles, folder
from clarion.api.server.administration import ADMINISTRATION
from clarion.api.server.definitions import DEFINITIONS
from clarion.api.server.people import PEOPLE
from clarion.api.server.sending import SENDING
from clarion.api.services import Services
from clarion.api.system import system_routes
from clarion.api.unsubscribe import UNSUBSCRIBING
from clarion.model import Json

_HANDLERS = {
    "People": PEOPLE,
    "Sending": SENDING,
    "Definitions": DEFINITIONS,
    "Project and keys": ADMINISTRATION,
    "SDK": SDK,
    "Unsubscribing": UNSUBSCRIBING,
}


def create_app(services: Services) -> App:
    """The ASGI app of the HTTP port. It opens and closes nothing: who made the services does."""
    door, metrics = Door(services), Metrics()
    identity = Identity(services.settings, services.store, services.anonymous, services.sealer, services.clock)
    problems = Problems(services.settings.http_origin)
    cors = Cors(services.settings, services.store.projects, services.clock)
    plain = plain_routes(services, identity)

    @lru_cache(maxsize=1)
    def written() -> Json:
        return document(framework, plain, services.settings.http_origin)

    framework = Litestar(
        route_handlers=[
            *(Router("/", route_handlers=handlers, tags=[tag]) for tag, handlers in _HANDLERS.items()),
            system_routes(services, metrics, door.backlog, written),
        ],
        dto=Strict,
        return_dto=None,
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "identity": Provide(lambda: identity, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "visitor": Provide(_visiting(identity), sync_to_thread=False),
        },
        middleware=[_guarding(door)],
        exception_handlers={Exception: _answering(problems)},
        openapi_config=None,
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )
    return Front(
        framework=cast("App", framework),
        plain={route.path: PlainApp(route, door, cors, problems, metrics) for route in plain},
        mounts=services.mounts,
        files=SdkFiles(folder()),
        cors=cors,
        problems=problems,
        metrics=metrics,
    )


def _caller(request: Request[Any, Any, Any]) -> Caller:
    caller: Caller = cast("Scope", request.scope)[CALLER]
    return caller


def _visiting(identity: Identity) -> Any:
    def visitor(request: Request[Any, Any, Any], caller: FromCaller) -> Visitor:
        return Visitor(identity, caller.project, cast("Scope", request.scope))

    return visitor


def _guarding(door: Door) -> Any:
    def guard(app: Any) -> Any:
        return Guarded(app, door)

    return guard


def _answering(problems: Problems) -> Any:
    def handle(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        return as_response(problems.answer(error))

    return handle


__all__ = ["Services", "create_app"]
