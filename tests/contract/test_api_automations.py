"""Automations at the door: what cannot work is refused with its place; runs are begun, shown, counted, cancelled."""

import hmac
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from clarion.crypto.webhooks import WebhookSecrets
from clarion.journey.automations.calling import TRIES, Webhooks
from clarion.journey.pipeline import Pipeline
from clarion.ports import HttpBatch, HttpResponse
from contract.api_world import ApiWorld
from story.runs import DAY, HOUR, Runs
from story.world import RECEIPTS_URL, SECRET

SEND = {"type": "send", "notification": {"title": "Hello"}}
PAUSE = {"type": "delay", "for": {"hours": 1}}
RULE = {"type": "segment", "segment": "nope"}


def body(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"name": "x", "on": {"event": "e"}, "steps": list(steps), **more}


def with_id(step: dict, id: str, **more: Any) -> dict:
    return {**step, "id": id, **more}


@pytest.mark.parametrize(
    ("told", "field", "words"),
    [
        (body(), "steps", "at least 1 "),
        (body({"type": "sleep"}), "steps[0].type", "delay, exit, send"),
        (body({"type": "send", "notification": {"titel": "x"}}), "steps[0].notification.titel", "not a field"),
        (
            body({"type": "send", "notification": {"title": "x", "template": "t"}}),
            "steps[0].notification.template",
            "template t",
        ),
        (body({"type": "send", "notification": {"title": "{{ data.x }}"}}), "steps[0].notification.title", "undefined"),
        (body(SEND, {"type": "delay"}), "steps[1]", "exactly one of for, until, window"),
        (body({"type": "delay", "for": {}}), "steps[0].for", "longer than nothing"),
        (body({"type": "delay", "until": {"at": "9:00"}}), "steps[0].until.at", "must"),
        (body({"type": "delay", "window": {"start": "17:00", "end": "09:00"}}), "steps[0].window.end", "later"),
        (body({**SEND, "next": "y"}), "steps[0].next", "no step y"),
        (body(with_id(SEND, "a"), with_id(SEND, "a")), "steps[0].id", "another step"),
        (body({"type": "exit"}, SEND), "steps[1]", "never reached"),
        (body(with_id(SEND, "a", next="a")), "steps[0]", "without a delay"),
        (body(with_id(PAUSE, "a"), {**SEND, "next": "a"}), "steps[0]", "leads to no exit"),
        (body({"type": "branch", "paths": [{"to": "a"}]}, with_id(SEND, "a")), "steps[0].paths[0]", "if, percent"),
        (
            body({"type": "branch", "paths": [{"to": "a", "if": RULE}]}, with_id(SEND, "a")),
            "steps[0].paths[0].if.segment",
            "no segment nope",
        ),
        (body(SEND, exit_if=RULE), "exit_if.segment", "no segment nope"),
        (body(SEND, on={"segment": "nope"}), "on.segment", "no segment nope"),
        (body(SEND, on={"event": "e", "segment": "s"}), "on", "exactly one"),
        (body(SEND, on={"event": "e", "yearly": True}), "on.yearly", "goes with attribute"),
        (body({"type": "webhook", "url": "ftp://x"}), "steps[0].url", "https://"),
        (body({"type": "webhook", "url": "https://u:p@x.example/"}), "steps[0].url", "user name"),
        (body({"type": "webhook", "url": "https://x.example/{{ user.user_id }}"}), "steps[0].url", "a template"),
        (body({"type": "webhook", "url": "https://[::1/"}), "steps[0].url", "https://"),
        (body({"type": "webhook", "url": "https://x.example:99999/"}), "steps[0].url", "https://"),
        (body({"type": "webhook", "url": "https://x.example/\r\nx"}), "steps[0].url", "https://"),
        (body(SEND, notification={"title": "x"}), "steps", "left out"),
        ({"name": "x", "ready_made": "nope"}, "ready_made", "welcome"),
        ({"name": "x", "ready_made": "welcome", "parameters": {"aftr": 1}}, "parameters.aftr", "not a field"),
        ({"name": "x", "ready_made": "win_back"}, "on.segment", "no segment inactive"),
    ],
)
async def test_what_no_run_could_go_through(api: ApiWorld, told: dict, field: str, words: str) -> None:
    refused = await api.server.post("/v1/automations", told)
    assert refused.status == 400, refused
    assert words in refused.fields.get(field, ""), refused.fields


async def test_what_was_read_may_be_sent_back(api: ApiWorld) -> None:
    made = await api.server.post("/v1/automations", {"name": "w", "ready_made": "welcome"})
    assert made.status == 201, made
    assert made.json["version"] == 1
    again = await api.server.put("/v1/automations/w", made.json)
    assert (again.status, again.json) == (200, made.json)
    other = {**made.json, "ready_made": None, "parameters": None, "steps": [SEND]}
    changed = await api.server.put("/v1/automations/w", other)
    assert changed.json["version"] == 2


async def test_runs_are_begun_shown_counted_and_cancelled(api: ApiWorld) -> None:
    told = body(with_id(PAUSE, "rest"), SEND, on={"api": True})
    assert (await api.server.post("/v1/automations", told)).status == 201
    runs = [{"user_id": user, "key": key} for user, key in (("u1", "a"), ("u1", "b"), ("u2", "a"))]
    begun = await api.server.post("/v1/automations/x/runs", {"runs": [*runs, runs[0]]})
    assert (begun.status, begun.json) == (202, {"accepted": 4})
    on = Runs(api.world)
    await on.work()
    shown = (await api.server.get("/v1/automations/x/runs?user_id=u1&key=b")).json["items"]
    assert [(one["user_id"], one["key"], one["step"], one["ended"]) for one in shown] == [("u1", "b", "rest", None)]
    counts = (await api.server.get("/v1/automations/x/counts")).json
    assert counts["under_way"] == 3
    assert counts["steps"][0] == {"step": "rest", "type": "delay", "runs": 3}
    gone = await api.server.post("/v1/automations/x/cancel", {"key": "a"})
    assert gone.json == {"cancelled": 2}
    assert (await api.server.post("/v1/automations/x/cancel", {"key": "a", "user_id": "u1"})).json == {"cancelled": 0}
    assert (await api.server.post("/v1/automations/x/cancel", {})).status == 400
    await on.pass_(2 * HOUR)
    counts = (await api.server.get("/v1/automations/x/counts")).json
    assert counts["ended"] == {"done": 1, "goal": 0, "exit": 0, "cancelled": 2}
    other = await api.server.post(
        "/v1/automations", {"name": "y", "on": {"event": "e"}, "notification": {"title": "x"}}
    )
    assert other.status == 201
    assert (await api.server.post("/v1/automations/y/runs", {"user_id": "u1"})).status == 409


async def test_with_an_automation_its_runs_end(api: ApiWorld) -> None:
    await api.server.post("/v1/automations", body(PAUSE, SEND, on={"api": True}))
    await api.server.post("/v1/automations/x/runs", {"user_id": "u1"})
    on = Runs(api.world)
    await on.work()
    assert (await api.server.delete("/v1/automations/x")).status == 204
    assert await on.ends("x") == ["cancelled"]
    made = await api.server.post("/v1/automations", body(SEND))
    assert made.json["version"] == 2  # runs of before never go on as something else


class Receiver:
    """Somebody else's servers: `answers` by origin, else 200."""

    def __init__(self) -> None:
        self.answers: dict[str, HttpResponse] = {}
        self.batches: list[HttpBatch] = []

    async def send_batch(self, batch: HttpBatch) -> Sequence[HttpResponse]:
        self.batches.append(batch)
        return [self.answers.get(batch.origin, HttpResponse(200))] * len(batch.paths)

    async def close(self) -> None:
        pass


@pytest.fixture
def receiver(api: ApiWorld) -> Receiver:
    world, receiver = api.world, Receiver()
    world.pipeline = Pipeline(
        store=world.store,
        catalog=world.catalog,
        bus=world.bus,
        clock=world.clock,
        chance=world.chance,
        providers=world.providers,
        receipts=world.receipts,
        anonymous=world.anonymous,
        receipts_url=RECEIPTS_URL,
        webhooks=Webhooks(receiver, WebhookSecrets([SECRET])),
        pause=world.pause,
    )
    return receiver


def hooks(*urls: str) -> list[dict]:
    return [{"type": "webhook", "url": url, "body": {"what": "trial"}} for url in urls]


async def test_a_webhook_is_signed_as_receivers_check_it(api: ApiWorld, receiver: Receiver) -> None:
    on = Runs(api.world)
    await on.define("x", on={"event": "e"}, steps=hooks("https://crm.example/hook?v=1"))
    await on.happens("u1", "e")
    [batch] = receiver.batches
    assert (batch.origin, list(batch.paths)) == ("https://crm.example", ["/hook?v=1"])
    told = msgspec.json.decode(batch.bodies[0])
    assert {name: told[name] for name in ("automation", "user_id", "body")} == {
        "automation": "x", "user_id": "u1", "body": {"what": "trial"},
    }  # fmt: skip
    id, seconds, signature = (batch.varying[f"webhook-{name}"][0] for name in ("id", "timestamp", "signature"))
    secret = WebhookSecrets([SECRET]).secret(api.world.project.id)
    key = b64decode(secret.removeprefix("whsec_"))
    wanted = hmac.digest(key, f"{id}.{seconds}.".encode() + batch.bodies[0], "sha256")
    assert b64decode(signature.removeprefix("v1,")) == wanted
    assert int(seconds) == api.world.clock.now() // 1000


async def test_a_webhook_is_tried_until_it_is_taken_and_holds_nobody_up(api: ApiWorld, receiver: Receiver) -> None:
    on = Runs(api.world)
    receiver.answers["https://down.example"] = HttpResponse(503)
    receiver.answers["https://no.example"] = HttpResponse(404)
    receiver.answers["https://inside.example"] = HttpResponse(0, error="refused: a private or special address")
    urls = [f"https://{name}.example/" for name in ("down", "no", "inside", "up")]
    await on.define("x", on={"event": "e"}, steps=[*hooks(*urls), SEND])
    await api.world.subscribe("u1")
    await on.happens("u1", "e")
    assert on.said() == ["Hello"]
    assert [batch.origin for batch in receiver.batches if batch.origin != "https://down.example"] == [
        "https://no.example", "https://inside.example", "https://up.example",
    ]  # fmt: skip
    await on.pass_(HOUR, step=1_000)
    down = [batch for batch in receiver.batches if batch.origin == "https://down.example"]
    assert len({batch.varying["webhook-id"][0] for batch in down}) == 1
    assert 8 < len(down) < 14
    del receiver.answers["https://down.example"]
    await on.pass_(DAY, step=HOUR)
    assert len([batch for batch in receiver.batches if batch.origin == "https://down.example"]) == len(down) + 1


async def test_a_webhook_is_given_up_in_the_end(api: ApiWorld, receiver: Receiver) -> None:
    on = Runs(api.world)
    receiver.answers["https://down.example"] = HttpResponse(0, error="not reached")
    await on.define("x", on={"event": "e"}, steps=hooks("https://down.example/"))
    await on.happens("u1", "e")
    await on.pass_(4 * DAY, step=HOUR)
    assert len(receiver.batches) == TRIES
