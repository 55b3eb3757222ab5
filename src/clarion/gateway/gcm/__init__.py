"""Our push service for unmodified Chromium: check-in and registration over HTTP, messages over MCS and TLS.

A connection is one more language of the gateway's sessions; routing, storage and acknowledgement are theirs.
"""
