"""What our push service counts, in one place: one set of counters a process, for `/metrics`."""

from typing import Final

from prometheus_client import Counter, Gauge

from clarion.wire.autopush import AckCode, NackCode

CONNECTIONS: Final = Gauge("clarion_push_connections", "Open device sockets")
HELLOS: Final = Counter("clarion_push_hellos", "Devices that said hello, by whether we knew them", ["device"])
CHECKINS: Final = Counter("clarion_push_checkins", "Browsers that came for a name, by whether they had one", ["device"])
REGISTRATIONS: Final = Counter(
    "clarion_push_registrations", "Register and unregister messages, by status", ["kind", "status"]
)
STORED: Final = Counter("clarion_push_messages_stored", "Messages written before they were accepted")
DELIVERED: Final = Counter(
    "clarion_push_messages_delivered",
    "Messages handed to a device's socket: direct, drained from the store, or instant (TTL 0)",
    ["way"],
)
MISSED: Final = Counter("clarion_push_messages_missed", "Instant messages (TTL 0) whose device could not take them")
ACKED: Final = Counter("clarion_push_messages_acked", "Messages that a device acknowledged, by its code", ["code"])
NACKS: Final = Counter("clarion_push_nacks", "Messages on which the page's own code failed, by its code", ["code"])
CLOSED: Final = Counter("clarion_push_closed", "Sockets that the server closed, by close code", ["code"])
RESETS: Final = Counter("clarion_push_resets", "Devices forgotten because too many messages were waiting")
ACCEPTED: Final = Counter("clarion_push_accepted", "Requests to the push endpoint that were answered 201")
REFUSED: Final = Counter("clarion_push_refused", "Requests to the push endpoint that were refused, by errno", ["errno"])

DELIVERED_DIRECT: Final = DELIVERED.labels("direct")
DELIVERED_DRAINED: Final = DELIVERED.labels("drained")
DELIVERED_INSTANT: Final = DELIVERED.labels("instant")

_OTHER = 0  # a label must not grow with what devices send
_ACKED_BY = {code: ACKED.labels(int(code)) for code in (*AckCode, _OTHER)}
_NACKED_BY = {code: NACKS.labels(int(code)) for code in (*NackCode, _OTHER)}


def acked(code: int | None) -> None:
    """A message was acknowledged; without a code it was delivered."""
    _ACKED_BY.get(AckCode.DELIVERED if code is None else code, _ACKED_BY[_OTHER]).inc()


def nacked(code: int | None) -> None:
    """A page's code failed on a message."""
    _NACKED_BY.get(code or _OTHER, _NACKED_BY[_OTHER]).inc()
