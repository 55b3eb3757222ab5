"""Many small HTTP/2 requests to one origin, at a few microseconds each; `pool.py` first, then `connection.py`."""

from clarion.transport.http2.dialer import NotHttp2
from clarion.transport.http2.limits import Limits
from clarion.transport.http2.pool import Pool
from clarion.transport.http2.tls import client_context, for_http2

__all__ = ["Limits", "NotHttp2", "Pool", "client_context", "for_http2"]
