"""Templates through the API: versions and the way back, partials, words for one kind of device, previews."""

import asyncio

import pytest

from contract.api_world import ApiWorld

HELLO = {"locales": {"en": {"title": "Hello"}}}
PRICE = {
    "name": "price",
    "default_locale": "en",
    "locales": {
        "en": {"title": "For {{ data.price | money('EUR') }}", "body": "{% include 'footer' %}"},
        "de": {
            "title": "Für {{ data.price | money('EUR') }}, {{ user.name }}",
            "body": "Bis {{ data.end | time }}. " + "Und noch viel mehr davon. " * 10,
            "platforms": {"apns": {"title": "iPhone {{ user.name }}"}, "fcm": {"body": "Kurz."}},
        },
    },
}
FOOTER = {"name": "footer", "locales": {"en": "Your {{ project.name }}"}}
DATA = {"price": 1234.5, "end": "2026-12-24T16:30:00Z"}


async def titles(api: ApiWorld, name: str = "t") -> list[tuple[int, str]]:
    items = (await api.server.get(f"/v1/templates/{name}/versions")).json["items"]
    return [(one["version"], one["locales"]["en"]["title"]) for one in items]


def saying(title: str) -> dict:
    return {"locales": {"en": {"title": title}}}


async def test_every_version_stays_readable_and_one_may_come_back(api: ApiWorld) -> None:
    made = await api.server.post("/v1/templates", {"name": "t", **saying("one")})
    assert made.json["version"] == 1
    for title, version in (("two", 2), ("three", 3), ("three", 3)):  # the same words again are no new version
        assert (await api.server.put("/v1/templates/t", saying(title))).json["version"] == version
    assert await titles(api) == [(1, "one"), (2, "two"), (3, "three")]
    assert (await api.server.get("/v1/templates/t?version=2")).json["locales"]["en"]["title"] == "two"
    assert (await api.server.get("/v1/templates/t?version=9")).status == 404
    back = await api.server.post("/v1/templates/t/rollback", {"version": 1})
    assert (back.status, back.json["version"]) == (200, 4)
    assert (await api.server.get("/v1/templates/t")).json["locales"]["en"]["title"] == "one"
    assert (await api.server.post("/v1/templates/t/rollback", {"version": 9})).status == 404
    first = (await api.server.get("/v1/templates/t/versions?limit=3")).json
    rest = (await api.server.get(f"/v1/templates/t/versions?cursor={first['next_cursor']}")).json
    assert [one["version"] for one in first["items"] + rest["items"]] == [1, 2, 3, 4]

    assert (await api.server.delete("/v1/templates/t")).status == 204
    assert (await api.server.get("/v1/templates/t/versions")).status == 404
    assert (await api.server.post("/v1/templates", {"name": "t", **saying("anew")})).json["version"] == 5


async def test_versions_of_two_at_once_are_two(api: ApiWorld) -> None:
    await api.server.post("/v1/templates", {"name": "t", **saying("one")})
    made = await asyncio.gather(*(api.server.put("/v1/templates/t", saying(f"by {n}")) for n in range(5)))
    assert sorted(one.json["version"] for one in made) == [2, 3, 4, 5, 6]
    kept = dict(await titles(api))
    assert all(kept[one.json["version"]] == one.json["locales"]["en"]["title"] for one in made)


async def test_a_notification_may_name_a_version(api: ApiWorld) -> None:
    await api.subscribe("u1")
    await api.server.post("/v1/templates", {"name": "t", **saying("{{ data.old }}")})
    await api.server.put("/v1/templates/t", saying("new"))
    hello = {"to": {"users": ["u1"]}, "template": "t", "dry_run": True}
    told = (await api.server.post("/v1/notifications", hello)).json
    assert ["compose", "pass", "t, version 2"] in told["decisions"][0]["gates"]
    old = {**hello, "template_version": 1}
    assert "`data.old` is undefined" in (await api.server.post("/v1/notifications", old)).fields["title"]
    told = (await api.server.post("/v1/notifications", {**old, "data": {"old": "x"}})).json
    assert ["compose", "pass", "t, version 1"] in told["decisions"][0]["gates"]
    refused = await api.server.post("/v1/notifications", {**hello, "template_version": 3})
    assert "2 is the newest" in refused.fields["template_version"]
    refused = await api.server.post(
        "/v1/notifications", {**hello, "template": None, "title": "x", "template_version": 1}
    )
    assert "needs a template" in refused.fields["template_version"]
    automation = {"name": "a", "on": {"event": "e"}, "notification": {"template": "t", "template_version": 3}}
    refused = await api.server.post("/v1/automations", automation)
    assert "2 is the newest" in refused.fields["notification.template_version"]


async def test_partials_are_included_and_do_not_break_what_uses_them(api: ApiWorld) -> None:
    missing = await api.server.post("/v1/templates", PRICE)
    assert "no partial footer" in missing.fields["locales.en.body"]
    assert (await api.server.post("/v1/partials", FOOTER)).status == 201
    assert (await api.server.post("/v1/templates", PRICE)).status == 201
    assert (await api.server.post("/v1/partials", FOOTER)).status == 409
    assert "price" in (await api.server.delete("/v1/partials/footer")).json["detail"]
    circle = await api.server.put("/v1/partials/footer", {"locales": {"en": "{% include 'footer' %}"}})
    assert "includes itself" in circle.fields["locales.en"]
    wrong = await api.server.put("/v1/partials/footer", {"locales": {"en": "{{ 1 | nope }}"}})
    assert "nope is unknown" in wrong.fields["locales.en"]
    await api.server.delete("/v1/templates/price")
    automation = {"name": "a", "on": {"event": "e"}, "notification": {"title": "{% include 'footer' %}"}}
    assert (await api.server.post("/v1/automations", automation)).status == 201
    assert "a" in (await api.server.delete("/v1/partials/footer")).json["detail"]
    await api.server.delete("/v1/automations/a")
    assert (await api.server.delete("/v1/partials/footer")).status == 204
    assert (await api.server.get("/v1/partials")).json["items"] == []


@pytest.mark.parametrize(
    ("locales", "field", "told"),
    [
        ({"en": {"title": "{{ 1 | nope }}"}}, "locales.en.title", "filter nope is unknown"),
        ({"en": {"title": "x", "body": "a\nb {{ }}"}}, "locales.en.body", "(line 2)"),
        (
            {"en": {"title": "x", "platforms": {"apns": {"body": "{% if %}"}}}},
            "locales.en.platforms.apns.body",
            "syntax",
        ),
        (
            {"en": {"title": "x", "platforms": {"apns": {"icon": "{{ [1] * 9 }}"}}}},
            "locales.en.platforms.apns.icon",
            "list",
        ),
        ({"en": {"title": "x", "platforms": {"pigeon": {}}}}, "locales[...].platforms.pigeon", "not a field"),
        ({"en": {"title": "{{ project.nope }}"}}, "locales.en.title", "`project.nope` is undefined"),
    ],
)
async def test_a_template_that_cannot_work_names_its_place(api: ApiWorld, locales: dict, field: str, told: str) -> None:
    refused = await api.server.post("/v1/templates", {"name": "t", "locales": locales})
    assert refused.status == 400
    assert len(refused.fields) == 1
    [(name, words)] = refused.fields.items()
    assert name.startswith(field)
    assert told in words


async def test_words_for_one_kind_of_device_are_looked_at_for_honesty(api: ApiWorld) -> None:
    loud = {"en": {"title": "Hello", "platforms": {"fcm": {"title": "LAST CHANCE TODAY"}}}}
    made = await api.server.post("/v1/templates", {"name": "t", "locales": loud})
    assert {one["field"] for one in made.json["warnings"]} == {"locales.en.platforms.fcm.title"}


async def test_a_preview_is_what_a_person_sees(api: ApiWorld) -> None:
    await api.server.put(
        "/v1/users/u1", {"attributes": {"name": "Ada"}, "locale": "de-AT", "timezone": "Europe/Vienna"}
    )
    await api.server.post("/v1/partials", FOOTER)
    await api.server.post("/v1/templates", PRICE)
    shown = (await api.server.post("/v1/templates/price/preview", {"user_id": "u1", "data": DATA})).json
    assert (shown["template"], shown["version"], shown["locale"]) == ("price", 1, "de")
    there = shown["platforms"]
    assert list(there) == ["iphone", "android", "chrome", "firefox"]
    assert there["iphone"]["title"] == "iPhone Ada"
    assert there["chrome"]["title"] == "Für €\xa01.234,50, Ada"
    assert there["chrome"]["body"].startswith("Bis 17:30. Und noch")
    assert there["android"]["body"] == "Kurz."
    lock, banner = there["iphone"]["screens"]
    assert (lock["screen"], lock["columns"], len(lock["body"]["lines"])) == ("iPhone, lock screen", [40, 40], 4)
    assert len(banner["body"]["lines"]) == 2
    assert banner["body"]["cut"]
    assert banner["body"]["lines"][-1].endswith("…")
    assert not any(screen["body"]["cut"] for screen in there["android"]["screens"])

    one = {"data": DATA, "platforms": ["firefox"]}
    english = (await api.server.post("/v1/templates/price/preview", one)).json
    assert english["platforms"]["firefox"]["title"] == "For €1,234.50"
    assert english["platforms"]["firefox"]["body"] == "Your Shop"


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({"user_id": "nobody"}, "user_id", "no user nobody"),
        ({"platforms": ["pager"]}, "platforms[0]", "iphone, android, chrome, firefox"),
        ({"timezone": "Europe/Nowhere"}, "timezone", "IANA"),
        ({}, "locales.en.title", "`data.price` is undefined"),
        ({"data": DATA, "locale": "de"}, "locales.de.platforms.apns.title", "`user.name` is undefined"),
        ({"data": {**DATA, "price": "dear"}}, "locales.en.title", "takes a number"),
    ],
)
async def test_a_preview_that_cannot_be_names_the_place(api: ApiWorld, body: dict, field: str, told: str) -> None:
    await api.server.post("/v1/partials", FOOTER)
    await api.server.post("/v1/templates", PRICE)
    refused = await api.server.post("/v1/templates/price/preview", body)
    assert refused.status == 400
    assert told in refused.fields[field]
    assert (await api.server.post("/v1/templates/nope/preview", {})).status == 404


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{{ data.price | money("XXQ") }}', "takes a currency of ISO 4217"),
        ("{{ data.price | money }}", "takes a currency of ISO 4217"),
        ('{{ event.at | date("gigantic") }}', "takes short, medium, long, full"),
        ('{{ data.n | plural(one="parcel") }}', "needs other="),
        ('{{ data.n | plural(one="parcel", othr="parcels") }}', "othr is no form"),
        ("{{ data.n | number(11) }}", "takes 0 to 10 digits"),
        ("{{ data.at | time(zone='UTC') }}", "takes style and nothing else"),
    ],
)
async def test_a_filter_that_is_told_nonsense_is_refused_when_it_is_written(
    api: ApiWorld, text: str, words: str
) -> None:
    body = {"name": "t", "default_locale": "en", "locales": {"en": {"title": text}}}
    refused = await api.server.post("/v1/templates", body)
    assert words in refused.fields["locales.en.title"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ data.price | money(data.currency) }}",
        "{{ data.price | money(data.currency | upper) }}",
        "{{ data.at | date(user.style | default('short')) }}",
        "{{ data.name | truncate_width(data.width) }}",
    ],
)
async def test_what_a_filter_is_told_may_come_later(api: ApiWorld, text: str) -> None:
    body = {"name": "t", "default_locale": "en", "locales": {"en": {"title": text}}}
    assert (await api.server.post("/v1/templates", body)).status == 201


GREETING = {
    "name": "greeting",
    "default_locale": "en",
    "locales": {
        "en": {"title": "Hello {{ user.name | default('') }}"},
        "de": {"title": "{{ user.name | default('') }} ", "platforms": {"fcm": {"title": "Hallo"}}},
    },
}


async def test_nobody_gets_a_title_of_which_nothing_is_to_be_seen(api: ApiWorld) -> None:
    for user, attributes, locale in (("ada", {"name": "Ada"}, "de"), ("max", {}, "de-AT"), ("eve", {}, "en")):
        await api.server.put(f"/v1/users/{user}", {"attributes": attributes, "locale": locale})
        await api.world.subscribe(user)
    await api.server.post("/v1/templates", GREETING)
    body = {"to": {"users": ["ada", "max", "eve"]}, "template": "greeting"}
    tried = (await api.server.post("/v1/notifications", {**body, "dry_run": True})).json
    sent = (await api.server.post("/v1/notifications", body)).json["id"]
    await api.world.work()
    kept = (await api.server.get(f"/v1/notifications/{sent}/decisions")).json
    for decisions in (tried["decisions"], kept["items"]):
        told = {one["user_id"]: one for one in decisions}
        assert {user: one["reason"] for user, one in told.items()} == {
            "ada": "send",
            "max": "template_error",
            "eve": "send",
        }
        assert "title: renders to nothing in de of the template greeting" in str(told["max"]["gates"])

    shown = await api.server.post("/v1/templates/greeting/preview", {"user_id": "max"})
    assert "renders to nothing in de" in shown.fields["locales.de.title"]
    phone = await api.server.post("/v1/templates/greeting/preview", {"user_id": "max", "platforms": ["android"]})
    assert phone.json["platforms"]["android"]["title"] == "Hallo"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"title": ""}, "is needed unless a template is given"),
        ({"title": "{{ data.name }}", "data": {"name": " "}}, "renders to nothing"),
        ({"template": "wordless"}, "is empty in de of the template wordless"),
        ({"template": "wordless", "title": "\u200b"}, "is empty: a notification needs a title"),
    ],
)
async def test_a_title_that_is_empty_for_all_is_refused(api: ApiWorld, message: dict, told: str) -> None:
    wordless = {"name": "wordless", "default_locale": "en", "locales": {"en": {"title": "Hi"}, "de": {"title": " "}}}
    await api.server.post("/v1/templates", wordless)
    refused = await api.server.post("/v1/notifications", {"to": {"users": ["u1"]}, **message})
    assert refused.status == 400
    assert told in refused.fields["title"]


async def test_a_template_may_leave_the_title_to_the_message_and_any_body_empty(api: ApiWorld) -> None:
    await api.world.subscribe("u1")
    await api.server.post("/v1/templates", {"name": "t", "locales": {"en": {"title": "", "body": "{{ data.more }}"}}})
    body = {"to": {"users": ["u1"]}, "template": "t", "title": "Hi", "data": {"more": ""}}
    assert (await api.server.post("/v1/notifications", body)).status == 202
    await api.world.work()
    assert len(api.world.browser.sent) == 1


async def test_a_title_that_was_taken_out_of_a_template_later_is_not_sent(api: ApiWorld) -> None:
    await api.world.subscribe("u1")
    await api.server.post("/v1/templates", {"name": "t", **saying("Hello")})
    on = {"event": "e"}
    await api.server.post("/v1/automations", {"name": "a", "on": on, "notification": {"template": "t"}})
    await api.server.put("/v1/templates/t", saying(" "))
    await api.world.happens("u1", "e")
    await api.world.work()
    assert not api.world.browser.sent
    story = (await api.server.get("/v1/users/u1/story")).body.decode()
    assert "title: is empty in en of the template t" in story
