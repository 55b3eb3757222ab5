"""Our own push service: device sockets on one side, the RFC 8030 endpoint on the other, stored messages between."""

from clarion.gateway.endpoint import Limits
from clarion.gateway.service import Gateway

__all__ = ["Gateway", "Limits"]
