"""Who visits: a random user id that reads like a name, kept in the only cookie."""

import base64
import re

from clarion.ports import Chance
from clarion.web.http import Request

COOKIE = "visitor"
YEAR_S = 31_536_000

_MOODS = ("quiet", "early", "amber", "misty", "brave", "salty", "mossy", "sunny", "windy", "polar", "woolly", "merry")
_BEINGS = ("otter", "heron", "puffin", "badger", "lynx", "plover", "seal", "hare", "eider", "marten", "raven", "wren")
_NAME = re.compile(r"[a-z]+-[a-z]+-[a-z2-7]{8}")


def letters(chance: Chance) -> str:
    """Eight random characters, 40 bits, that can be read aloud."""
    return base64.b32encode(chance.token(5)).decode().lower()


def new_visitor(chance: Chance) -> str:
    """A user id such as `misty-otter-k7q2mzab`."""
    mood, being = chance.token(2)
    return f"{_MOODS[mood % len(_MOODS)]}-{_BEINGS[being % len(_BEINGS)]}-{letters(chance)}"


def known_visitor(request: Request) -> str | None:
    """The id in the visitor's cookie, if it is one of ours."""
    name = request.cookie(COOKIE)
    return name if name is not None and _NAME.fullmatch(name) else None


def remember(visitor: str, scheme: str) -> tuple[str, str]:
    """The header that keeps the id for a year."""
    secure = "; Secure" if scheme == "https" else ""
    return "set-cookie", f"{COOKIE}={visitor}; Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Lax{secure}"
