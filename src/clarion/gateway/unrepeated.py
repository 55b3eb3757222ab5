"""Numbers that nobody else gives: what is not stored has no key, and needs a name that is never used twice."""

import secrets
from itertools import count

_numbers = count(secrets.randbits(62))  # random once for each process: asking the system each time costs 4 µs


def unrepeated() -> int:
    """Fits in 63 bits."""
    return next(_numbers)
