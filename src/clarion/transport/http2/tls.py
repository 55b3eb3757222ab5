"""TLS for HTTP/2: version 1.2 or newer, checked certificates, and `h2` agreed on (RFC 9113 §3.2, §9.2)."""

import ssl


def client_context(*, authority: str | None = None) -> ssl.SSLContext:
    """For the server's certificate the system's authorities, or those of the PEM file `authority`."""
    return for_http2(ssl.create_default_context(cafile=authority))


def for_http2(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, made to offer HTTP/2 only; one with a client certificate loaded stays so."""
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["h2"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context
