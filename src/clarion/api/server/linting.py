"""Title honesty, asked before anything is sent."""

import asyncio

from litestar import post
from litestar.params import JSONBody

from clarion.api import linting, messages
from clarion.api.answers.lint import LintAnswer
from clarion.api.door import server
from clarion.api.framework import FromCaller, FromServices
from clarion.api.schemas import LintBody
from clarion.journey.words import project_facts


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


LINTING = (lint,)
