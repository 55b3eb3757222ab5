"""Keys on the curve P-256, as browsers and push services write them: a private number and an uncompressed point."""

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.crypto import base64url

CURVE = ec.SECP256R1()
ECDH = ec.ECDH()
POINT_SIZE = 65
PRIVATE_SIZE = 32
UNCOMPRESSED = 4
NOT_ON_THE_CURVE = "the point is not on the curve P-256"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key (32 bytes, big-endian) and its public point (65 bytes, uncompressed, SEC 1 §2.3.3)."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def generate(cls) -> "KeyPair":
        """A new random pair."""
        key = ec.generate_private_key(CURVE)
        return cls(key.private_numbers().private_value.to_bytes(PRIVATE_SIZE, "big"), point_of(key))

    @classmethod
    def of(cls, private: bytes) -> "KeyPair":
        """The pair of a kept private key. Raises ValueError when it is none."""
        return cls(private, point_of(load_private(private)))

    @property
    def public_text(self) -> str:
        """The point in base64url: what a browser takes as `applicationServerKey`."""
        return base64url.encode(self.public)


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public point of a private key, 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@lru_cache(maxsize=1024)
def load_private(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """The key of 32 bytes. Raises ValueError for another length, or a number that is zero or past the group's order."""
    if len(raw) != PRIVATE_SIZE:
        raise ValueError(f"a P-256 private key has {PRIVATE_SIZE} bytes, not {len(raw)}")
    return ec.derive_private_key(int.from_bytes(raw, "big"), CURVE)


def load_public(point: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a 65-byte point. Raises ValueError for another form, or a point that is not on the curve."""
    check_form(point)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
    except ValueError as error:
        raise ValueError(NOT_ON_THE_CURVE) from error


def check_form(point: bytes) -> None:
    """Raises ValueError for another form than the one that browsers write; the point may still be off the curve."""
    if len(point) != POINT_SIZE or point[0] != UNCOMPRESSED:
        raise ValueError(f"not an uncompressed P-256 point ({POINT_SIZE} bytes that begin with 04)")
