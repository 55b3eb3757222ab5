"""HTTP/2 clients, each told to send the same requests: one module a client, one process a measurement."""
