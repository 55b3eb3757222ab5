"""Which pages may call us from a browser: any for receipts, those that a project lists for its SDK, none elsewhere."""

import contextlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

from clarion.api.http import Answer, Header
from clarion.config import Settings
from clarion.errors import Unavailable
from clarion.model import Millis, Project
from clarion.ports import Clock, Projects

Rule: TypeAlias = Literal["any", "listed"]

ANY = "*"
ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")
_VARY: Header = (b"vary", b"Origin")
_EXPOSED: Header = (b"access-control-expose-headers", b"Retry-After, Idempotency-Replayed")
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Clarion-User, Clarion-Anonymous, Idempotency-Key",
    ),
    (b"access-control-max-age", b"600"),
)
_ALL_ORIGINS_MEMORY_MS = 2_000


class Cors:
    """Decides by origin. A preflight carries no key, so it is allowed when any project lists the origin."""

    def __init__(self, settings: Settings, projects: Projects, clock: Clock) -> None:
        self._always = {*settings.cors_origins, settings.http_origin}
        self._projects = projects
        self._clock = clock
        self._union: set[str] = set()
        self._union_at: Millis | None = None

    async def preflight(self, rule: Rule, origin: bytes) -> Answer:
        """The answer to OPTIONS; without the headers of consent the browser does not go on."""
        allowed = await self.headers(rule, origin, None)
        consent = _PREFLIGHT if any(name == ANY_ORIGIN[0] for name, _ in allowed) else ()
        return Answer(204, b"", (*allowed, *consent))

    async def headers(self, rule: Rule, origin: bytes | None, project: Project | None) -> Sequence[Header]:
        """What to say beside an answer; `project` is None while it is not known whose key it is."""
        if rule == "any":
            return (ANY_ORIGIN, _EXPOSED)
        if origin is None:
            return (_VARY,)
        listed = await self._everybodys() if project is None else project.settings.allowed_origins
        text = origin.decode("latin-1")
        if text in self._always or ANY in self._always or text in listed or ANY in listed:
            return ((ANY_ORIGIN[0], origin), _VARY, _EXPOSED)
        return (_VARY,)

    async def _everybodys(self) -> set[str]:
        now = self._clock.now()
        if self._union_at is None or now - self._union_at >= _ALL_ORIGINS_MEMORY_MS:
            self._union_at = now
            # Without a database the last known list stands: the answer that it goes with says what is wrong.
            with contextlib.suppress(Unavailable):
                projects = await self._projects.all()
                self._union = {origin for project in projects for origin in project.settings.allowed_origins}
        return self._union
