"""What is asked about the process itself: health, metrics, the documents, and what an error's type means."""

from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.params import PathParameter

from clarion.api import docs
from clarion.api.answers.base import Answer as Body
from clarion.api.desk import Desk
from clarion.api.framework import FromDesk
from clarion.api.pages import Pages, as_response
from clarion.api.problems import KINDS
from clarion.errors import NotFound, Unavailable

_PAGES = Pages()

CodeInPath = Annotated[str, PathParameter(max_length=64, description="The `code` of a problem document.")]


class Health(Body, frozen=True, kw_only=True):
    """The process can do its work."""

    status: str


@get("/healthz")
async def healthz(desk: FromDesk) -> Health:
    """200 when the process can do its work, 503 with what is missing otherwise."""
    missing = await desk.health.missing()
    if missing:
        raise Unavailable("; ".join(f"{name}: {words}" for name, words in missing), errors=missing)
    return Health(status="ok")


@get("/metrics", media_type="text/plain")
async def show_metrics(desk: FromDesk) -> Response[bytes]:
    """Prometheus text."""
    text = desk.metrics.text(await desk.door.backlog.counts(), *await _alerts(desk))
    return Response(text, media_type="text/plain; version=0.0.4")


async def _alerts(desk: Desk) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Of all projects by their public ids; one that was removed is named no more."""
    store = desk.services.store
    every, lossy = await store.stoppages.all(), await store.losses.alerts()
    names = {project.key: project.id for project in await store.projects.all()} if every or lossy else {}
    return (
        [(names[each.project], each.kind, each.lane) for each in every if each.project in names],
        [(names[each.project], each.dimension, each.name) for each in lossy if each.project in names],
    )


@get("/openapi.json", include_in_schema=False)
async def show_openapi(desk: FromDesk) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(msgspec.json.encode(desk.document()), media_type="application/json")


@get("/docs", include_in_schema=False)
async def show_docs(desk: FromDesk) -> Response[bytes]:
    """The OpenAPI document as a page."""
    return as_response(_PAGES.render("docs.html", **docs.view(desk.document())))


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


SYSTEM = (
    healthz,
    show_metrics,
    show_openapi,
    show_docs,
    explain_error,
)
