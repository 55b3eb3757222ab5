"""Every error is a problem document, whatever was sent, and says nothing about us."""

import logging

import pytest

from clarion.api.problems import KINDS
from contract.api_world import ORIGIN, Api, ApiWorld, Reply

EVENT = {"user_id": "u1", "name": "seen"}
MIB = 1024 * 1024


def is_problem(reply: Reply, status: int, code: str) -> bool:
    document = reply.json
    assert reply.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"{ORIGIN}/errors/{code}"
    assert set(document) == {"type", "title", "status", "code", "detail", "errors"}
    assert all(set(error) == {"field", "message"} for error in document["errors"])
    return (reply.status, document["status"], document["code"]) == (status, status, code)


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/v1", "/v1/nope", "/v1/users", "/v1/users/a/b/c", "/sdk/", "/sdk/nope.js"]
)
async def test_there_is_nothing_at_an_unknown_path(api: ApiWorld, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        reply = await api.server.call(method, path)
        if path.startswith("/sdk/") and method != "GET":
            assert is_problem(reply, 405, "method_not_allowed")
        else:
            assert is_problem(reply, 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/users/u1", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "/v1/users/u1", "DELETE, GET, HEAD, PUT"),
        ("DELETE", "/v1/notifications", "GET, HEAD, POST"),
        ("GET", "/v1/devices", "POST"),
        ("TRACE", "/v1/project", "GET, HEAD, PUT"),
        ("PUT", "/v1/events", "POST"),
        ("GET", "/v1/receipts", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/sdk/clarion.js", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(api: ApiWorld, method: str, path: str, allow: str) -> None:
    reply = await api.server.call(method, path)
    assert is_problem(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/v1/events", "/v1/receipts", "/v1/notifications", "/v1/devices", "/v1/keys"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b'{"a":1}',
        b"\xff\xfe",
        b'{"a":"\xff"}',
        b"\x00",
        b'{"a":NaN}',
        b"{}x",
    ],
)
async def test_a_body_that_is_none_is_a_bad_request(api: ApiWorld, path: str, body: bytes) -> None:
    reply = await api.server.post(path, body=body)
    assert is_problem(reply, 400, "invalid_request") or (path == "/v1/keys" and body == b"{}")
    assert reply.json["errors"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/receipts", "/v1/notifications", "/v1/users/u1"])
async def test_only_json_is_read(api: ApiWorld, path: str) -> None:
    method = "PUT" if path.endswith("u1") else "POST"
    for headers in (
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
    ):
        reply = await api.server.call(method, path, body=b"{}", headers=headers)
        assert is_problem(reply, 415, "unsupported_media_type"), headers
    for kind in ("application/json; charset=utf-8", 'application/json;charset="UTF-8"', "application/merge-patch+json"):
        reply = await api.server.call(method, path, body=b"{}", headers={"Content-Type": kind})
        assert reply.status != 415, kind


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/devices", MIB), ("/v1/receipts", MIB), ("/v1/events", 8 * MIB), ("/v1/notifications", 16 * MIB)],
)
async def test_a_body_is_counted_while_it_comes(api: ApiWorld, path: str, limit: int) -> None:
    piece = b" " * (limit // 4)
    announced = await api.server.post(path, body=b"", headers={"Content-Length": str(limit + 1)})
    assert is_problem(announced, 413, "too_large")
    streamed = await api.server.post(path, body=[piece] * 5)
    assert is_problem(streamed, 413, "too_large")
    fits = await api.server.post(path, body=[piece] * 4)
    assert is_problem(fits, 400, "invalid_request")
    lying = await api.server.post(path, body=b"{}", headers={"Content-Length": "-5"})
    assert is_problem(lying, 400, "invalid_request")


async def test_a_body_in_pieces_is_put_together(api: ApiWorld) -> None:
    pieces = [b'{"user_id":', b'"u1",', b"", b'"name":"seen"}']
    assert (await api.server.post("/v1/events", body=list(pieces))).status == 202
    sent = await api.server.post("/v1/notifications", body=[b'{"to":{"users":["u1"]},', b'"title":"x"}'])
    assert sent.status == 202


async def test_who_hangs_up_gets_no_answer(api: ApiWorld) -> None:
    scope_sent: list = []

    async def receive() -> dict:
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        scope_sent.append(message)

    for path in ("/v1/events", "/v1/devices"):
        headers = [(b"authorization", api.server.headers["Authorization"].encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": None,
            "state": {},
        }
        await api.app(scope, receive, send)
    assert scope_sent == []


async def test_an_accident_says_nothing_about_us(api: ApiWorld, caplog: pytest.LogCaptureFixture) -> None:
    async def accident(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    api.world.pipeline.ingest = accident  # type: ignore[method-assign, assignment]
    api.world.pipeline.notify = accident  # type: ignore[method-assign, assignment]
    with caplog.at_level(logging.ERROR):
        for reply in (
            await api.server.post("/v1/events", EVENT),
            await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "x"}),
        ):
            assert is_problem(reply, 500, "internal")
            assert b"hunter2" not in reply.body
    assert "hunter2" in caplog.text  # the operator needs to know


async def test_each_type_answers_a_page(api: ApiWorld) -> None:
    for code, kind in KINDS.items():
        page = await api.anyone.get(f"/errors/{code}")
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/html")
        assert kind.title.encode() in page.body
    assert is_problem(await api.anyone.get("/errors/nope"), 404, "not_found")


async def test_answers_are_not_kept_or_guessed(api: ApiWorld) -> None:
    for reply in (
        await api.server.get("/v1/project"),
        await api.server.post("/v1/events", EVENT),
        await api.anyone.get("/x"),
    ):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_websocket_is_closed(api: ApiWorld) -> None:
    sent: list = []

    async def receive() -> dict:
        return {"type": "websocket.connect"}

    async def send(message: dict) -> None:
        sent.append(message)

    await Api(api.app).app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("topics/news", "there is no topic news"),
        ("automations/hello", "there is no automation hello"),
        ("templates/hello", "there is no template hello"),
        ("templates/hello?version=3", "there is no version 3 of the template hello"),
        ("users/nobody", "there is no user nobody"),
        ("notifications/none/results", "there is no notification none"),
    ],
)
async def test_what_is_not_there_is_named(api: ApiWorld, path: str, told: str) -> None:
    missing = await api.server.get(f"/v1/{path}")
    assert (missing.status, missing.json["detail"]) == (404, told)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/users/%FF", "path"),
        ("/v1/users/caf%E9", "path"),
        ("/v1/users/%ED%A0%80", "path"),
        ("/v1/users/a%2F%FF", "path"),
        ("/v1/users/%00", "path"),
        ("/v1/deliveries?user_id=%FF", "user_id"),
        ("/v1/deliveries?user_id=%00", "user_id"),
        ("/v1/deliveries?user_id=u1&user_id=u2", "user_id"),
    ],
)
async def test_a_url_that_is_no_text_means_nobody(api: ApiWorld, path: str, named: str) -> None:
    """Else all ids that are no UTF-8 would be one person, and of two only one would be looked for."""
    refused = await api.server.get(path)
    assert is_problem(refused, 400, "invalid_request")
    assert list(refused.fields) == [named]
    assert (await api.server.get("/v1/users/%F0%9F%98%80")).status == 404


async def test_what_a_mail_program_adds_to_a_link_is_not_read(api: ApiWorld) -> None:
    link = await api.anyone.get("/unsubscribe/nope?utm=%FC")
    assert is_problem(link, 404, "not_found")
