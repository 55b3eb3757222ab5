"""What all sessions of one gateway node share."""

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clarion.crypto.endpoints import EndpointTokens
from clarion.gateway.acks import Acknowledgements
from clarion.gateway.registry import Registry
from clarion.gateway.tasks import Tasks
from clarion.ports import Clock, PushStore

if TYPE_CHECKING:
    from clarion.gateway.broadcasts import Broadcasts
    from clarion.gateway.session import Session


def _new_id() -> str:
    # Of this process only: what the store still says of a process that died points at nobody.
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Node:
    """One process that holds device sockets. `origin` is that of push endpoints, without a trailing slash."""

    store: PushStore
    clock: Clock
    tokens: EndpointTokens
    origin: str
    message_limit: int
    registry: "Registry[Session]"
    acks: Acknowledgements
    tasks: Tasks
    broadcasts: "Broadcasts[Session]"
    id: str = field(default_factory=_new_id)
