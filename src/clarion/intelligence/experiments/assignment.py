"""Who sees which variant: a hash of the person names a bucket, and a table says whose the bucket is.

The table is a race, as in weighted rendezvous hashing: each variant has a time for each bucket, drawn by hash from an
exponential distribution and divided by the variant's weight, and the fastest gets the bucket. A variant that has as
many buckets as its weight is worth gets no more, so that the parts are exact to a tenth of a percent. Where weights
change, nearly nobody moves who need not: 1 to 6 percent more than must for up to five variants, 20 for ten.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from math import log

BUCKETS = 1_000
_SCALE = 2.0**-64
_A_DIGEST = 8  # numbers of 64 bits in one digest


def bucket(seed: bytes, person: bytes) -> int:
    """0 to 999, the same everywhere and always. About 0.3 µs."""
    return int.from_bytes(blake2b(seed + person, digest_size=8).digest()) % BUCKETS


def table(seed: bytes, weights: Mapping[str, float]) -> tuple[str, ...]:
    """By bucket, the variant that has it. At least one weight is above 0; the order of the variants does not matter."""
    return _table(seed, tuple(sorted((key, weight) for key, weight in weights.items() if weight > 0)))


@lru_cache(maxsize=256)
def _table(seed: bytes, weights: tuple[tuple[str, float], ...]) -> tuple[str, ...]:
    left = _quotas(weights)
    race = sorted(
        (time / weight, at, key) for key, weight in weights for at, time in enumerate(_times(seed, key.encode()))
    )
    owners: list[str | None] = [None] * BUCKETS
    for _, at, key in race:
        if owners[at] is None and left[key]:
            owners[at] = key
            left[key] -= 1
    return tuple(owner for owner in owners if owner is not None)


def _quotas(weights: tuple[tuple[str, float], ...]) -> dict[str, int]:
    """How many buckets each variant has; what rounding leaves goes to those that lost most by it."""
    total = sum(weight for _, weight in weights)
    exact = {key: weight / total * BUCKETS for key, weight in weights}
    quotas = {key: int(share) for key, share in exact.items()}
    short = sorted(exact, key=lambda key: (quotas[key] - exact[key], key))
    for key in short[: BUCKETS - sum(quotas.values())]:
        quotas[key] += 1
    return quotas


def _times(seed: bytes, key: bytes) -> list[float]:
    """Of one variant, for each bucket: exponentially distributed, with mean 1."""
    times: list[float] = []
    for number in range(-(-BUCKETS // _A_DIGEST)):
        drawn = blake2b(b"%b\n%b\n%d" % (seed, key, number)).digest()
        words = (int.from_bytes(drawn[at : at + 8]) for at in range(0, len(drawn), 8))
        times += [-log((word + 0.5) * _SCALE) for word in words]
    return times[:BUCKETS]
