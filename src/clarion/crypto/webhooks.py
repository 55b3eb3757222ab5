"""Signatures of webhooks, by which a receiver knows that we called: https://www.standardwebhooks.com, version 1."""

import hmac
from base64 import b64encode
from collections.abc import Sequence

from clarion.crypto.derivation import derive_keys

PREFIX = "whsec_"


class WebhookSecrets:
    """A secret for each project, made from those of the installation; in a rotation the older ones sign as well."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._roots = derive_keys(secrets, "webhooks")

    def _keys(self, project_id: str) -> list[bytes]:
        return [hmac.digest(root, project_id.encode(), "sha256") for root in self._roots]

    def secret(self, project_id: str) -> str:
        """What the receiver keeps: `whsec_` and the key in base64."""
        return PREFIX + b64encode(self._keys(project_id)[0]).decode()

    def sign(self, project_id: str, id: str, seconds: int, body: bytes) -> str:
        """The header `webhook-signature` for a body that leaves at a time: one signature for each key."""
        signed = f"{id}.{seconds}.".encode() + body
        made = (hmac.digest(key, signed, "sha256") for key in self._keys(project_id))
        return " ".join(f"v1,{b64encode(each).decode()}" for each in made)
