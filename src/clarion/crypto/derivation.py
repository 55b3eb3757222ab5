"""One key for each purpose out of each of the installation's secrets: no use of a secret helps to break another."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET = 16


def derive_keys(secrets: Sequence[bytes], purpose: str, length: int = 32) -> tuple[bytes, ...]:
    """A key of `length` bytes for `purpose` from every secret, in the same order (HKDF-SHA256, RFC 5869).

    The order is the rotation: the first key makes, all of them read. Raises ValueError when there is no secret or one
    is shorter than 16 bytes.
    """
    if not secrets:
        raise ValueError("secret key: at least one is needed")
    for place, secret in enumerate(secrets, start=1):
        if len(secret) < MIN_SECRET:
            raise ValueError(f"secret key {place}: {MIN_SECRET} bytes or more are needed, this one has {len(secret)}")
    info = b"clarion " + purpose.encode()
    return tuple(HKDF(SHA256(), length, salt=None, info=info).derive(secret) for secret in secrets)
