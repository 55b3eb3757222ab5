"""Variants through the API: taken and shown, counted, and refused by the name of the field."""

from typing import Any

import pytest

from clarion.api.fields import told
from contract.api_world import ApiWorld

VARIANTS: list[dict[str, Any]] = [{"key": "a", "title": "Plain"}, {"key": "b", "title": "Other", "weight": 3}]
SENT: dict[str, Any] = {"to": {"users": ["u1", "u2"]}, "variants": VARIANTS}
WINNER = {"after": 7_200, "share": 20}
GOAL = {"event": "bought", "within_s": 3_600}


async def test_variants_are_kept_decided_and_counted(api: ApiWorld) -> None:
    await api.subscribe("u1")
    body = {**SENT, "experiment": {"key": "spring", "goal": GOAL}}
    trial = (await api.server.post("/v1/notifications", {**body, "dry_run": True})).json
    assert sum(trial["variants"].values()) == 1
    assert sorted(trial["variants"]) == ["a", "b"]
    id = (await api.server.post("/v1/notifications", body)).json["id"]
    await api.world.work()
    shown = (await api.server.get(f"/v1/notifications/{id}")).json["request"]
    assert [(one["key"], one["weight"]) for one in shown["variants"]] == [("a", 1), ("b", 3)]
    assert shown["experiment"] == {"key": "spring", "goal": GOAL, "winner": None}
    decisions = (await api.server.get(f"/v1/notifications/{id}/decisions")).json["items"]
    variant = {one["user_id"]: one["variant"] for one in decisions}
    assert variant["u2"] is None
    assert trial["variants"][variant["u1"]] == 1

    await api.server.post("/v1/events", {"user_id": "u1", "name": "bought"})
    api.world.clock.advance(3_600_000)
    found = (await api.server.get(f"/v1/notifications/{id}/results")).json
    assert (found["goal"], found["confidence"], found["winner"], found["ahead"]) == (GOAL, 0.95, None, None)
    arms = {one["key"]: one for one in found["variants"]}
    assert list(arms) == ["a", "b"]
    mine, other = arms.pop(variant["u1"]), next(iter(arms.values()))
    counted = ("people", "reached", "successes", "settled", "settled_successes", "rate")
    assert [mine[name] for name in counted] == [1] * 6
    assert 0 < mine["low"] < mine["high"] == 1
    assert (other["people"], other["rate"], other["low"], other["high"]) == (0, None, 0, 1)


async def test_any_notification_has_results(api: ApiWorld) -> None:
    await api.subscribe("u1")
    id = (await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, "title": "One"})).json["id"]
    await api.world.work()
    found = (await api.server.get(f"/v1/notifications/{id}/results")).json
    assert found["goal"] == {"event": None, "within_s": 86_400}
    assert [(one["key"], one["people"], one["versus"]) for one in found["variants"]] == [("message", 1, [])]
    assert (await api.server.get("/v1/notifications/none/results")).status == 404
    reader = await api.key(name="reader", scopes=["read"])
    assert (await reader.get(f"/v1/notifications/{id}/results")).status == 200
    sender = await api.key(name="sender", scopes=["send"])
    assert (await sender.get(f"/v1/notifications/{id}/results")).status == 403


async def test_results_tell_when_the_winner_comes_and_who_it_is(api: ApiWorld) -> None:
    await api.subscribe("u1")
    body = {**SENT, "to": {"users": ["u1"]}, "experiment": {"goal": GOAL, "winner": {**WINNER, "share": 99.9}}}
    id = (await api.server.post("/v1/notifications", body)).json["id"]
    await api.world.work()
    before = (await api.server.get(f"/v1/notifications/{id}/results")).json["winner"]
    assert (before["rule"], before["share"], before["chosen_at"], before["variant"]) == ("separates", 99.9, None, None)
    assert before["due_at"] == told(api.world.clock.now() + 7_200_000)


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"variants": VARIANTS[:1]}, "variants", "2"),
        ({"variants": [VARIANTS[0], VARIANTS[0]]}, "variants[1].key", "is there twice: a"),
        ({"variants": [VARIANTS[0], {"key": "control", "title": "x"}]}, "variants[1].key", "cannot be control"),
        ({"variants": [VARIANTS[0], {"key": "b c", "title": "x"}]}, "variants[1].key", "letters"),
        ({"variants": [VARIANTS[0], {"key": "b"}]}, "variants[1].title", "is needed"),
        ({"variants": [VARIANTS[0], {"key": "b", "title": "{{ nobody }}"}]}, "variants[1].title", "undefined"),
        ({"body": "{{ nobody }}"}, "body", "undefined"),
        ({"variants": [VARIANTS[0], {"key": "b", "template": "gone"}]}, "variants[1].template", "no template gone"),
        ({"variants": [VARIANTS[0], {**VARIANTS[1], "template_version": 2}]}, "variants[1].template_version", "needs"),
        ({"variants": [{**one, "weight": 0} for one in VARIANTS]}, "variants[0].weight", "above 0"),
        ({"variants": [VARIANTS[0], {**VARIANTS[1], "weight": -1}]}, "variants[1].weight", "0"),
        ({"variants": [VARIANTS[0], {**VARIANTS[1], "colour": "red"}]}, "variants[1].colour", ""),
        ({"experiment": {"goal": "opened"}}, "experiment.goal", "clicked"),
        ({"experiment": {"goal": {"within_s": 0}}}, "experiment.goal.within_s", "1"),
        ({"experiment": {"goal": GOAL, "winner": {**WINNER, "rule": "luck"}}}, "experiment.winner.rule", "best_rate"),
        ({"experiment": {"goal": GOAL, "winner": {**WINNER, "share": 0}}}, "experiment.winner.share", "0"),
        ({"experiment": {"winner": WINNER}}, "experiment.winner.after", "within_s, 86400"),
        ({"experiment": {"goal": GOAL, "winner": WINNER}, "ttl": 7_200}, "experiment.winner.after", "ttl, 7200"),
        ({"experiment": {"goal": GOAL, "winner": WINNER}, "arm": True}, "arm", "experiment.winner"),
        (
            {"variants": None, "title": "x", "experiment": {"goal": GOAL, "winner": WINNER}},
            "experiment.winner",
            "variants",
        ),
    ],
)
async def test_what_is_wrong_is_refused_by_its_field(
    api: ApiWorld, wrong: dict[str, Any], field: str, words: str
) -> None:
    answer = await api.server.post("/v1/notifications", {**SENT, **wrong})
    assert answer.status == 400, answer
    assert list(answer.fields) == [field]
    assert words in answer.fields[field]


async def test_an_automation_has_variants_but_no_winner(api: ApiWorld) -> None:
    await api.subscribe("u1")
    automation = {"name": "welcome", "on": {"event": "joined"}, "notification": {"variants": VARIANTS}}
    assert (await api.server.post("/v1/automations", automation)).status == 201
    with_winner = {"variants": VARIANTS, "experiment": {"goal": GOAL, "winner": WINNER}}
    refused = await api.server.put("/v1/automations/welcome", {**automation, "notification": with_winner})
    assert list(refused.fields) == ["notification.experiment.winner"]
    for _ in range(12):
        await api.server.post("/v1/events", {"user_id": "u1", "name": "joined"})
    await api.world.work()
    items = (await api.server.get("/v1/notifications")).json["items"]
    pages = [(await api.server.get(f"/v1/notifications/{one['id']}/decisions")).json["items"] for one in items]
    told = {decision["variant"] for page in pages for decision in page}
    assert len(pages) == 12
    assert len(told) == 1, "the automation's name is the key: the same person, the same variant"


async def test_a_single_variant_is_refused_wherever_a_message_stands(api: ApiWorld) -> None:
    alone = {"variants": VARIANTS[:1]}
    steps = {"name": "a", "on": {"event": "joined"}, "steps": [{"type": "send", "id": "s", "notification": alone}]}
    for path, body, field in (
        ("automations", {"name": "a", "on": {"event": "joined"}, "notification": alone}, "notification.variants"),
        ("automations", steps, "steps[0].notification.variants"),
        ("campaigns", {"name": "c", "to": {"everyone": True}, "notification": alone}, "notification.variants"),
        ("preview", alone, "variants"),
        ("lint", alone, "variants"),
    ):
        refused = await api.server.post(f"/v1/{path}", body)
        assert (refused.status, list(refused.fields)) == (400, [field])


async def test_each_wording_is_looked_at_for_honesty(api: ApiWorld) -> None:
    loud = {"variants": [{"key": "a", "title": "Your order is here"}, {"key": "b", "title": "BUY SHOES NOW!!!"}]}
    found = (await api.server.post("/v1/lint", loud)).json["findings"]
    assert {one["field"] for one in found} == {"variants[1].title"}
    await api.server.put("/v1/project", {"lint": {found[0]["rule"]: "block"}})
    refused = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, **loud})
    assert list(refused.fields) == ["variants[1].title"]


async def test_each_wording_is_shown_as_screens_would(api: ApiWorld) -> None:
    await api.server.put("/v1/users/u1", {"attributes": {"name": "Ada"}, "locale": "de"})
    words = {"en": {"title": "Tea"}, "de": {"title": "Tee für {{ user.name }}"}}
    await api.server.post("/v1/templates", {"name": "tea", "default_locale": "en", "locales": words})
    variants = [{"key": "a", "title": "Hello {{ user.name }}"}, {"key": "b", "template": "tea"}]
    looked = {"variants": variants, "user_id": "u1", "platforms": ["iphone", "chrome"], "to": {"everyone": True}}
    shown = (await api.server.post("/v1/preview", looked)).json["variants"]
    assert [(one["key"], one["locale"], list(one["platforms"])) for one in shown] == [
        ("a", None, ["iphone", "chrome"]),
        ("b", "de", ["iphone", "chrome"]),
    ]
    assert [one["platforms"]["chrome"]["title"] for one in shown] == ["Hello Ada", "Tee für Ada"]
    assert shown[1]["platforms"]["iphone"]["screens"][0]["title"]["lines"] == ["Tee für Ada"]
    nobody = await api.server.post("/v1/preview", {**looked, "user_id": None})
    assert list(nobody.fields) == ["variants[0].title"]
    plain = (await api.server.post("/v1/preview", {"title": "One"})).json["variants"]
    assert [(one["key"], len(one["platforms"])) for one in plain] == [(None, 4)]
