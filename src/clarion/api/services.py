"""What the door needs from the house. Bootstrap fills it; tests fill it with fakes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from clarion.api.http import App
from clarion.api.limits import BACKLOG_BOUND
from clarion.config import Settings
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.preferences import PreferencesTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.unsubscribe import UnsubscribeTokens
from clarion.journey.catalog import Catalog
from clarion.journey.pipeline import Pipeline
from clarion.ports import Chance, Clock, PushService, Store


@dataclass(frozen=True, kw_only=True)
class Services:
    """The application service, the nouns that handlers read directly, and what else answers on this port."""

    settings: Settings
    store: Store
    pipeline: Pipeline
    catalog: Catalog
    clock: Clock
    chance: Chance
    sealer: Sealer
    receipts: ReceiptTokens
    anonymous: AnonymousTokens
    unsubscribes: UnsubscribeTokens
    preferences: PreferencesTokens
    push_service: PushService
    mounts: Mapping[str, App] = field(default_factory=dict)
    """Other ASGI apps by the beginning of the path, such as `/wpush/` and `/m/`; `/` takes what nobody else does."""
    checks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """What `/healthz` asks beside the store; each raises when its part cannot work."""
    backlog_bound: int = BACKLOG_BOUND
    serves_api: bool = True
    """False in a process without the role `api`: health, metrics and the mounts are all that it answers."""
