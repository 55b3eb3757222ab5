"""Messages, looked at before anything is sent: are their titles honest, and how do screens show them?"""

import asyncio

from litestar import post
from litestar.params import JSONBody

from clarion.api import linting, messages, previewing
from clarion.api.answers.lint import LintAnswer
from clarion.api.answers.preview import WordingsAnswer
from clarion.api.door import server
from clarion.api.framework import FromCaller, FromServices
from clarion.api.schemas import LintBody, MessagePreviewBody
from clarion.journey.texts.words import project_facts


@post("/v1/lint", status_code=200, **server("read"))
async def lint(services: FromServices, caller: FromCaller, data: JSONBody[LintBody]) -> LintAnswer:
    """Look at a message or a template: is its title honest, and does it fit? Nothing is stored or sent."""
    project = caller.project
    return await asyncio.to_thread(
        linting.lint,
        data,
        project.settings,
        await services.catalog.categories(project.key),
        await services.catalog.templates_for(project.key, [messages.message(data)]),
        project_facts(project),
        await services.catalog.partials(project.key),
    )


@post("/v1/preview", status_code=200, **server("read"))
async def preview(services: FromServices, caller: FromCaller, data: JSONBody[MessagePreviewBody]) -> WordingsAnswer:
    """Show a message as screens would show it to somebody, in each of its variants. Nothing is stored or sent."""
    now = services.clock.now()
    return await previewing.preview_message(services.store, services.catalog, caller.project, data, now)


LINTING = (lint, preview)
