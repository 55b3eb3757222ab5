"""The link that switches a category off."""

import pytest

from contract.api_world import Api, ApiWorld

PERSON = {"Accept": "text/html,application/xhtml+xml"}
ONE_CLICK = {"Content-Type": "application/x-www-form-urlencoded"}


async def link(api: ApiWorld, category: str = "general", expires_at: int | None = None) -> str:
    await api.server.put("/v1/users/u1", {})
    user = await api.world.store.users.get(api.world.project.key, "u1")
    assert user is not None
    return f"/unsubscribe/{api.unsubscribes.make(api.world.project.key, user.key, category, expires_at)}"


async def ledger(api: ApiWorld) -> list[dict]:
    return (await api.server.get("/v1/users/u1/consent")).json["ledger"]


async def test_reading_the_page_changes_nothing(api: ApiWorld) -> None:
    page = await api.anyone.get(await link(api), headers=PERSON)
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert b'<form method="post">' in page.body
    assert b"Shop" in page.body
    assert await ledger(api) == []


async def test_what_others_add_to_the_link_does_not_break_it(api: ApiWorld) -> None:
    path = f"{await link(api)}?utm_source=mail&fbclid=x"
    assert (await api.anyone.get(path, headers=PERSON)).status == 200
    assert (await api.anyone.post(path, body=b"List-Unsubscribe=One-Click", headers=ONE_CLICK)).status == 200
    assert await ledger(api) != []


@pytest.mark.parametrize("headers", [PERSON, ONE_CLICK, {}])
async def test_one_click_switches_the_category_off(api: ApiWorld, headers: dict) -> None:
    done = await api.anyone.post(await link(api), body=b"List-Unsubscribe=One-Click", headers=headers)
    assert done.status == 200
    lines = await ledger(api)
    assert {(line["category"], line["granted"], line["source"]) for line in lines} == {
        ("general", False, "unsubscribe")
    }
    assert {line["channel"] for line in lines} == {"push", "email", "sms", "inbox"}


async def test_a_title_is_shown_as_text(api: ApiWorld) -> None:
    await api.world.define("categories", name="odd", title="<script>alert(1)</script>")
    page = await api.anyone.get(await link(api, "odd"), headers=PERSON)
    assert b"<script>" not in page.body


async def test_needed_messages_cannot_be_switched_off(api: ApiWorld) -> None:
    await api.world.define("categories", name="security", **{"class": "mandatory", "channels": ["push"]})
    path = await link(api, "security")
    assert b"cannot be switched off" in (await api.anyone.post(path)).body
    assert await ledger(api) == []


async def test_a_category_that_is_gone_is_off_already(api: ApiWorld) -> None:
    assert (await api.anyone.post(await link(api, "gone"))).status == 200


async def test_a_link_that_is_none_of_ours_does_nothing(api: ApiWorld) -> None:
    path = await link(api)
    expired = await link(api, expires_at=api.world.clock.now() - 1)
    for wrong in (path[:-2] + "AA", expired, "/unsubscribe/x"):
        for call in (Api.get, Api.post):
            person = await call(api.anyone, wrong, headers=PERSON)
            assert (person.status, person.headers["content-type"]) == (404, "text/html; charset=utf-8")
            program = await call(api.anyone, wrong)
            assert (program.status, program.json["code"]) == (404, "not_found")
    assert await ledger(api) == []
    await api.server.delete("/v1/users/u1")
    assert (await api.anyone.post(path)).status == 404
