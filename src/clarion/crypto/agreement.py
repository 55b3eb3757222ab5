"""The sender's half of an agreement on P-256: a key pair of its own for each message, and the secret it shares.

This is nearly all of what a Web Push message costs. `cryptography` copies each key into another form before it uses it
once, which is a quarter of that; so the four functions are called where they are, in the libcrypto that Python itself
speaks TLS with. Where that has none (a Python that hides its own, Windows), `cryptography` does it.
"""

import ctypes
import threading
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p
from functools import partial
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec

from clarion.crypto.p256 import (
    CURVE,
    ECDH,
    NOT_ON_THE_CURVE,
    POINT_SIZE,
    PRIVATE_SIZE,
    UNCOMPRESSED,
    check_form,
    load_public,
    point_of,
)

Agree: TypeAlias = Callable[[bytes], tuple[bytes, bytes]]
"""From a receiver's point to a new sender's point and the shared secret: 65 bytes to (65, 32).

Raises ValueError where the point is not one of the curve in its uncompressed form.
"""

_NID_P256 = 415


def agree_by_library(receiver: bytes) -> tuple[bytes, bytes]:
    """An `Agree` by `cryptography`."""
    theirs = load_public(receiver)
    own = ec.generate_private_key(CURVE)
    return point_of(own), own.exchange(ECDH, theirs)


def agree_under(private: ec.EllipticCurvePrivateKey, receiver: bytes) -> tuple[bytes, bytes]:
    """The same with a sender's key that is known, to reproduce an example."""
    return point_of(private), private.exchange(ECDH, load_public(receiver))


class Libcrypto:
    """Functions of OpenSSL's libcrypto (1.1.1 and later) on P-256.

    Raises OSError, ImportError or AttributeError where Python has none that can be called.
    """

    def __init__(self) -> None:
        # A handle finds what the library behind it was linked with, so this is the copy that Python uses already.
        # PyDLL keeps the interpreter's lock: these calls are short, and giving it away costs as much as some of them.
        self._library = ctypes.PyDLL(_extension())
        self.clear_errors: Any = self._function("ERR_clear_error", None)
        self.free_key: Any = self._function("EC_KEY_free", None, c_void_p)
        self.free_point: Any = self._function("EC_POINT_clear_free", None, c_void_p)
        self.free_scratch: Any = self._function("BN_CTX_free", None, c_void_p)
        self.new_key = self._made("EC_KEY_new_by_curve_name", c_int)
        self.new_point = self._made("EC_POINT_new", c_void_p)
        self.new_scratch = self._made("BN_CTX_new")
        self.group_of: Any = self._function("EC_KEY_get0_group", c_void_p, c_void_p)
        self.generate: Any = self._function("EC_KEY_generate_key", c_int, c_void_p)
        self.public_of: Any = self._function("EC_KEY_get0_public_key", c_void_p, c_void_p)
        self.read_point: Any = self._function(
            "EC_POINT_oct2point", c_int, c_void_p, c_void_p, c_char_p, c_size_t, c_void_p
        )
        self.write_point: Any = self._function(
            "EC_POINT_point2oct", c_size_t, c_void_p, c_void_p, c_int, c_char_p, c_size_t, c_void_p
        )
        self.shared_secret: Any = self._function(
            "ECDH_compute_key", c_int, c_char_p, c_size_t, c_void_p, c_void_p, POINTER(c_void_p)
        )

    def _function(self, name: str, result: type | None, *arguments: type) -> Any:
        function = getattr(self._library, name)
        function.restype, function.argtypes = result, arguments
        return function

    def _made(self, name: str, *arguments: type) -> Callable[..., int]:
        function = self._function(name, c_void_p, *arguments)

        def made(*values: object) -> int:
            pointer: int | None = function(*values)
            if pointer is None:
                raise MemoryError(f"libcrypto: {name} made nothing")
            return pointer

        return made


class _Room:
    """What one thread works in: a key, a point and numbers, used again for each message."""

    def __init__(self, library: Libcrypto) -> None:
        self._library = library
        self.key = c_void_p(library.new_key(_NID_P256))
        self.group = c_void_p(library.group_of(self.key))
        self.point = c_void_p(library.new_point(self.group))
        self.scratch = c_void_p(library.new_scratch())
        self.written = ctypes.create_string_buffer(POINT_SIZE)
        self.secret = ctypes.create_string_buffer(PRIVATE_SIZE)

    def __del__(self) -> None:
        self._library.free_point(self.point)
        self._library.free_scratch(self.scratch)
        self._library.free_key(self.key)


class _Rooms(threading.local):
    """A room for each thread: calls from two would write into one another's."""

    def __init__(self, library: Libcrypto) -> None:
        self.room = _Room(library)


def agree_by_libcrypto(library: Libcrypto) -> Agree:
    """An `Agree` by functions of libcrypto: three quarters of what `cryptography` takes."""
    return partial(_agree, library, _Rooms(library))


def _agree(library: Libcrypto, rooms: _Rooms, receiver: bytes) -> tuple[bytes, bytes]:
    check_form(receiver)
    room = rooms.room
    key, group, point, scratch = room.key, room.group, room.point, room.scratch
    if library.read_point(group, point, receiver, POINT_SIZE, scratch) != 1:
        # What went wrong is kept for the thread, where the next TLS call would take it for its own.
        library.clear_errors()
        raise ValueError(NOT_ON_THE_CURVE)
    if library.generate(key) != 1:
        library.clear_errors()
        raise OSError("libcrypto: no key could be made")
    written, secret = room.written, room.secret
    size = library.write_point(group, library.public_of(key), UNCOMPRESSED, written, POINT_SIZE, scratch)
    if size != POINT_SIZE or library.shared_secret(secret, PRIVATE_SIZE, point, key, None) != PRIVATE_SIZE:
        library.clear_errors()
        raise OSError("libcrypto: no secret could be agreed on")
    return written.raw, secret.raw


def _extension() -> str:
    """The file of Python's own module that is linked with libcrypto. Raises OSError where it is in no file."""
    import _hashlib  # noqa: PLC0415 - a Python without OpenSSL has none

    path: str | None = getattr(_hashlib, "__file__", None)
    if path is None:
        raise OSError("the interpreter holds its libcrypto in itself")
    return path


def quickest() -> Agree:
    """Whoever does it here in the least time, and does it right: what it says is compared with `cryptography` once."""
    try:
        agree = agree_by_libcrypto(Libcrypto())
        own = ec.generate_private_key(CURVE)
        theirs, secret = agree(point_of(own))
        if own.exchange(ECDH, load_public(theirs)) != secret:
            return agree_by_library
    except (OSError, ImportError, AttributeError, ValueError, MemoryError):
        return agree_by_library
    return agree


agree: Agree = quickest()
