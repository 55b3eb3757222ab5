"""The preference page: what a link opens, what its form changes, and what it never does."""

from html import unescape
from urllib.parse import urlencode

import pytest

from clarion.api.languages import chosen, wanted
from contract.api_world import Api, ApiWorld, subscription

PERSON = {"Accept": "text/html,application/xhtml+xml"}
FORM = {**PERSON, "Content-Type": "application/x-www-form-urlencoded"}
DAY_MS = 86_400_000


@pytest.fixture
async def api(api: ApiWorld) -> ApiWorld:
    """A shop with a kind of message of each class."""
    world = api.world
    await world.define("categories", name="general", title="News", channels=["push", "email"])
    await world.define(
        "categories",
        name="offers",
        title="Offers",
        description="Once a week.",
        channels=["push"],
        **{"class": "marketing"},
    )
    await world.define("categories", name="security", title="Sign-ins", channels=["push"], **{"class": "mandatory"})
    await api.server.put("/v1/users/u1", {"timezone": "Europe/Vienna"})
    return api


async def link(api: ApiWorld, query: str = "") -> str:
    made = await api.server.post(f"/v1/users/u1/preferences_link{query}")
    assert made.status == 200, made
    return made.json["url"].removeprefix("https://push.example")


async def send(api: ApiWorld, path: str, **fields: object) -> object:
    form = {"seen": ["general/push", "general/email", "offers/push"], "on": ["general/push", "general/email"], **fields}
    return await api.anyone.post(path, body=urlencode(form, doseq=True).encode(), headers=FORM)


async def ledger(api: ApiWorld) -> list[dict]:
    return (await api.server.get("/v1/users/u1/consent")).json["ledger"]


async def own(api: ApiWorld) -> dict:
    return (await api.server.get("/v1/users/u1/preferences")).json


async def test_reading_the_page_changes_nothing(api: ApiWorld) -> None:
    page = await api.anyone.get(await link(api), headers=PERSON)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    text = page.body.decode()
    assert "<script" not in text
    assert "Europe/Vienna" in unescape(text)
    assert (await ledger(api), await own(api)) == ([], {"quiet_hours": None, "marketing_paused_until": None})


async def test_what_needed_messages_wear_is_shown_locked(api: ApiWorld) -> None:
    path = await link(api)
    text = (await api.anyone.get(path, headers=PERSON)).body.decode()
    [switch] = [part for part in text.split("<input")[1:] if 'name="on"' in part and "security" in part]
    assert "checked" in switch
    assert "disabled" in switch.partition(">")[0]
    assert "Always on" in text
    done = await send(api, path, seen=["security/push"], on=[])
    assert done.status == 303
    assert await ledger(api) == []


async def test_switches_are_written_with_the_words_that_were_read(api: ApiWorld) -> None:
    path = await link(api)
    done = await send(api, path, on=["general/push", "offers/push"])
    assert (done.status, done.headers["location"]) == (303, "?saved=1")
    lines = {(line["category"], line["channel"]): line for line in await ledger(api)}
    assert {about: line["granted"] for about, line in lines.items()} == {
        ("general", "email"): False,
        ("offers", "push"): True,
    }
    yes = lines["offers", "push"]
    assert (yes["source"], yes["wording"]) == ("preference_page", "Offers: Once a week. [Push]")
    assert yes["wording_version"] == "preference page 1 (en)"
    assert "Saved" in (await api.anyone.get(f"{path}?saved=1", headers=PERSON)).body.decode()
    await send(api, path, on=["general/push", "offers/push"])
    assert len(await ledger(api)) == 2, "what is said already is not said again"


async def test_what_was_not_on_the_page_is_not_touched(api: ApiWorld) -> None:
    await send(api, await link(api), seen=["nothing/push", "general/nowhere", "general"], on=[])
    assert await ledger(api) == []


async def test_marketing_is_paused_for_thirty_days_and_resumed(api: ApiWorld) -> None:
    path, begun = await link(api), api.world.clock.now()
    await send(api, path, pause="on")
    user = await api.world.store.users.get(api.world.project.key, "u1")
    assert user is not None
    until = (await api.world.store.preferences.get(user.project, user.key)).marketing_paused_until
    assert until == begun + 30 * DAY_MS
    assert "Paused until" in (await api.anyone.get(path, headers=PERSON)).body.decode()
    api.world.clock.advance(hours=72)
    await send(api, path, pause="on")
    assert (await api.world.store.preferences.get(user.project, user.key)).marketing_paused_until == until
    await send(api, path)
    assert (await own(api))["marketing_paused_until"] is None


async def test_quiet_hours_of_ones_own(api: ApiWorld) -> None:
    path = await link(api)
    await send(api, path, quiet="on", quiet_start="21:30", quiet_end="07:00")
    assert (await own(api))["quiet_hours"] == {"start": "21:30", "end": "07:00", "days": None}
    await send(api, path, quiet_start="21:30", quiet_end="07:00")
    assert (await own(api))["quiet_hours"] is None


async def test_days_that_the_page_does_not_show_stay(api: ApiWorld) -> None:
    asked = {"start": "00:00", "end": "24:00", "days": ["sat", "sun"]}
    await api.server.put("/v1/users/u1/preferences", {"quiet_hours": asked})
    path = await link(api)
    assert (await send(api, path, quiet="on", quiet_start="00:00", quiet_end="00:00")).status == 303
    assert (await own(api))["quiet_hours"] == asked
    await send(api, path, quiet="on", quiet_start="10:00", quiet_end="12:00")
    assert (await own(api))["quiet_hours"] == {"start": "10:00", "end": "12:00", "days": ["sat", "sun"]}


@pytest.mark.parametrize("times", [("22:00", "22:00"), ("", "08:00"), ("late", "08:00"), ("22:00", "24:00")])
async def test_times_that_make_no_sense_are_told_and_nothing_is_saved(api: ApiWorld, times: tuple[str, str]) -> None:
    page = await send(api, await link(api), on=[], pause="on", quiet="on", quiet_start=times[0], quiet_end=times[1])
    text = page.body.decode()
    assert page.status == 400
    assert 'role="alert"' in text
    assert 'aria-invalid="true"' in text
    assert f'name="quiet_start" value="{times[0]}"' in text, "what was filled in is not lost"
    assert (await ledger(api), await own(api)) == ([], {"quiet_hours": None, "marketing_paused_until": None})


async def test_a_form_without_end_is_refused(api: ApiWorld) -> None:
    done = await api.anyone.post(await link(api), body=b"seen=a&" * 6_000, headers=FORM)
    assert (done.status, done.json["code"]) == (400, "invalid_request")


async def test_a_link_that_is_forged_or_too_old_changes_nothing(api: ApiWorld) -> None:
    path = await link(api, "?days=1")
    token, now = path.removeprefix("/preferences/"), api.world.clock.now()
    user = await api.world.store.users.get(api.world.project.key, "u1")
    assert user is not None
    key, project = user.key, user.project
    wrong = [
        f"/preferences/{token[:at]}{'A' if token[at] != 'A' else 'B'}{token[at + 1 :]}" for at in range(len(token) - 1)
    ]
    wrong.append(f"/preferences/{api.unsubscribes.make(project, key, '')}")
    wrong.append(f"/preferences/{api.preferences.make(project, key, now)}")
    for path_of_nobody in wrong:
        assert (await send(api, path_of_nobody, on=[], pause="on")).status == 404, path_of_nobody
    for call in (Api.get, Api.post):
        page = await call(api.anyone, wrong[-1], headers=PERSON)
        assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "does not work any more" in page.body.decode()
        program = await call(api.anyone, wrong[-1])
        assert (program.status, program.json["code"]) == (404, "not_found")
    assert (await ledger(api), (await own(api))["marketing_paused_until"]) == ([], None)
    assert (await send(api, path)).status == 303
    api.world.clock.advance(hours=24)
    assert (await send(api, path)).status == 404


async def test_a_link_opens_its_own_project_and_person_only(api: ApiWorld) -> None:
    user = await api.world.store.users.get(api.world.project.key, "u1")
    assert user is not None
    later = api.world.clock.now() + DAY_MS
    other = (await api.world.begin("Other")).project
    stranger = await api.world.store.users.resolve(other.key, ["s"], later, create=True)
    for project, person in ((other.key, user.key), (user.project, stranger["s"]), (user.project + 99, user.key)):
        assert (await send(api, f"/preferences/{api.preferences.make(project, person, later)}", on=[])).status == 404
    assert await ledger(api) == []


async def test_the_link_of_somebody_who_is_gone(api: ApiWorld) -> None:
    path = await link(api)
    await api.server.delete("/v1/users/u1")
    assert (await send(api, path)).status == 404


async def test_links_of_a_visitor_who_logged_in_are_theirs(api: ApiWorld) -> None:
    made = await api.browser.post("/v1/sdk/devices", subscription())
    visitor, project = made.json["user_id"], api.world.project
    key = (await api.world.store.users.get(project.key, visitor)).key
    unsubscribe = f"/unsubscribe/{api.unsubscribes.make(project.key, key, 'general')}"
    page = f"/preferences/{api.preferences.make(project.key, key, api.world.clock.now() + DAY_MS)}"
    await api.world.pipeline.merge(project, await api.world.store.users.get(project.key, visitor), "u1")
    assert (await api.anyone.post(unsubscribe)).status == 200
    assert (await send(api, page, on=["offers/push"])).status == 303
    said = {(line["category"], line["channel"]): line["granted"] for line in await ledger(api)}
    assert said == {("general", "push"): False, ("general", "email"): False, ("offers", "push"): True}


async def test_the_visitors_language(api: ApiWorld) -> None:
    titles = {"titles": {"de": "Angebote", "pt-BR": "Ofertas"}, "descriptions": {"de": "Einmal die Woche."}}
    put = await api.server.put("/v1/categories/offers", {"title": "Offers", "class": "marketing", **titles})
    assert put.json["titles"] == titles["titles"]
    path = await link(api)
    for header, language, title in (
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Angebote"),
        ("fr;q=0.5, es", "es", "Offers"),
        ("pt-BR, fr;q=0.1", "fr", "Ofertas"),
        ("ja", "en", "Offers"),
    ):
        page = await api.anyone.get(path, headers={**PERSON, "Accept-Language": header})
        assert f'<html lang="{language}">' in page.body.decode()
        assert title in page.body.decode()
        assert page.headers["vary"] == "accept-language"
        gone = await api.anyone.get("/preferences/x", headers={**PERSON, "Accept-Language": header})
        assert f'<html lang="{language}">' in gone.body.decode()


@pytest.mark.parametrize("header", ["", ",;,", "de;q=x", "de;q=0", "*;q=-1", ";" * 900, "x" * 5_000])
def test_any_header_is_some_language(header: str) -> None:
    assert chosen(wanted(header), ("en", "de"), "en") == "en"


async def test_what_a_project_writes_is_shown_as_text(api: ApiWorld) -> None:
    await api.world.define("categories", name="odd", title="<script>alert(1)</script>", description='"><b>')
    text = (await api.anyone.get(await link(api), headers=PERSON)).body.decode()
    assert "<script>" not in text
    assert "<b>" not in text


async def test_the_page_of_an_unsubscribe_link_leads_to_all_settings(api: ApiWorld) -> None:
    user = await api.world.store.users.get(api.world.project.key, "u1")
    assert user is not None
    page = await api.anyone.post(f"/unsubscribe/{api.unsubscribes.make(user.project, user.key, 'general')}")
    assert page.status == 200, "RFC 8058: the answer to the one click is no redirect"
    path = page.body.decode().partition('href="')[2].partition('"')[0]
    path = unescape(path).removeprefix("https://push.example")
    assert (await api.anyone.get(path, headers=PERSON)).status == 200
    api.world.clock.advance(hours=1)
    assert (await api.anyone.get(path, headers=PERSON)).status == 404


@pytest.mark.parametrize("days", ["0", "366", "x"])
async def test_a_links_life_has_bounds(api: ApiWorld, days: str) -> None:
    refused = await api.server.post(f"/v1/users/u1/preferences_link?days={days}")
    assert (refused.status, list(refused.fields)) == (400, ["days"])


async def test_only_a_key_that_may_write_makes_links(api: ApiWorld) -> None:
    reader = await api.key(kind="server", name="reader", scopes=["read"])
    assert (await reader.post("/v1/users/u1/preferences_link")).status == 403
    assert (await api.browser.post("/v1/users/u1/preferences_link")).status == 403
