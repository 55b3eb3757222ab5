"""Users, devices and consents through the API."""

import msgspec
import pytest

from clarion.config import Settings
from clarion.model import CategoryClass
from contract.api_world import ORIGIN, ApiWorld, subscription


async def test_a_user_is_created_then_changed_field_by_field(api: ApiWorld) -> None:
    body = {
        "attributes": {"plan": "gold", "age": 7},
        "locale": "de-AT",
        "timezone": "Europe/Vienna",
        "phone": "+4366012345",
    }
    made = await api.server.put("/v1/users/u1", body)
    assert made.status == 201

    changed = await api.server.put("/v1/users/u1", {"attributes": {"age": None, "city": "Graz"}, "phone": None})
    assert changed.status == 200
    read = await api.server.get("/v1/users/u1")
    assert read.json == changed.json
    assert read.json["attributes"] == {"plan": "gold", "city": "Graz"}
    assert read.json["phone"] is None
    assert read.json["locale"] == "de-AT"
    assert read.json["timezone"] == "Europe/Vienna"
    assert read.json["created_at"] == "2027-01-15T08:00:00.000Z"


async def test_null_attributes_equal_none_given(api: ApiWorld) -> None:
    await api.server.put("/v1/users/u1", {"attributes": {"plan": "gold"}})
    changed = await api.server.put("/v1/users/u1", {"attributes": None})
    assert changed.json["attributes"] == {"plan": "gold"}


@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone", "Europe/Berlin"),
        ({"timezone": "../../etc/passwd"}, "timezone", "Europe/Berlin"),
        ({"locale": "not a locale"}, "locale", "BCP 47"),
        ({"email": "nobody"}, "email", "ada@example.org"),
        ({"phone": "0660 123"}, "phone", "E.164"),
        ({"attributes": []}, "attributes", "object"),
        ({"atributes": {}}, "atributes", "did you mean attributes?"),
        ({"attributes": {"a": {"b": "x\0y"}}}, "attributes.a.b", "U+0000"),
        ({"attributes": {"a\0": 1}}, "attributes (a name)", "U+0000"),
    ],
)
async def test_a_wrong_field_of_a_user_is_named(api: ApiWorld, body: dict, field: str, word: str) -> None:
    refused = await api.server.put("/v1/users/u1", body)
    assert refused.status == 400
    assert word in refused.fields[field]
    assert (await api.server.get("/v1/users/u1")).status == 404


async def test_json_that_is_nested_without_end_is_refused(api: ApiWorld) -> None:
    deep = b'{"attributes":{"deep":' + b"[" * 40 + b"]" * 40 + b"}}"
    refused = await api.server.put("/v1/users/u1", body=deep)
    assert "32 levels" in next(iter(refused.fields.values()))
    bottomless = b'{"attributes":{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    assert (await api.server.put("/v1/users/u1", body=bottomless)).status == 400


@pytest.mark.parametrize("user_id", ["a/b", "auth0|42", "ada@example.org", "%", "ü", " ", "a%2Fb", "..."])
async def test_any_id_of_the_callers_own_works_in_a_path(api: ApiWorld, user_id: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in user_id.encode())
    assert (await api.server.put(f"/v1/users/{quoted}", {})).json["user_id"] == user_id
    assert (await api.server.get(f"/v1/users/{quoted}/devices")).json == {"items": [], "next_cursor": None}


async def test_ids_that_nothing_can_store_are_refused(api: ApiWorld) -> None:
    assert (await api.server.put("/v1/users/a%00b", {})).status == 400
    long = await api.server.put(f"/v1/users/{'x' * 256}", {})
    assert long.fields["user_id"] == "must be text of at most 255 characters"


async def test_an_erased_user_leaves_nothing(api: ApiWorld) -> None:
    device = await api.subscribe("u1")
    await api.server.put("/v1/users/u1/consent", {"category": "general", "granted": False, "source": "form"})
    assert (await api.server.delete("/v1/users/u1")).status == 204
    assert (await api.server.get("/v1/users/u1")).status == 404
    assert (await api.server.get("/v1/users/u1/consent")).status == 404
    assert (await api.server.delete(f"/v1/devices/{device['id']}")).status == 404
    assert (await api.server.delete("/v1/users/u1")).status == 404


async def test_a_device_is_registered_and_known_again(api: ApiWorld) -> None:
    body = {"user_id": "u1", **subscription(), "installation": "browser-1", "locale": "en", "timezone": "Europe/London"}
    first = await api.server.post("/v1/devices", body)
    assert first.status == 201
    assert len(first.json["id"]) == 32
    assert first.json["vapid_public_key"] == api.world.project.vapid_public_key
    assert (first.json["permission"], first.json["state"], first.json["locale"]) == ("granted", "active", "en")
    assert "auth" not in first.json

    again = await api.server.post("/v1/devices", {**body, "address": "https://updates.example.com/rotated"})
    assert again.status == 200
    assert again.json["id"] == first.json["id"]
    listed = await api.server.get("/v1/users/u1/devices")
    assert [one["address"] for one in listed.json["items"]] == ["https://updates.example.com/rotated"]
    assert (await api.server.delete(f"/v1/devices/{first.json['id']}")).status == 204
    assert (await api.server.get("/v1/users/u1/devices")).json["items"] == []


async def test_every_kind_of_device_has_its_fields(api: ApiWorld) -> None:
    apns = {"kind": "apns", "address": "ab" * 32, "environment": "sandbox", "bundle_id": "example.shop"}
    fcm = {"kind": "fcm", "address": "token", "address_kind": "fid"}
    email = {"kind": "email", "address": "ada@example.org"}
    sms = {"kind": "sms", "address": "+4366012345"}
    for body in (apns, fcm, email, sms):
        made = await api.server.post("/v1/devices", {"user_id": "u1", **body})
        assert made.status == 201, made
        assert body.items() <= made.json.items()


async def test_keys_in_another_spelling_are_stored_in_ours(api: ApiWorld) -> None:
    told = subscription()
    padded = told["p256dh"].replace("-", "+").replace("_", "/") + "="
    made = await api.server.post("/v1/devices", {"user_id": "u1", **told, "p256dh": padded})
    assert made.json["p256dh"] == told["p256dh"]


async def test_a_device_whose_person_said_no_needs_no_address(api: ApiWorld) -> None:
    body = {"user_id": "u1", "kind": "webpush", "permission": "denied", "installation": "browser-1"}
    made = await api.server.post("/v1/devices", body)
    assert (made.status, made.json["address"]) == (201, None)
    granted = await api.server.post("/v1/devices", {**body, "permission": "granted"})
    assert "address" in granted.fields


WRONG_DEVICES = [
    ({"user_id": None}, "user_id", "required"),
    ({"kind": "pager"}, "kind", "must be one of apns, email, fcm, sms, webpush"),
    ({"kind": "apns", "address": "ab" * 32}, "p256dh", "not a field"),
    ({"p256dh": "AAAA"}, "p256dh", "65 bytes"),
    ({"p256dh": "!"}, "p256dh", "base64url"),
    ({"p256dh": None}, "p256dh", "required"),
    ({"auth": "AAAA"}, "auth", "16 bytes"),
    ({"auth": None}, "auth", "required"),
    ({"vapid_public_key": "AAAA"}, "vapid_public_key", "GET /v1/sdk/config"),
    ({"address": None}, "address", "needed while permission is granted"),
    ({"address": "ftp://example.com/"}, "address", "http"),
    ({"address": "http://example.com/"}, "address", "https://"),
    ({"address": "https://user:secret@example.com/"}, "address", "user name"),
    ({"address": "https://127.0.0.1/"}, "address", "private"),
    ({"address": "https://[::1]/"}, "address", "private"),
    ({"address": "https://[::ffff:10.0.0.1]/"}, "address", "private"),
    ({"address": "https://10.1.2.3/"}, "address", "private"),
    ({"address": "https://169.254.169.254/latest"}, "address", "private"),
    ({"address": "https://localhost/"}, "address", "private"),
    ({"address": "https://localhost./"}, "address", "private"),
    ({"address": "https://127.0.0.1./"}, "address", "private"),
    ({"address": "https://example.com:99999/"}, "address", "port"),
    ({"address": "https:///nothing"}, "address", "host"),
    ({"address": "https://example.com/ü"}, "address", "ASCII"),
    ({"address": "https://example.com/\n"}, "address", "http"),
    ({"permission": "maybe"}, "permission", "must be one of default, denied, granted, provisional"),
    ({"timezone": "Mars/Olympus"}, "timezone", "IANA"),
    ({"timezone": "localtime"}, "timezone", "IANA"),
    ({"locale": 5}, "locale", "must be text"),
]


@pytest.mark.parametrize(("change", "field", "word"), WRONG_DEVICES)
async def test_a_wrong_field_of_a_device_is_named(api: ApiWorld, change: dict, field: str, word: str) -> None:
    refused = await api.server.post("/v1/devices", {"user_id": "u1", **subscription(), **change})
    assert refused.status == 400, refused
    assert word in refused.fields[field]


async def test_a_vapid_key_must_be_one_of_the_projects_own(api: ApiWorld) -> None:
    strange = subscription()["p256dh"]
    refused = await api.server.post("/v1/devices", {"user_id": "u1", **subscription(), "vapid_public_key": strange})
    assert "key of this project" in refused.fields["vapid_public_key"]


async def test_private_endpoints_are_for_those_who_allow_them_and_our_own_always(api: ApiWorld) -> None:
    ours = await api.server.post("/v1/devices", {"user_id": "u1", **subscription(), "address": f"{ORIGIN}/wpush/v1/x"})
    assert ours.status == 201
    private = {"user_id": "u1", **subscription(), "address": "http://127.0.0.1:8700/wpush/v1/x"}
    assert (await api.server.post("/v1/devices", private)).status == 400
    lenient = ApiWorld(api.world, Settings(public_url=ORIGIN, allow_private_endpoints=True))
    assert (await lenient.server.post("/v1/devices", private)).status == 201


async def test_consent_is_a_ledger(api: ApiWorld) -> None:
    await api.world.define(
        "categories", name="offers", **{"class": CategoryClass.MARKETING, "channels": ["push", "email"]}
    )
    yes = {"category": "offers", "channel": "push", "granted": True, "source": "form", "wording": "Send me offers"}
    assert (await api.server.put("/v1/users/u1/consent", yes)).status == 200
    api.world.clock.advance(seconds=1)
    answer = await api.server.put("/v1/users/u1/consent", {"category": "offers", "granted": False, "source": "mail"})

    assert answer.json == (await api.server.get("/v1/users/u1/consent")).json
    assert answer.json["current"] == [
        {"category": "offers", "channel": "push", "granted": False},
        {"category": "offers", "channel": "email", "granted": False},
    ]
    assert [(line["channel"], line["granted"], line["wording"]) for line in answer.json["ledger"]] == [
        ("push", True, "Send me offers"),
        ("push", False, None),
        ("email", False, None),
    ]


async def test_consent_names_what_does_not_exist(api: ApiWorld) -> None:
    unknown = await api.server.put("/v1/users/u1/consent", {"category": "nope", "granted": True, "source": "form"})
    assert "no category nope" in unknown.fields["category"]
    missing = await api.server.put("/v1/users/u1/consent", {"category": "general", "granted": "yes", "source": "form"})
    assert missing.fields["granted"] == "must be true or false, got text"


async def test_the_export_holds_everything_and_the_story_tells_it(api: ApiWorld) -> None:
    device = await api.subscribe("u1")
    await api.server.put("/v1/users/u1/consent", {"category": "general", "granted": True, "source": "form"})
    await api.server.post("/v1/events", {"user_id": "u1", "name": "ordered", "properties": {"id": 7}, "id": "e1"})
    sent = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hello"})
    await api.world.work()
    token = msgspec.json.decode(api.world.browser.sent[0].ready.payload)["receipt"]
    await api.anyone.post("/v1/receipts", {"receipt": token, "kind": "clicked", "action": "track"})

    export = (await api.server.get("/v1/users/u1/export")).json
    assert export["user"]["user_id"] == "u1"
    assert [one["id"] for one in export["devices"]] == [device["id"]]
    assert {line["category"] for line in export["consents"]} == {"general"}
    assert export["events"] == [
        {"name": "ordered", "properties": {"id": 7}, "occurred_at": "2027-01-15T08:00:00.000Z", "id": "e1"}
    ]
    assert [one["notification_id"] for one in export["decisions"]] == [sent.json["id"]]
    assert [one["state"] for one in export["deliveries"]] == ["clicked"]
    [receipt] = export["receipts"]
    assert (receipt["notification_id"], receipt["device_id"], receipt["action"]) == (
        sent.json["id"],
        device["id"],
        "track",
    )

    story = (await api.server.get(f"/v1/users/u1/story?notification_id={sent.json['id']}")).json
    assert story["user_id"] == "u1"
    stages = [chapter["stage"] for chapter in story["chapters"]]
    assert {"permission", "registration", "trigger", "decide", "deliver", "learn"} <= set(stages)
    assert (await api.server.get("/v1/users/u1/story?notification_id=nope")).status == 404
    assert (await api.server.get("/v1/users/u2/story")).status == 404
