"""Credentials as the API shows them: what tells one from another, and nothing secret."""

from clarion.api.answers.base import Answer, Listing
from clarion.api.credentials import shown
from clarion.api.fields import Told, told
from clarion.crypto.sealing import SealBroken, Sealer
from clarion.journey.catalog import credential_context
from clarion.model import Credential, DeviceKind, Json, Project


class CredentialAnswer(Answer, frozen=True, kw_only=True):
    """A credential without its secret; fields that its kind does not have are null.

    `fingerprint` is the SHA-256 of the public key. `readable` is false when it was sealed with a CLARION_SECRET_KEY
    that is not known any more: then it has to be uploaded again.
    """

    kind: DeviceKind
    name: str
    created_at: Told
    readable: bool
    rate: int | None
    auth: str | None = None
    key_id: str | None = None
    team_id: str | None = None
    bundle_id: str | None = None
    expires_at: Told | None = None
    project_id: str | None = None
    client_email: str | None = None
    private_key_id: str | None = None
    fingerprint: str | None = None
    current: bool | None = None

    @classmethod
    def of(cls, credential: Credential, project: Project, sealer: Sealer) -> "CredentialAnswer":
        """As the API shows it."""
        readable = True
        public: Json = {}
        try:
            secret = sealer.open(credential.sealed, credential_context(project.id, credential.kind, credential.name))
            public = (
                {"current": credential.name == project.vapid_public_key}
                if credential.kind is DeviceKind.WEBPUSH
                else shown(secret)
            )
        except SealBroken:
            readable = False
        return cls(
            kind=credential.kind,
            name=credential.name,
            created_at=told(credential.created_at),
            readable=readable,
            rate=credential.rate,
            **public,
        )


class CredentialList(Listing, frozen=True, kw_only=True):
    """Credentials by name."""

    items: list[CredentialAnswer]
