"""What is asked about the process itself: health, metrics, the documents, and what an error's type means."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from litestar import Response, Router, get
from litestar.params import PathParameter

from clarion.api import docs
from clarion.api.answers.base import Answer as Body
from clarion.api.limits import Backlog
from clarion.api.metrics import Metrics
from clarion.api.pages import Pages, as_response
from clarion.api.problems import KINDS
from clarion.api.services import Services
from clarion.errors import FieldError, NotFound, Unavailable
from clarion.model import Json, Millis

_HEALTH_MEMORY_MS = 1_000
_PAGES = Pages()

CodeInPath = Annotated[str, PathParameter(max_length=64, description="The `code` of a problem document.")]


class Health(Body, frozen=True, kw_only=True):
    """The process can do its work."""

    status: str


class HealthCheck:
    """Asks the parts at most once a second, since anybody may ask us."""

    def __init__(self, services: Services) -> None:
        self._checks = {"store": services.store.ping, **services.checks}
        self._clock = services.clock
        self._asked_at: Millis | None = None
        self._missing: list[FieldError] = []

    async def missing(self) -> list[FieldError]:
        """The parts that cannot work, and why."""
        now = self._clock.now()
        if self._asked_at is None or now - self._asked_at >= _HEALTH_MEMORY_MS:
            self._asked_at = now
            self._missing = [error for name in self._checks if (error := await self._ask(name)) is not None]
        return self._missing

    async def _ask(self, name: str) -> FieldError | None:
        try:
            await self._checks[name]()
        except Unavailable as error:
            return FieldError(name, error.detail)
        except Exception:  # noqa: BLE001 - whatever it is, this part does not work; its words may hold secrets
            return FieldError(name, "does not work")
        return None


def system_routes(services: Services, metrics: Metrics, backlog: Backlog, document: Callable[[], Json]) -> Router:
    """The routes, with what they tell about bound in."""
    health = HealthCheck(services)

    @get("/healthz", tags=["System"])
    async def healthz() -> Health:
        """200 when the process can do its work, 503 with what is missing otherwise."""
        missing = await health.missing()
        if missing:
            raise Unavailable("; ".join(f"{name}: {words}" for name, words in missing), errors=missing)
        return Health(status="ok")

    @get("/metrics", media_type="text/plain", tags=["System"])
    async def show_metrics() -> Response[bytes]:
        """Prometheus text."""
        return Response(metrics.text(await backlog.counts()), media_type="text/plain; version=0.0.4")

    @get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response[bytes]:
        """The OpenAPI document."""
        return Response(msgspec.json.encode(document()), media_type="application/json")

    @get("/docs", include_in_schema=False)
    async def show_docs() -> Response[bytes]:
        """The OpenAPI document as a page."""
        return as_response(_PAGES.render("docs.html", **docs.view(document())))

    @get("/errors/{code:str}", include_in_schema=False)
    async def explain_error(code: CodeInPath) -> Response[bytes]:
        """What an error's `type` means."""
        kind = KINDS.get(code)
        if kind is None:
            raise NotFound("there is no error of that name")
        words = (kind.__doc__ or "").partition("\n")[0]
        return as_response(
            _PAGES.render("small.html", title=kind.title, texts=[words], note=f"Code {code}, HTTP status {kind.status}")
        )

    return Router("/", route_handlers=[healthz, show_metrics, openapi, show_docs, explain_error])
