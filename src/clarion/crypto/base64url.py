"""Bytes as text that fits in a URL or a header: base64url without padding (RFC 4648 §5), one form out, several in."""

from binascii import a2b_base64, b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> str:
    """Base64url text without padding."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Bytes of base64url or standard base64, padded or not: other people's software sends all of them.

    Raises ValueError for any other character, white space included.
    """
    # As bytes, whose translate is one pass over a table: that of text costs ten times as much.
    bare = text.rstrip("=").encode("ascii").translate(_FROM_URL)
    return a2b_base64(bare + b"=" * (-len(bare) % 4), strict_mode=True)


def decode_exact(text: str) -> bytes:
    """Bytes of exactly the text that `encode` makes, so that a token of ours has one spelling only.

    Raises ValueError for everything else: padding, the standard alphabet, stray bits in the last character.
    """
    data = decode(text)
    if encode(data) != text:
        raise ValueError("not canonical base64url without padding")
    return data
