"""Templates on their way: languages, kinds of devices, partials, versions, and what is missing."""

from clarion.journey.texts import versions
from clarion.model import Audience, Content, Message, Template, UserChange
from story.world import World, payload, titles

ORDER = {
    "name": "order",
    "default_locale": "en",
    "version": 1,
    "locales": {
        "en": {"title": "{{ data.n | plural(one='One parcel', other='Parcels') }}", "body": "{{ data.at | time }}"},
        "de": {
            "title": "{{ data.price | money('EUR') }}",
            "body": "{% include 'footer' %}",
            "platforms": {
                "webpush": {"title": "Im Browser: {{ user.name }}", "image": "https://x.example/{{ data.n }}"}
            },
        },
    },
}
FOOTER = {"name": "footer", "locales": {"en": "Yours", "de": "Dein {{ project.name }}, {{ data.at | time }}"}}
DATA = {"n": 1, "price": 9.5, "at": "2026-12-24T16:30:00Z"}


async def person(world: World, id: str, **change: object) -> None:
    await world.store.users.put(world.project.key, id, UserChange(**change), world.clock.now())  # type: ignore[arg-type]
    await world.subscribe(id)


async def test_everybody_reads_their_own_language_and_clock(world: World) -> None:
    await world.define("partials", **FOOTER)
    await world.define("templates", **ORDER)
    await person(world, "vienna", locale="de-AT", timezone="Europe/Vienna", attributes={"name": "Ada"})
    await person(world, "tokyo", locale="ja", timezone="Asia/Tokyo")
    await person(world, "nowhere")
    await world.notify("vienna", "tokyo", "nowhere", title=None, template="order", data=DATA)
    await world.work()
    got = {payload(one)["body"]: payload(one) for one in world.browser.sent}
    assert set(got) == {"Dein Shop, 17:30", "1:30\u202fAM", "4:30\u202fPM"}
    assert got["Dein Shop, 17:30"]["title"] == "Im Browser: Ada"
    assert got["Dein Shop, 17:30"]["image"] == "https://x.example/1"
    assert got["4:30\u202fPM"]["title"] == "One parcel"


async def test_nothing_half_empty_is_sent(world: World) -> None:
    await world.define("partials", **FOOTER)
    await world.define("templates", **ORDER)
    await person(world, "named", locale="de", attributes={"name": "Ada"})
    await person(world, "unnamed", locale="de", attributes={"name": None})
    await person(world, "nameless", locale="de")
    sent = await world.notify("named", "nameless", title=None, template="order", data=DATA)
    await world.work()
    assert titles(world.browser.sent) == ["Im Browser: Ada"]
    assert await world.reasons(sent) == {"named": "send", "nameless": "template_error"}
    gates = {one.user_id: one.gates for one in await world.decisions(sent)}
    assert "user.name" in str(gates["nameless"])
    assert "order, version 1" in str(gates["named"])


async def test_a_notification_stays_on_the_version_that_it_names(world: World) -> None:
    definitions, key = world.store.definitions, world.project.key
    for title in ("first", "second"):
        kept = await versions.keep(definitions, key, template(title), world.clock.now())
        await definitions.put(key, "templates", "t", versions.as_stored(kept), world.clock.now())
    await world.catalog.changed()
    await world.subscribe("u1")
    pinned = await world.notify("u1", title=None, template="t", template_version=1)
    newest = await world.notify("u1", title=None, template="t")
    await world.work()
    assert sorted(titles(world.browser.sent)) == ["first", "second"]
    for sent, told in ((pinned, "t, version 1"), (newest, "t, version 2")):
        [decision] = await world.decisions(sent)
        assert told in str(decision.gates)


async def test_a_template_that_went_is_told_and_its_version_stays(world: World) -> None:
    definitions, key = world.store.definitions, world.project.key
    kept = await versions.keep(definitions, key, template("kept"), world.clock.now())
    await definitions.put(key, "templates", "t", versions.as_stored(kept), world.clock.now())
    await world.catalog.changed()
    await world.subscribe("u1")
    in_an_hour = world.clock.now() + 3_600_000
    unpinned = await world.notify("u1", title=None, template="t", send_at=in_an_hour)
    await world.notify("u1", title=None, template="t", template_version=1, send_at=in_an_hour)
    await definitions.delete(key, "templates", "t")
    await world.catalog.changed()
    world.clock.advance(3_600_000)
    await world.work()
    assert titles(world.browser.sent) == ["kept"]
    assert await world.reasons(unpinned) == {"u1": "template_error"}
    again = await versions.keep(definitions, key, template("new"), world.clock.now())
    assert again.version == 2  # a number never means two things


def template(title: str) -> Template:
    return Template(name="t", locales={"en": Content(title=title)})


async def test_a_message_goes_before_the_template_for_every_kind(world: World) -> None:
    await world.define("partials", **FOOTER)
    await world.define("templates", **ORDER)
    await person(world, "u1", locale="de", attributes={"name": "Ada"})
    await world.pipeline.notify(
        world.project,
        Message(template="order", title="My own", image="https://own.example", data=DATA),
        Audience(users=["u1"]),
    )
    await world.work()
    [message] = world.browser.sent
    assert (payload(message)["title"], payload(message)["image"]) == ("My own", "https://own.example")


async def test_null_has_a_default_and_is_no_word(world: World) -> None:
    await person(world, "u1", attributes={"last": {"city": None}})
    await world.notify("u1", title='Off to {{ user.last.city | default("the sea") }}')
    shouted = await world.notify("u1", title="OFF TO {{ user.last.city | upper }}")
    await world.work()
    assert titles(world.browser.sent) == ["Off to the sea"]
    assert await world.reasons(shouted) == {"u1": "template_error"}
    [decision] = await world.decisions(shouted)
    assert "`user.last.city` is undefined or null" in str(decision.gates)
