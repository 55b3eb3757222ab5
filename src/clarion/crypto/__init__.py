"""Everything that keeps a secret or proves a word: message encryption, VAPID, signed tokens, sealing, keys.

Knows no database, no network and no clock; the time comes in as milliseconds since the epoch.
"""
