"""API keys: 256 random bits, shown once, stored as a hash.

A plain SHA-256 is enough, and fast enough for every request: nobody can guess 256 random bits, slow hash or not.
"""

import hashlib
import re
import secrets
from typing import Literal

KeyKind = Literal["sk", "pk"]

_SHAPE = re.compile(r"(?:sk|pk)_[A-Za-z0-9_-]{43}", re.ASCII)


def new_key(kind: KeyKind) -> str:
    """`sk_` (server) or `pk_` (public) and 43 characters of base64url."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def key_hash(text: str) -> bytes:
    """What is stored and looked up: 32 bytes. Looking up the hash makes timing useless to someone who guesses."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def looks_like_key(text: str) -> bool:
    """Whether the text has the shape of a key, so that a wrong paste is told without a look-up."""
    return _SHAPE.fullmatch(text) is not None
