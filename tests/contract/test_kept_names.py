"""What callers, SDKs and suites of others rely on: these names do not change. More may stand beside them.

Written out on purpose, and asked of the running API: a name that is changed everywhere at once is missed here.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import typer

from clarion.cli.app import app
from clarion.config import Settings, load
from contract.api_world import ORIGIN, ApiWorld

WITH_NAMES = ("categories", "templates", "segments", "topics", "campaigns", "automations", "credentials")
ROUTES = f"""
    GET,PUT,DELETE /v1/users/{{user_id}}
    GET /v1/users/{{user_id}}/export
    GET /v1/users/{{user_id}}/devices
    GET,PUT /v1/users/{{user_id}}/consent
    POST /v1/devices
    DELETE /v1/devices/{{device_id}}
    POST /v1/events
    POST /v1/notifications
    GET /v1/notifications/{{notification_id}}
    GET /v1/notifications/{{notification_id}}/decisions
    POST /v1/notifications/{{notification_id}}/cancel
    POST /v1/notifications/{{notification_id}}/fire
    GET /v1/deliveries
    GET,PUT /v1/project
    PUT /v1/push/broadcasts/{{broadcast_id}}
    GET,POST /v1/keys
    GET,PUT,DELETE /v1/keys/{{key_id}}
    GET /v1/sdk/config
    POST /v1/sdk/devices
    DELETE /v1/sdk/devices/{{device_id}}
    GET,PUT /v1/sdk/preferences
    POST /v1/sdk/events
    POST /v1/receipts
    GET,POST /unsubscribe/{{token}}
    GET /healthz
    GET /metrics
    {" ".join(f"GET,POST /v1/{noun} GET,PUT,DELETE /v1/{noun}/{{name}}" for noun in WITH_NAMES)}
"""
MESSAGE = """category title body template data url icon image badge sound vibrate lock_screen require_interaction
    actions ttl urgency collapse_key apns fcm webpush"""
DEVICE = """user_id kind address permission locale timezone app_version model previous_address"""
FIELDS = {
    "UserPut": "attributes locale timezone email phone",
    "ConsentPut": "category channel granted source wording",
    "EventBody": "user_id name properties occurred_at id",
    "EventBatch": "events",
    "SdkEventBody": "name properties occurred_at id",
    "ReceiptBody": "receipt kind action at",
    "ReceiptBatch": "receipts",
    "NotificationBody": f"{MESSAGE} to send_at local_time dry_run arm",
    "AudienceBody": "users devices segment topic everyone",
    "ActionBody": "id title url",
    "ApnsDevice": f"{DEVICE} environment bundle_id",
    "FcmDevice": f"{DEVICE} address_kind",
    "WebPushDevice": f"{DEVICE} p256dh auth vapid_public_key",
    "EmailDevice": DEVICE,
    "SmsDevice": DEVICE,
    "CategoryPost": "name title description class default channels templates",
    "AutomationPost": "name on notification",
    "BroadcastPut": "version",
    "ProjectPut": """name allowed_origins identity identity_secret default_timezone marketing_consent
        allow_plain_users""",
    "Created": "id",
    "BatchAnswer": "accepted duplicates errors",
    "BatchError": "index code field message",
    "DecisionAnswer": "user_id decision reason until gates at",
    "DeliveryAnswer": """id notification_id user_id device_id kind state reason provider_id attempts created_at
        updated_at""",
    "DryRunAnswer": "counts decisions took_ms",
    "TrialDecision": "user_id decision reason until gates at",
    "NotificationAnswer": "request state counts",
    "SdkConfig": "vapid_public_key categories push_url",
    "Problem": "type title status code detail errors",
    "ProblemField": "field message",
}
PAYLOAD = """v id receipt receipts_url title body url icon image badge tag vibrate silent require_interaction actions
    lock_screen data category class"""
SETTINGS = """DATA DATABASE_URL NATS_URL PUBLIC_URL PUBLIC_PUSH_URL SECRET_KEY PUBLIC_ENDPOINT_URL CORS_ORIGINS
    ALLOW_PRIVATE_ENDPOINTS ALLOW_PLAIN_USERS RATE_LIMITS TLS_CERT TLS_KEY PUSH_MESSAGE_LIMIT PUSH_PING_INTERVAL
    PUSH_PING_TIMEOUT LOG_LEVEL LOG_FORMAT"""
COMMANDS = {
    "serve": "--role --host --port --push-port --data",
    "demo": "",
    "project create": "--data --json",
    "send": "--user --title --body --category --url --server --key --data",
    "agent": "--server --user --key",
    "explain": "--user --notification --server --key --data",
    "keys create": "",
    "keys list": "",
    "keys revoke": "",
}
PROBLEMS = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "idempotency_in_progress": 409,
    "too_large": 413,
    "idempotency_mismatch": 422,
    "rate_limited": 429,
    "unavailable": 503,
}


async def document(api: ApiWorld) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.anyone.get("/openapi.json")).json
    return answer


async def test_every_route_is_where_it_was(api: ApiWorld) -> None:
    words = iter(ROUTES.split())
    kept = {(method, path) for methods, path in zip(words, words, strict=True) for method in methods.split(",")}
    told = {(method.upper(), path) for path, item in (await document(api))["paths"].items() for method in item}
    assert kept - told == set()


@pytest.mark.parametrize("shape", FIELDS)
async def test_every_field_is_called_as_it_was(api: ApiWorld, shape: str) -> None:
    told = (await document(api))["components"]["schemas"][shape]["properties"]
    assert set(FIELDS[shape].split()) - told.keys() == set()


async def test_what_a_service_worker_receives_is_called_as_it_was(api: ApiWorld) -> None:
    await api.subscribe()
    await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hello"})
    await api.world.work()
    [sent] = api.world.browser.sent
    payload = msgspec.json.decode(sent.ready.payload)
    assert set(PAYLOAD.split()) - payload.keys() == set()
    assert (payload["v"], payload["tag"], payload["receipts_url"]) == (1, payload["id"], f"{ORIGIN}/v1/receipts")
    assert (payload["category"], payload["class"], payload["lock_screen"]) == ("general", "informational", "show")


async def test_a_new_project_is_as_it_was(api: ApiWorld) -> None:
    [general] = (await api.server.get("/v1/categories")).json["items"]
    assert (general["name"], general["class"]) == ("general", "informational")
    project = (await api.server.get("/v1/project")).json
    assert (project["identity"], project["marketing_consent"], project["caps"]) == ("none", "opt_in", [])
    assert (project["allow_plain_users"], project["quiet_hours"], general["digest"]) == (False, None, None)
    sent = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "Hello"})
    shown = (await api.server.get(f"/v1/notifications/{sent.json['id']}")).json["request"]
    assert (shown["ttl"], shown["urgency"], shown["lock_screen"]) == (3 * 86_400, "normal", "show")


async def test_every_problem_has_the_status_that_it_had(api: ApiWorld) -> None:
    for code, status in PROBLEMS.items():
        page = await api.anyone.get(f"/errors/{code}")
        assert (page.status, str(status) in page.body.decode()) == (200, True), code


def test_every_setting_is_called_as_it_was() -> None:
    assert {name.lower() for name in SETTINGS.split()} - set(Settings.__struct_fields__) == set()
    settings = load({})
    assert (settings.host, settings.port, settings.push_port) == ("127.0.0.1", 8700, 8701)
    assert (settings.push_message_limit, settings.push_ping_interval, settings.rate_limits) == (150, 300, True)


def commands(group: typer.core.TyperGroup, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        yield prefix + name, {option for one in command.params for option in one.opts}


def test_every_command_is_called_as_it_was() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    told = dict(commands(group))
    missing = {name: set(options.split()) - told[name] for name, options in COMMANDS.items()}
    assert {name for name, options in missing.items() if options} == set()
