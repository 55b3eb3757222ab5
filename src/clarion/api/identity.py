"""Who is at the device: a person the project's server vouches for, an anonymous one of ours, or nobody yet."""

from typing import NamedTuple

from clarion.api.http import Scope, header
from clarion.config import Settings
from clarion.crypto.identity import (
    AnonymousTokens,
    IdentityError,
    check_identity_secret,
    load_identity_key,
    verify_user_token,
)
from clarion.crypto.sealing import SealBroken, Sealer
from clarion.errors import InvalidRequest, Unauthenticated, Unavailable
from clarion.journey.catalog import identity_context
from clarion.model import Project, User
from clarion.ports import Clock, Store

USER_HEADER = b"clarion-user"
ANONYMOUS_HEADER = b"clarion-anonymous"
SIGNED = "token"
_PEM = "-----BEGIN"
_JWT_DOTS = 2
_MAX_USER_ID = 255


class Person(NamedTuple):
    """Who the caller proved to be. `user` is there for anonymous ones, whom we made; a known one may not exist yet."""

    user_id: str
    user: User | None


def identity_key(project_key: int, text: str, sealer: Sealer) -> bytes:
    """What is stored of a project's identity secret: the PEM of a public key as it is, a shared secret sealed.

    Raises:
        InvalidRequest: neither a P-256 public key nor 32 bytes of secret.
    """
    try:
        if text.startswith(_PEM):
            load_identity_key(text)
            return text.encode()
        return sealer.seal(check_identity_secret(text.encode()), identity_context(project_key))
    except ValueError as error:
        raise InvalidRequest.field("identity_secret", str(error)) from None


class Identity:
    """Checks what callers say about who they are."""

    def __init__(
        self, settings: Settings, store: Store, anonymous: AnonymousTokens, sealer: Sealer, clock: Clock
    ) -> None:
        self._plain_everywhere = settings.allow_plain_users
        self._store = store
        self._anonymous = anonymous
        self._sealer = sealer
        self._clock = clock

    def plain_users(self, project: Project) -> bool:
        """Whether a plain user id is believed."""
        return self._plain_everywhere or project.settings.allow_plain_users

    async def person(self, project: Project, raw: bytes | None) -> Person | None:
        """Who `Clarion-User` proves the caller to be; None without it.

        A signed token counts first, then the secret of an anonymous user, then a plain id where it is allowed.

        Raises:
            Unauthenticated: the header is there and proves nothing.
        """
        if raw is None:
            return None
        told = _text(raw)
        if told.count(".") == _JWT_DOTS and told.startswith("ey"):
            return Person(_storable(self._vouched(project, told)), None)
        claim = self._anonymous.read(told)
        if claim is not None:
            user = await self._anonymous_user(project, claim.project, claim.user)
            if user is None:
                raise Unauthenticated("Clarion-User: this anonymous user is gone; it was merged at a login, or erased")
            return Person(user.user_id, user)
        if not self.plain_users(project):
            raise Unauthenticated(
                "Clarion-User: must be a signed user token; this project does not believe plain user ids"
            )
        return Person(_plain(told), None)

    async def left_behind(self, project: Project, raw: bytes | None) -> User | None:
        """The anonymous user of `Clarion-Anonymous` who has just logged in; None when merged before, or not told.

        Raises:
            Unauthenticated: not a token that we made for this project.
        """
        if raw is None:
            return None
        claim = self._anonymous.read(_text(raw))
        if claim is None or claim.project != project.key:
            raise Unauthenticated("Clarion-Anonymous: must be the user_token of an anonymous device")
        return await self._anonymous_user(project, claim.project, claim.user)

    async def known(self, project: Project, person: Person) -> User | None:
        """The stored user, if there is one."""
        return person.user or await self._store.users.get(project.key, person.user_id)

    async def _anonymous_user(self, project: Project, of_project: int, key: int) -> User | None:
        if of_project != project.key:
            return None
        user = await self._store.users.by_key(project.key, key)
        return user if user is not None and user.anonymous else None

    def _vouched(self, project: Project, token: str) -> str:
        if project.settings.identity != SIGNED or project.identity_key is None:
            raise Unauthenticated("Clarion-User: this project has no identity secret to check user tokens with")
        now = self._clock.now()
        try:
            if project.identity_key.startswith(_PEM.encode()):
                return verify_user_token(token, es256_public_pem=project.identity_key.decode(), now_ms=now)
            secret = self._sealer.open(project.identity_key, identity_context(project.key))
            return verify_user_token(token, hs256_secret=secret, now_ms=now)
        except IdentityError as error:
            raise Unauthenticated(f"Clarion-User: {error}") from None
        except SealBroken:
            raise Unavailable("the project's identity secret cannot be opened; set it again") from None


class Visitor:
    """The person behind one request of an SDK."""

    def __init__(self, identity: Identity, project: Project, scope: Scope) -> None:
        self._identity = identity
        self._project = project
        self._scope = scope

    async def person(self) -> Person | None:
        """Who calls, or None for nobody. Raises Unauthenticated."""
        return await self._identity.person(self._project, header(self._scope, USER_HEADER))

    async def named(self) -> Person:
        """As `person`, where nobody will not do. Raises Unauthenticated."""
        person = await self.person()
        if person is None:
            raise Unauthenticated("Clarion-User: say who you are; an anonymous device has a user_token of its own")
        return person

    async def left_behind(self) -> User | None:
        """The anonymous user that the caller was until now. Raises Unauthenticated."""
        return await self._identity.left_behind(self._project, header(self._scope, ANONYMOUS_HEADER))

    async def known(self, person: Person) -> User | None:
        """The stored user, if there is one."""
        return await self._identity.known(self._project, person)


def _plain(told: str) -> str:
    if not 0 < len(told) <= _MAX_USER_ID:
        raise InvalidRequest.field("Clarion-User", f"must be a user id of 1 to {_MAX_USER_ID} characters")
    return told


def _storable(user_id: str) -> str:
    """A signed subject is any JSON text; not every JSON text can be stored."""
    if "\0" in user_id or any("\ud800" <= character <= "\udfff" for character in user_id):
        raise Unauthenticated("Clarion-User: user token: sub must be text without U+0000 and lone surrogates")
    return user_id


def _text(raw: bytes) -> str:
    """Header bytes are UTF-8 from servers and Latin-1 from browsers."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if "\0" in text:
        raise InvalidRequest.field("Clarion-User", "must not contain the character U+0000")
    return text
