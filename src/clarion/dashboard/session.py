"""Who is signed in: a cookie that names a server key, asked about at every request."""

from typing import NamedTuple

from clarion.crypto.sessions import SALT_SIZE, Session
from clarion.dashboard.recent import Recent
from clarion.dashboard.services import Services
from clarion.errors import Forbidden, Unauthenticated
from clarion.model import ApiKey, Project
from clarion.web.http import Request

PREFIX = "/dashboard"
SESSION_COOKIE = "clarion_session"
SALT_COOKIE = "clarion_sign_in"
FORM_FIELD = "form_token"
HOURS = 12
_HOUR_S = 3_600


class Visit(NamedTuple):
    """A request of somebody who is signed in."""

    services: Services
    recent: Recent
    request: Request
    project: Project
    key: ApiKey
    session: Session

    @property
    def form_token(self) -> str:
        """For the forms of the page that answers."""
        return self.services.sessions.form_token(self.session.salt)

    def demand(self, scope: str) -> None:
        """Raises Forbidden when the key lacks a scope."""
        if not self.key.may(scope):
            raise Forbidden(f"The key {self.key.name} lacks the scope {scope}.")


async def visit_of(services: Services, recent: Recent, request: Request) -> Visit | None:
    """Who asks; None: nobody who is signed in. A session ends with its time, its key or the key's scope `read`."""
    token = request.cookie(SESSION_COOKIE)
    session = services.sessions.read(token, services.clock.now()) if token else None
    if session is None:
        return None
    found = await services.catalog.by_key(session.project, session.key)
    if found is None or not found[1].may("read"):
        return None
    return Visit(services, recent, request, *found, session)


async def sign_in(services: Services, request: Request, text: str) -> tuple[str, str]:
    """The header that begins a session, for who holds the text of a server key.

    Raises:
        RateLimited: this address tried too often.
        Unauthenticated: no key, or none that may see the project.
    """
    if services.attempts is not None:
        services.attempts.take(("sign in", request.client))
    found = await services.catalog.by_key_text(text.strip())
    if found is None:
        raise Unauthenticated("This key is not known, or it was revoked.")
    project, key = found
    if key.kind != "server":
        raise Unauthenticated("This is a public key, for SDKs. Paste a server key: it begins with sk_.")
    if not key.may("read"):
        raise Unauthenticated("This key lacks the scope read, so it cannot see the project.")
    ends = services.clock.now() + HOURS * _HOUR_S * 1000
    session = Session(project.key, key.key, ends, services.chance.token(SALT_SIZE))
    return _cookie(services, request, SESSION_COOKIE, services.sessions.make(session), HOURS * _HOUR_S)


def sign_out(services: Services, request: Request) -> tuple[str, str]:
    """The header that lets the browser forget its session."""
    return _cookie(services, request, SESSION_COOKIE, "", 0)


def new_salt(services: Services, request: Request) -> tuple[bytes, tuple[str, str]]:
    """What ties the form for signing in to a browser of which nothing is known yet, and the header that keeps it."""
    salt = services.chance.token(SALT_SIZE)
    return salt, _cookie(services, request, SALT_COOKIE, services.sessions.salt_text(salt), _HOUR_S)


def check_form(services: Services, request: Request, token: str, salt: bytes | None) -> None:
    """Raises Forbidden when a form was not on a page of ours in this browser. Nothing was done then."""
    told = request.headers.get("sec-fetch-site", "same-origin")
    if told not in ("same-origin", "none") or salt is None or not services.sessions.is_form_token(token, salt):
        raise Forbidden("This form is not of this session. Load the page again, and send it once more.")


def salt_before(services: Services, request: Request) -> bytes | None:
    """The salt of a browser that is about to sign in."""
    text = request.cookie(SALT_COOKIE)
    return services.sessions.salt_of(text) if text else None


def _cookie(services: Services, request: Request, name: str, value: str, seconds: int) -> tuple[str, str]:
    secure = "; Secure" if services.is_secure or request.scheme == "https" else ""
    return "set-cookie", f"{name}={value}; Path={PREFIX}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def where_to(path: str) -> str:
    """A page of ours to go on to; the first one for anything else."""
    ours = path == PREFIX or path.startswith((f"{PREFIX}/", f"{PREFIX}?"))
    if not ours or any(not " " < letter < "\x7f" for letter in path):
        return PREFIX
    if path.startswith(f"{PREFIX}/sign"):
        return PREFIX
    return path
