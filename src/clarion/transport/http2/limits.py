"""What a pool and its connections keep to."""

import msgspec

from clarion.transport.http2.frames import LARGEST_STREAM


class Limits(msgspec.Struct, frozen=True):
    """Times in seconds."""

    connections: int = 8
    streams: int = 1_000
    """Of one connection, if the peer allows as many."""
    last_stream: int = LARGEST_STREAM
    answer_bytes: int = 4_096
    """Of a response's body; what comes after them is not read."""
    request_s: float = 20.0
    """From sending to the end of the answer."""
    connect_s: float = 10.0
    patience_s: float = 20.0
    """How long nothing may move while requests wait to be sent."""
    batch_s: float = 60.0
    """How long a batch may wait to be sent whole, however slowly it moves."""
    idle_s: float = 60.0
    ping_s: float = 15.0
    """Silence after which the peer is asked for a sign of life; twice as much ends the connection."""
    tick_s: float = 0.5
    """How often all these are looked at."""
    backoff_s: tuple[float, float] = (0.1, 10.0)
    """Between attempts to connect: the first, and the longest."""
