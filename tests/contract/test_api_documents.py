"""The documents, the SDK's files, health and metrics: what is told about the API is true."""

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest
from litestar.routes import HTTPRoute

from clarion.api.examples import BODIES
from clarion.api.http import App
from clarion.api.routes import framework
from clarion.api.sdk_files import folder
from clarion.errors import Unavailable
from clarion.testing import ManualClock
from contract.api_world import Api, ApiWorld, subscription

DOCUMENTED_ELSEWHERE = {"/openapi.json", "/docs", "/errors/{code}"}


async def openapi(api: ApiWorld) -> dict[str, Any]:
    answer = await api.anyone.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json


async def test_every_route_is_in_the_document(api: ApiWorld) -> None:
    told = {(path, method.upper()) for path, item in (await openapi(api))["paths"].items() for method in item}
    real = {
        (route.path_format, method)
        for route in framework().routes
        if isinstance(route, HTTPRoute) and route.path_format not in DOCUMENTED_ELSEWHERE
        for method in route.methods
        if method != "OPTIONS"
    }
    assert told == real | {("/v1/events", "POST"), ("/v1/sdk/events", "POST"), ("/v1/receipts", "POST")}


async def test_every_reference_leads_somewhere(api: ApiWorld) -> None:
    document = await openapi(api)
    text = msgspec.json.encode(document).decode()
    for kind, name in set(re.findall(r"#/components/(\w+)/([\w.-]+)", text)):
        assert name in document["components"][kind]
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"serverKey", "publicKey"}


async def test_every_operation_tells_its_key_its_errors_and_itself(api: ApiWorld) -> None:
    seen = set()
    for path, item in (await openapi(api))["paths"].items():
        for operation in item.values():
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert operation["summary"].endswith((".", ")"))
            assert {"400", "500"} <= set(operation["responses"])
            keyless = path in ("/v1/receipts", "/unsubscribe/{token}", "/preferences/{token}", "/healthz", "/metrics")
            assert bool(operation["security"]) is not keyless
            assert ("401" in operation["responses"]) is not keyless


async def test_every_good_answer_has_one_exact_shape(api: ApiWorld) -> None:
    shapes = {}
    for item in (await openapi(api))["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values() if status != "204" else ():
                    shapes[operation["operationId"], status] = content["schema"]
    assert shapes["notify", "200"]["$ref"].endswith("/DryRunAnswer")
    assert shapes["notify", "202"]["$ref"].endswith("/Created")
    assert all("$ref" in shape or shape == {"type": "string"} for shape in shapes.values()), shapes


async def test_every_list_says_whether_there_is_more(api: ApiWorld) -> None:
    shapes = (await openapi(api))["components"]["schemas"]
    lists = {name: shape for name, shape in shapes.items() if "items" in shape.get("properties", {})}
    assert [name for name, shape in lists.items() if "next_cursor" not in shape["properties"]] == []


async def test_unknown_fields_are_refused_in_the_document_too(api: ApiWorld) -> None:
    schemas = (await openapi(api))["components"]["schemas"]
    for name in ("UserPut", "NotificationBody", "EventBody", "EventBatch", "WebPushDevice", "KeyPost"):
        assert schemas[name]["additionalProperties"] is False
    assert schemas["NotificationBody"]["properties"]["ttl"]["anyOf"][0]["maximum"] == 2_592_000


async def test_every_example_works(api: ApiWorld) -> None:
    await api.server.put("/v1/project", {"allow_plain_users": True})
    key = (await api.server.post("/v1/keys", {})).json["id"]
    await api.world.define("templates", name="t", default_locale="en", locales={"en": {"title": "x"}})
    sent = (await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "x"})).json["id"]
    await api.world.define("segments", name="vip")
    await api.world.define("automations", name="trial", on={"api": True}, steps=[{"type": "exit"}])
    document = await openapi(api)
    names = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "requestBody" not in operation:
                continue
            name = operation["operationId"]
            names.add(name)
            body = operation["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]
            if name == "take_receipts":
                continue  # its token is signed
            caller = api.browser.with_headers(Clarion_User="u1") if "/sdk/" in path else api.server
            made = {
                "categories": "orders",
                "templates": "shipped",
                "automations": "trial" if path.split("/")[4:] else "order%20shipped",
                "campaigns": "spring",
                "partials": "footer",
                "segments": "vip" if path.split("/")[4:] else "carts",
                "topics": "sport%2Ffootball",
                "credentials": api.world.project.vapid_public_key,
            }
            real = (
                path.replace("{user_id}", "u1")
                .replace("{key_id}", key)
                .replace("{notification_id}", sent)
                .replace("{name}", made.get(path.split("/")[2], ""))
            )
            answer = await caller.call(method.upper(), real, body)
            assert answer.status in (200, 201, 202), (name, answer)
    assert names == set(BODIES)


async def test_the_docs_are_a_page_without_scripts(api: ApiWorld) -> None:
    page = await api.anyone.get("/docs")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert b"<script" not in page.body
    assert not re.search(rb"(src|href)=\"https?://", page.body)
    for path in (await openapi(api))["paths"]:
        assert path in html.unescape(page.body.decode())


# --- health and metrics ----------------------------------------------------------------------------------------------


async def test_health_says_what_is_missing(api: ApiWorld) -> None:
    assert (await api.anyone.get("/healthz")).json == {"status": "ok"}

    async def ping() -> None:
        raise Unavailable("the database is read-only", why="by order of postgresql://user:hunter2@db")

    async def secretive() -> None:
        raise OSError("cannot reach postgresql://user:hunter2@db")

    sick = ApiWorld(api.world, checks={"workers": ping, "bus": secretive})
    answer = await sick.anyone.get("/healthz")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert answer.fields == {"workers": "the database is read-only", "bus": "does not work"}
    assert "retry-after" in answer.headers
    assert b"hunter2" not in answer.body


async def test_health_is_asked_at_most_once_a_second(api: ApiWorld, clock: ManualClock) -> None:
    missing = True

    async def ping() -> None:
        if missing:
            raise Unavailable("the database is read-only")

    api.world.store.ping = ping  # type: ignore[method-assign]
    sick = ApiWorld(api.world)
    assert "store" in (await sick.anyone.get("/healthz")).fields
    missing = False
    assert (await sick.anyone.get("/healthz")).status == 503
    clock.advance(seconds=1)
    assert (await sick.anyone.get("/healthz")).status == 200


async def test_metrics_are_prometheus_text(api: ApiWorld, clock: ManualClock) -> None:
    await api.server.post("/v1/events", {"user_id": "u1", "name": "seen"})
    await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "x"})
    await api.server.get("/v1/users/u1")
    await api.anyone.get("/nope/whatever/it/is")
    clock.advance(seconds=1)
    answer = await api.anyone.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    assert 'clarion_http_answers_total{route="/v1/events",status="202"} 1.0' in text
    assert 'clarion_http_answers_total{route="/v1/users/{user_id}",status="200"} 1.0' in text
    assert 'clarion_backlog_jobs{queue="decide"} 1.0' in text
    assert "whatever" not in text


async def test_head_is_get_without_the_body(api: ApiWorld) -> None:
    for path in ("/healthz", "/v1/project", "/docs"):
        head, get = await api.server.call("HEAD", path), await api.server.get(path)
        assert (head.status, head.headers["content-type"]) == (200, get.headers["content-type"])


# --- the SDK's files -------------------------------------------------------------------------------------------------


async def test_any_site_may_load_the_sdk(api: ApiWorld) -> None:
    for name in ("clarion.js", "clarion-sw.js"):
        answer = await api.anyone.get(f"/sdk/{name}", headers={"Origin": "https://anywhere.example"})
        assert answer.status == 200
        assert answer.body == (folder() / name).read_bytes()
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert answer.headers["service-worker-allowed"] == "/"
        known = await api.anyone.get(f"/sdk/{name}", headers={"If-None-Match": f'"x", {answer.headers["etag"]}'})
        assert (known.status, known.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/sdk/../api/app.py",
        "/sdk/..%2f..%2fpyproject.toml",
        "/sdk/%2e%2e/%2e%2e/pyproject.toml",
        "/sdk//etc/passwd",
        "/sdk/.git/config",
        "/sdk/package.json",
        "/sdk/test/anything.js",
        "/sdk/a%00.js",
        "/sdk/a%5c..%5cb.js",
    ],
)
async def test_nothing_else_is_served(api: ApiWorld, path: str) -> None:
    assert (await api.anyone.get(path)).status == 404


# --- other apps on the port ------------------------------------------------------------------------------------------


def answering(words: bytes) -> App:
    async def app(_scope: Any, _receive: Any, send: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": words})

    return app


async def test_other_apps_answer_their_paths_and_never_ours(api: ApiWorld) -> None:
    mounts = {"/wpush/": answering(b"push"), "/": answering(b"shop")}
    with_shop = ApiWorld(api.world, mounts=mounts)
    anyone = Api(with_shop.app)
    assert (await anyone.post("/wpush/v1/token")).body == b"push"
    for path in ("/", "/shop", "/wpush"):
        assert (await anyone.get(path)).body == b"shop"
    for path in ("/v1/nope", "/sdk/nope.js", "/errors/nope", "/unsubscribe/nope"):
        assert (await anyone.get(path)).status == 404
    assert (await anyone.get("/healthz")).json == {"status": "ok"}


async def test_an_accident_in_another_app_is_answered_too(api: ApiWorld) -> None:
    async def accident(*_: Any) -> None:
        raise RuntimeError("hunter2")

    broken = await Api(ApiWorld(api.world, mounts={"/": accident}).app).get("/")
    assert (broken.status, broken.json["code"]) == (500, "internal")


async def test_a_device_registers_and_hears_as_in_the_readme(api: ApiWorld) -> None:
    made = await api.browser.post("/v1/sdk/devices", subscription())
    sent = await api.server.post("/v1/notifications", {"to": {"users": [made.json["user_id"]]}, "title": "Hello"})
    await api.world.work()
    counts = (await api.server.get(f"/v1/notifications/{sent.json['id']}")).json["counts"]
    assert counts["deliveries"] == {"accepted": 1}
