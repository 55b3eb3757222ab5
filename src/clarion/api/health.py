"""Whether this process can do its work."""

import logging

from clarion.api.services import Services
from clarion.errors import FieldError, Unavailable
from clarion.model import Millis

log = logging.getLogger(__name__)

_MEMORY_MS = 1_000


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
        if self._asked_at is None or now - self._asked_at >= _MEMORY_MS:
            self._asked_at = now
            self._missing = [error for name in self._checks if (error := await self._ask(name)) is not None]
        return self._missing

    async def _ask(self, name: str) -> FieldError | None:
        try:
            await self._checks[name]()
        except Unavailable as error:
            log.warning("%s does not work: %s", name, error)
            return FieldError(name, error.detail)
        except Exception:  # whatever it is, this part does not work; its words are for the log alone
            log.exception("%s does not work", name)
            return FieldError(name, "does not work")
        return None
