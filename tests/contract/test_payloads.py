"""What a notification is on each kind of device: good JSON whatever the words, and within the service's limit."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey.candidate import Decided
from clarion.journey.compose import Composer, Scene
from clarion.journey.payloads.written import merged
from clarion.model import Action, Audience, Category, DeviceKind, Json, Message, Notification, Permission, Reason
from clarion.ports import Ready, Recipient, Target
from contract.api_world import ApiWorld

KINDS = (DeviceKind.APNS, DeviceKind.FCM, DeviceKind.WEBPUSH)
RECEIPT = "r" * 64


def compose(
    message: Message, *kinds: DeviceKind, project: str = "Shop", name: str = "Ada"
) -> tuple[Decided, list[Ready]]:
    """Messages to one person with a device of each kind, whose first name is `name`."""
    notification = Notification(
        key=1, id="0" * 32, project=1, message=message, to=Audience(everyone=True), created_at=0
    )
    scene = Scene(
        project=1,
        project_facts={"id": "shop", "name": project},
        categories={"general": Category(name="general")},
        templates={},
        events={},
        receipts_for=lambda _project, _notification, _end: lambda _user, _device: RECEIPT,
        receipts_url="https://push.example/v1/receipts",
        now_text="",
    )
    targets = [Target(key, kind, Permission.GRANTED, None) for key, kind in enumerate(kinds, start=1)]
    attributes = msgspec.json.encode({"name": name})
    recipient = Recipient(1, "u", None, None, attributes, targets, {})
    decided = Decided(notification, recipient, Reason.SEND, None, "[]", targets)
    [final], ready = Composer(scene).compose([decided])
    return final, [one for _, one in ready]


def because(decided: Decided) -> str:
    return str(msgspec.json.decode(decided.gates.replace("[,", "["))[-1][-1])


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LEAF = st.none() | st.booleans() | st.integers(-9, 9) | TEXT


@given(
    title=TEXT,
    name=TEXT,
    data=st.dictionaries(TEXT, LEAF | st.lists(LEAF, max_size=3), max_size=4),
    collapse_key=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    action=TEXT,
    project=TEXT,
)
def test_whatever_the_words_they_arrive_as_they_are(
    title: str, name: str, data: Json, collapse_key: str | None, action: str, project: str
) -> None:
    plain = f"{title.replace('{', '(')}."  # something is to be seen of every title
    message = Message(
        title=plain,
        body="Hi {{ user.name }}",
        data=data,
        collapse_key=collapse_key,
        actions=[Action(id="a", title=action.replace("{", "(") or "x")],
    )
    _, [apns, fcm, web] = compose(message, *KINDS, project=project, name=name)
    id = [ready.id.hex() for ready in (apns, fcm, web)]
    apple, google, browser = (msgspec.json.decode(ready.payload) for ready in (apns, fcm, web))
    assert (
        apple["aps"]["alert"].get("title", "") == plain == browser["title"] == google["notification"].get("title", "")
    )
    assert {apple["aps"]["alert"]["body"], google["notification"]["body"], browser["body"]} == {f"Hi {name}"}
    assert [apple["clarion"]["id"], google["data"]["clarion.id"], browser["id"]] == id
    assert {apple["clarion"]["receipt"], google["data"]["clarion.receipt"], browser["receipt"]} == {RECEIPT}
    assert google["android"]["notification"]["tag"] == (collapse_key or id[1])
    assert browser["tag"] == (collapse_key or id[2])
    assert apple["clarion"].get("data", {}) == browser["data"] == data
    assert all(isinstance(value, str) for value in google["data"].values())


LIMITS: list[tuple[DeviceKind, Json, int]] = [
    (DeviceKind.APNS, {}, 4_096),
    (DeviceKind.APNS, {"apns": {"headers": {"apns-push-type": "voip"}}}, 5_120),
    (DeviceKind.WEBPUSH, {}, 3_993),
]


@pytest.mark.parametrize(("kind", "more", "limit"), LIMITS)
@pytest.mark.parametrize("letter", ["x", "ü", '"', "💶"])
def test_the_limit_is_counted_in_bytes(kind: DeviceKind, more: Json, limit: int, letter: str) -> None:
    def composed(length: int) -> tuple[Decided, list[Ready]]:
        return compose(Message(title="x", body=letter * length, **more), kind)

    size = len(msgspec.json.encode(letter)) - 2
    _, [shortest] = composed(1)
    most = 1 + (limit - len(shortest.payload)) // size
    _, [longest] = composed(most)
    assert limit - size < len(longest.payload) <= limit
    dropped, none = composed(most + 1)
    assert (dropped.reason, none) == (Reason.TOO_LARGE, [])
    fits = limit + (103 if kind is DeviceKind.WEBPUSH else 0)
    assert f"{fits} fit: shorten body ({(most + 1) * len(letter.encode())} bytes)" in because(dropped)


@pytest.mark.parametrize(("push_type", "aps"), [("background", {"content-available": 1}), ("voip", {}), ("mdm", {})])
def test_what_the_app_does_by_itself_has_no_alert_but_the_words(push_type: str, aps: Json) -> None:
    headers = {"apns-push-type": push_type}
    _, [ready] = compose(Message(title="Call", body="Ada", apns={"headers": headers}), DeviceKind.APNS)
    payload = msgspec.json.decode(ready.payload)
    assert payload["aps"] == aps
    assert (payload["clarion"]["title"], payload["clarion"]["body"]) == ("Call", "Ada")
    assert "headers" not in payload
    assert ready.headers == headers


@pytest.mark.parametrize(
    ("ours", "theirs", "whole"),
    [
        # The examples of RFC 7396, appendix A, that have objects on both sides.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_callers_part_is_merged(ours: Json, theirs: Json, whole: Json) -> None:
    assert merged(ours, theirs) == whole


# --- refused at the door ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "field", "words"),
    [
        ({"apns": {"aps": 1}}, "apns.aps", "object"),
        ({"apns": {"headers": "x"}}, "apns.headers", "object"),
        ({"apns": {"headers": {"apns-push-type": "news"}}}, "apns.headers.apns-push-type", "alert, background"),
        ({"apns": {"headers": {"apns-priority": 10}}}, "apns.headers.apns-priority", "as text"),
        ({"apns": {"headers": {"apns-id": "7"}}}, "apns.headers.apns-id", "not a header that can be chosen"),
        ({"apns": {"headers": {"apns-topic": 7}}}, "apns.headers.apns-topic", "text"),
        ({"fcm": {"android": []}}, "fcm.android", "object"),
        ({"fcm": {"notification": "x"}}, "fcm.notification", "object"),
        ({"fcm": {"data": {"n": 1}}}, "fcm.data.n", "text"),
        ({"fcm": {"data": {"from": "x"}}}, "fcm.data.from", "keeps for itself"),
        ({"fcm": {"token": "x"}}, "fcm.token", "leave it out"),
        ({"fcm": {"topic": "x"}}, "fcm.topic", "leave it out"),
    ],
)
async def test_what_the_service_would_refuse_for_everybody(api: ApiWorld, part: Any, field: str, words: str) -> None:
    refused = await api.server.post("/v1/notifications", {"to": {"users": ["u"]}, "title": "x", **part})
    assert refused.status == 400, refused
    assert words in refused.fields[field]
