"""What the dashboard needs of a running system. Bootstrap fills it; tests fill it with fakes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from clarion.crypto.sessions import SessionTokens
from clarion.journey.catalog import Catalog
from clarion.journey.pipeline import Pipeline
from clarion.model import Key
from clarion.ports import Chance, Clock, Limiter, Store


@dataclass(frozen=True, kw_only=True)
class Services:
    """The application service, and what the pages read directly. No page has a way to data that the API has not."""

    pipeline: Pipeline
    store: Store
    catalog: Catalog
    clock: Clock
    chance: Chance
    sessions: SessionTokens
    backlog: Callable[[Key], Awaitable[None]]
    """Raises RateLimited while so much of a project waits that nothing more is taken."""
    attempts: Limiter | None = None
    """The brake on signing in, by the caller's address."""
    is_secure: bool = False
    """Whether people come by https, whatever stands between them and us: cookies then go nowhere else."""
