"""What all handlers of one running API share."""

from collections.abc import Callable
from dataclasses import dataclass

from clarion.api.cors import Cors
from clarion.api.door import Door
from clarion.api.health import HealthCheck
from clarion.api.identity import Identity
from clarion.api.metrics import Metrics
from clarion.api.problems import Problems
from clarion.api.services import Services
from clarion.model import Json

DESK = "clarion.desk"
"""Where it stands in the ASGI scope: the routes are one fixed table, what they work on comes with the request."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One of each."""

    services: Services
    door: Door
    identity: Identity
    cors: Cors
    problems: Problems
    metrics: Metrics
    health: HealthCheck
    document: Callable[[], Json]
