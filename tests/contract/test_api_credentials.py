"""Credentials: checked at the door, kept encrypted, never shown again."""

import base64
import datetime as dt
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair
from clarion.crypto.sealing import Sealer
from clarion.journey.catalog import Catalog, credential_context
from clarion.journey.resealing import reseal
from clarion.model import DeviceKind
from clarion.ports import BadCredentials, RetryAfter
from clarion.providers.apns import ApnsProvider
from clarion.testing import ManualClock, ScriptedProvider
from clarion.testing.simulators import ApnsSimulator
from clarion.transport.senders import Http2Senders
from contract.api_world import ApiWorld, Reply, subscription
from contract.support_credentials import apns_certificate, apns_token, ec_pem, pem, rsa_pem, service_account
from story.world import SECRET

BUNDLE = "com.example.app"
TOKEN = {
    "kind": "apns",
    "name": "team",
    "key_id": "KEY1234567",
    "team_id": "TEAM123456",
    "private_key": ec_pem(),
    "bundle_id": BUNDLE,
}


def certificate(
    bundle: str | None = BUNDLE, days: int = 365, now: ManualClock | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A push certificate by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services")]
    parts += [x509.NameAttribute(NameOID.USER_ID, bundle)] if bundle else []
    begun = dt.datetime.fromtimestamp((now or ManualClock()).now() / 1000 - 86_400 * 400, dt.UTC)
    builder = (
        x509.CertificateBuilder(x509.Name(parts), x509.Name(parts), key.public_key(), x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(begun + dt.timedelta(days=400 + days))
    )
    return builder.sign(key, hashes.SHA256()), key


def by_certificate(bundle: str | None = BUNDLE, days: int = 365, **more: Any) -> dict[str, Any]:
    made, key = certificate(bundle, days)
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    return {
        "kind": "apns", "name": "cert", "bundle_id": BUNDLE, "certificate": text, "private_key": pem(key), **more
    }  # fmt: skip


def packed(password: bytes | None) -> str:
    made, key = certificate()
    how: Any = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return base64.encodebytes(pkcs12.serialize_key_and_certificates(b"push", key, made, None, how)).decode()


def account(**changed: Any) -> dict[str, Any]:
    told = {"type": "service_account", "client_id": "1", **json.loads(service_account().sealed_form())}
    del told["form"]
    return {
        "kind": "fcm",
        "name": "google",
        "service_account": {name: value for name, value in (told | changed).items() if value is not None},
    }


async def unsealed(api: ApiWorld, kind: DeviceKind, name: str) -> bytes:
    world = api.world
    [row] = [row for row in await world.store.projects.credentials(world.project.key, kind) if row.name == name]
    return world.sealer.open(row.sealed, credential_context(world.project.id, kind, name))


def without_secrets(reply: Reply) -> Any:
    assert b"PRIVATE" not in reply.body
    return {name: value for name, value in reply.json.items() if value is not None and name != "fingerprint"}


# --- what is taken ---------------------------------------------------------------------------------------------------


async def test_a_signing_key_is_kept_encrypted_and_never_shown_again(api: ApiWorld) -> None:
    made = await api.server.post("/v1/credentials", TOKEN)
    assert made.status == 201, made
    shown = {
        "kind": "apns", "name": "team", "auth": "token", "key_id": "KEY1234567", "team_id": "TEAM123456",
        "bundle_id": BUNDLE, "readable": True, "created_at": made.json["created_at"],
    }  # fmt: skip
    assert without_secrets(made) == shown
    assert len(made.json["fingerprint"]) == 64
    read = await api.server.get("/v1/credentials/team")
    listed = await api.server.get("/v1/credentials")
    assert read.json == made.json
    assert made.json in listed.json["items"]
    assert b"PRIVATE" not in read.body + listed.body
    [row] = await api.world.store.projects.credentials(api.world.project.key, DeviceKind.APNS)
    assert b"PRIVATE" not in row.sealed
    assert TOKEN["private_key"] in json.loads(await unsealed(api, DeviceKind.APNS, "team"))["private_key"]


async def test_a_certificate_tells_its_end(api: ApiWorld) -> None:
    made = await api.server.post("/v1/credentials", by_certificate())
    assert made.status == 201, made
    assert (made.json["auth"], made.json["bundle_id"]) == ("certificate", BUNDLE)
    assert made.json["expires_at"].startswith("2028-01-15T")


@pytest.mark.parametrize("password", [None, "a password"])
async def test_a_certificate_may_come_as_apples_own_file(api: ApiWorld, password: str | None) -> None:
    body = {"kind": "apns", "name": "p12", "bundle_id": BUNDLE, "pkcs12": packed(password and password.encode())}
    made = await api.server.post("/v1/credentials", body | ({"password": password} if password else {}))
    assert (made.status, made.json.get("auth")) == (201, "certificate"), made


async def test_a_service_account_is_taken_as_google_gives_it(api: ApiWorld) -> None:
    made = await api.server.post("/v1/credentials", account())
    assert made.status == 201, made
    assert without_secrets(made).items() >= {"project_id": "shop", "private_key_id": "k1"}.items()


# --- what is refused, and with which words ---------------------------------------------------------------------------

P384 = pem(ec.generate_private_key(ec.SECP384R1()))
ENCRYPTED = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    .decode()
)


def less(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("no name", less(TOKEN, "name"), "name", "required"),
    ("no kind", less(TOKEN, "kind"), "kind", "required"),
    ("another kind", {**TOKEN, "kind": "sms"}, "kind", "apns"),
    ("no app", less(TOKEN, "bundle_id"), "bundle_id", "required"),
    ("no key", less(TOKEN, "private_key"), "private_key", "required"),
    ("no key id", less(TOKEN, "key_id"), "key_id", "required"),
    ("a wrong key id", {**TOKEN, "key_id": "key1234567"}, "key_id", "ten capital letters"),
    ("a wrong team id", {**TOKEN, "team_id": "TEAM"}, "team_id", "ten capital letters"),
    ("no PEM", {**TOKEN, "private_key": "MIGTAgEA"}, "private_key", "in PEM"),
    ("a broken PEM", {**TOKEN, "private_key": TOKEN["private_key"].replace("A", "B", 9)}, "private_key", "in PEM"),
    ("an RSA key", {**TOKEN, "private_key": rsa_pem()}, "private_key", "not RSA"),
    ("another curve", {**TOKEN, "private_key": P384}, "private_key", "P-256, not secp384r1"),
    ("an encrypted key", {**TOKEN, "private_key": ENCRYPTED}, "private_key", "without its password"),
    ("a password", {**TOKEN, "password": "x"}, "password", "does not go with a signing key"),
    ("both ways", by_certificate(key_id="KEY1234567"), "key_id", "does not go with a certificate"),
    ("an expired certificate", by_certificate(days=-1), "certificate", "expired on 2027-01-14"),
    ("another app's", by_certificate("com.example.other"), "bundle_id", "is for com.example.other"),
    ("no app's", by_certificate(None), "bundle_id", "for no app"),
    ("another's key", by_certificate(private_key=ec_pem()), "private_key", "key of this certificate"),
    ("no certificate", by_certificate(certificate="x"), "certificate", "in PEM"),
    ("no base64", {**TOKEN, "key_id": None, "team_id": None, "private_key": None, "pkcs12": "!"}, "pkcs12", "base64"),
    (
        "another password",
        {"kind": "apns", "name": "p", "bundle_id": BUNDLE, "pkcs12": packed(b"right"), "password": "wrong"},
        "pkcs12",
        "another password",
    ),
    ("no JSON file", {"kind": "fcm", "name": "g", "service_account": "x"}, "service_account", "object"),
    ("another file", account(type="authorized_user"), "service_account.type", "service_account"),
    ("no e-mail", account(client_email=None), "service_account.client_email", "missing"),
    ("no project", account(project_id=""), "service_account.project_id", "missing"),
    ("Google's key is RSA", account(private_key=ec_pem()), "service_account.private_key", "RSA"),
    ("no PEM of Google", account(private_key="x"), "service_account.private_key", "PEM"),
    ("plain http", account(token_uri="http://oauth2.googleapis.com/token"), "service_account.token_uri", "https://"),
    ("another host", account(token_uri="https://10.0.0.1/token"), "service_account.token_uri", "oauth2.googleapis.com"),
    ("no project's id", account(project_id="a/b"), "service_account.project_id", "id of a Google"),
    ("a Web Push key's name", {"kind": "webpush", "name": "mine"}, "name", "leave it out"),
    ("a short key", {"kind": "webpush", "private_key": "AAAA"}, "private_key", "32 bytes"),
    ("an RSA key for Web Push", {"kind": "webpush", "private_key": rsa_pem()}, "private_key", "P-256"),
]


@pytest.mark.parametrize(("body", "field", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_is_wrong_is_named(api: ApiWorld, body: dict[str, Any], field: str, words: str) -> None:
    refused = await api.server.post("/v1/credentials", body)
    assert refused.status == 400, refused
    assert words in refused.fields[field]
    assert b"PRIVATE KEY-----\\n" not in refused.body
    assert await api.world.store.projects.credentials(api.world.project.key, DeviceKind.APNS) == []


async def test_a_name_is_taken_once_and_put_replaces(api: ApiWorld) -> None:
    first = (await api.server.post("/v1/credentials", TOKEN)).json
    assert (await api.server.post("/v1/credentials", account(name=None) | {"name": "team"})).status == 409
    other = {**TOKEN, "private_key": pem(ec.generate_private_key(ec.SECP256R1()))}
    replaced = await api.server.put("/v1/credentials/team", less(other, "name"))
    assert replaced.status == 200, replaced
    assert replaced.json["fingerprint"] != first["fingerprint"]
    assert replaced.json["created_at"] == first["created_at"]
    assert (await api.server.put("/v1/credentials/team", account())).fields.keys() == {"kind"}
    assert (await api.server.put("/v1/credentials/team", {**TOKEN, "name": "x"})).fields.keys() == {"name"}
    assert (await api.server.put("/v1/credentials/nobody", TOKEN)).status == 404


async def test_a_deleted_credential_is_gone(api: ApiWorld) -> None:
    await api.server.post("/v1/credentials", TOKEN)
    assert (await api.server.delete("/v1/credentials/team")).status == 204
    assert (await api.server.get("/v1/credentials/team")).status == 404
    assert (await api.server.delete("/v1/credentials/team")).status == 404


async def test_they_are_listed_in_pages(api: ApiWorld) -> None:
    for name in ("a", "b", "c"):
        await api.server.post("/v1/credentials", {**TOKEN, "name": name})
    names, cursor = [], ""
    while cursor is not None:
        page = (await api.server.get(f"/v1/credentials?limit=3{cursor and f'&cursor={cursor}'}")).json
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert names == sorted(["a", "b", "c", api.world.project.vapid_public_key])


async def test_only_an_admin_may(api: ApiWorld) -> None:
    small = await api.key(scopes=["read", "send", "write"])
    for method, path, body in (
        ("GET", "/v1/credentials", None),
        ("POST", "/v1/credentials", TOKEN),
        ("GET", "/v1/credentials/x", None),
        ("PUT", "/v1/credentials/x", TOKEN),
        ("DELETE", "/v1/credentials/x", None),
    ):
        assert (await small.call(method, path, body)).status == 403


# --- asking the service ----------------------------------------------------------------------------------------------


@pytest.fixture
async def apns(api: ApiWorld, clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now, environment="sandbox", devices={}) as simulator:
        senders = Http2Senders(authority=simulator.ca_file)
        hosts = dict.fromkeys(("production", "sandbox"), simulator.url)
        api.world.providers[DeviceKind.APNS] = ApnsProvider(senders, hosts=hosts)
        yield simulator
        await senders.close()


def body_of(apns: ApnsSimulator, **changed: Any) -> dict[str, Any]:
    told = json.loads(apns_token(apns).sealed_form())
    del told["form"]
    return {"kind": "apns", "name": "real", "check": True, **told, **changed}


async def test_a_key_that_apple_knows_passes_a_check_and_nothing_is_shown(api: ApiWorld, apns: ApnsSimulator) -> None:
    made = await api.server.post("/v1/credentials", body_of(apns))
    assert made.status == 201, made
    assert apns.answers == {"400 BadDeviceToken": 1}
    assert apns.shown.accepted == 0


async def test_a_certificate_passes_too(api: ApiWorld, apns: ApnsSimulator) -> None:
    told = json.loads(apns_certificate(apns, BUNDLE, "sandbox").sealed_form())
    del told["form"]
    made = await api.server.post("/v1/credentials", {"kind": "apns", "name": "c", "check": True, **told})
    assert made.status == 201, made


async def test_a_key_that_apple_does_not_know_is_not_kept(api: ApiWorld, apns: ApnsSimulator) -> None:
    refused = await api.server.post("/v1/credentials", body_of(apns, private_key=ec_pem()))
    assert refused.fields == {"check": "the service does not take it: 403 InvalidProviderToken"}
    assert (await api.server.get("/v1/credentials/real")).status == 404


async def test_a_service_that_cannot_be_asked(api: ApiWorld) -> None:
    provider = api.world.providers[DeviceKind.APNS] = ScriptedProvider(DeviceKind.APNS)
    provider.taken = RetryAfter(detail="not reached")
    refused = await api.server.post("/v1/credentials", {**TOKEN, "check": True})
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    provider.taken = BadCredentials("no")
    assert (await api.server.post("/v1/credentials", TOKEN)).status == 201


# --- Web Push keys ---------------------------------------------------------------------------------------------------


async def config(api: ApiWorld) -> str:
    return str((await api.browser.get("/v1/sdk/config")).json["vapid_public_key"])


async def test_a_new_web_push_key_is_for_new_subscriptions_and_the_old_one_goes_on(api: ApiWorld) -> None:
    old = await config(api)
    await api.subscribe("early")
    made = await api.server.post("/v1/credentials", {"kind": "webpush"})
    new = made.json["name"]
    assert (made.status, made.json["current"]) == (201, True)
    assert await config(api) == new != old
    await api.subscribe("late")
    await api.server.post("/v1/notifications", {"to": {"users": ["early", "late"]}, "title": "Hello"})
    await api.world.work()
    keys = [json.loads(one.address.details)["vapid_public_key"] for one in api.world.browser.sent]
    assert keys == [old, new]
    assert api.world.browser.calls[-1].secrets.keys() == {old, new}


async def test_the_key_that_is_in_use_is_not_deleted(api: ApiWorld) -> None:
    old = await config(api)
    assert (await api.server.delete(f"/v1/credentials/{old}")).status == 409
    await api.server.post("/v1/credentials", {"kind": "webpush"})
    assert (await api.server.delete(f"/v1/credentials/{old}")).status == 204
    refused = await api.server.post("/v1/devices", {"user_id": "u", "vapid_public_key": old, **subscription()})
    assert refused.fields.keys() == {"vapid_public_key"}


@pytest.mark.parametrize("form", ["raw", "PEM"])
async def test_a_key_is_brought_along_and_made_current_later(api: ApiWorld, form: str) -> None:
    old = await config(api)
    key = ec.generate_private_key(ec.SECP256R1())
    raw = key.private_numbers().private_value.to_bytes(32, "big")
    text = base64url.encode(raw) if form == "raw" else pem(key)
    made = await api.server.post("/v1/credentials", {"kind": "webpush", "private_key": text, "current": False})
    name = KeyPair.of(raw).public_text
    assert (made.json["name"], made.json["current"], await config(api)) == (name, False, old)
    assert await unsealed(api, DeviceKind.WEBPUSH, name) == raw
    other = base64url.encode(KeyPair.generate().private)
    refused = await api.server.put(f"/v1/credentials/{name}", {"kind": "webpush", "private_key": other})
    assert refused.fields.keys() == {"private_key"}
    assert (await api.server.put(f"/v1/credentials/{name}", {"kind": "webpush"})).json["current"]
    assert await config(api) == name


# --- a new secret key ------------------------------------------------------------------------------------------------


async def test_after_resealing_the_old_secret_key_can_go(api: ApiWorld) -> None:
    world, newer = api.world, b"another secret of 32 characters and more"
    await api.server.post("/v1/credentials", TOKEN)
    await api.server.put("/v1/project", {"identity_secret": "x" * 40})
    done = await reseal(world.store, Sealer([newer, SECRET]))
    assert (done.sealed, done.lost) == (3, [])  # with the Web Push key
    catalog = Catalog(world.store, Sealer([newer]), world.clock, world.bus)
    for kind in (DeviceKind.APNS, DeviceKind.WEBPUSH):
        assert len(await catalog.secrets(world.project, kind)) == 1
    read = await api.server.get("/v1/credentials/team")  # by who only knows the old one
    assert (read.status, read.json["readable"]) == (200, False)
    lost = await reseal(world.store, Sealer([SECRET]))
    assert lost.sealed == 0
    assert sorted(lost.lost) == sorted(
        [
            f"{world.project.id}: apns team",
            f"{world.project.id}: webpush {world.project.vapid_public_key}",
            f"{world.project.id}: identity secret",
        ]
    )
