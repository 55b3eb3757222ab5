"""The HTTP API as one ASGI app."""

from functools import lru_cache
from typing import cast

from clarion.api.cors import Cors
from clarion.api.desk import Desk
from clarion.api.door import Door
from clarion.api.front import Front
from clarion.api.health import HealthCheck
from clarion.api.http import App
from clarion.api.identity import Identity
from clarion.api.metrics import Metrics
from clarion.api.openapi import document
from clarion.api.plain import plain_routes
from clarion.api.problems import Problems
from clarion.api.routes import framework
from clarion.api.sdk_files import SdkFiles, folder
from clarion.api.services import Services
from clarion.model import Json


def create_app(services: Services) -> App:
    """The ASGI app of the HTTP port. It opens and closes nothing: who made the services does."""
    settings, store, clock = services.settings, services.store, services.clock
    identity = Identity(settings, store, services.anonymous, services.sealer, clock)
    plain = plain_routes(services, identity)

    @lru_cache(maxsize=1)
    def written() -> Json:
        return document(framework(), plain, settings.http_origin)

    desk = Desk(
        services=services,
        door=Door(services),
        identity=identity,
        cors=Cors(settings, store.projects, clock),
        problems=Problems(settings.http_origin),
        metrics=Metrics(),
        health=HealthCheck(services),
        document=written,
    )
    return Front(cast("App", framework()), plain, services.mounts, SdkFiles(folder()), desk)


__all__ = ["Services", "create_app"]
