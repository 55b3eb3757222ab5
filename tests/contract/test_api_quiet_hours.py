"""Quiet hours through the API: of the project, of a category, of a person; what never opens is refused by its field."""

import pytest

from contract.api_world import ApiWorld

NIGHT = {"start": "22:00", "end": "08:00"}
WHOLE = {"start": "22:00", "end": "08:00", "days": None}


async def test_a_project_has_quiet_hours_until_it_says_null(api: ApiWorld) -> None:
    before = (await api.server.get("/v1/project")).json
    assert (before["quiet_hours"], before["quiet_hours_spread_s"], before["missing_zone"]) == (None, 900, "default")
    told = {"quiet_hours": NIGHT, "quiet_hours_spread_s": 60, "missing_zone": "hold_quiet"}
    changed = (await api.server.put("/v1/project", told)).json
    assert changed == {**before, **told, "quiet_hours": WHOLE}
    assert (await api.server.put("/v1/project", {"name": "Shop"})).json == changed
    assert (await api.server.put("/v1/project", {"quiet_hours": None})).json["quiet_hours"] is None


WRONG = [
    ({"start": "22:00", "end": "22:00"}, "quiet_hours.end", "never opens"),
    ({"start": "00:00", "end": "24:00"}, "quiet_hours.days", "never opens"),
    ({"start": "24:00", "end": "08:00"}, "quiet_hours.start", "time of day such as 22:00"),
    ({"start": "22:00", "end": "8:00"}, "quiet_hours.end", "time of day such as 08:00"),
    ({"start": "22:00"}, "quiet_hours.end", "required"),
    ({**NIGHT, "days": ["mon", "funday"]}, "quiet_hours.days[1]", "mon"),
    ({**NIGHT, "days": []}, "quiet_hours.days", "1"),
    ({**NIGHT, "zone": "UTC"}, "quiet_hours.zone", "not a field"),
]


@pytest.mark.parametrize(("hours", "field", "word"), WRONG)
async def test_what_cannot_be_is_refused_wherever_it_is_said(api: ApiWorld, hours: dict, field: str, word: str) -> None:
    for path, more in (
        ("/v1/project", {}),
        ("/v1/users/u1/preferences", {}),
        ("/v1/categories/general", {"class": "informational"}),
    ):
        refused = await api.server.put(path, {"quiet_hours": hours, **more})
        assert refused.status == 400, refused
        assert word in refused.fields[field], refused.fields
    assert (await api.server.get("/v1/project")).json["quiet_hours"] is None
    assert (await api.server.get("/v1/users/u1")).status == 404


async def test_every_day_is_no_days_and_days_come_in_their_order(api: ApiWorld) -> None:
    for days, kept in (
        (["sun", "fri", "sun"], ["fri", "sun"]),
        (["sun", "mon", "tue", "wed", "thu", "fri", "sat"], None),
    ):
        told = await api.server.put("/v1/project", {"quiet_hours": {**NIGHT, "days": days}})
        assert told.json["quiet_hours"]["days"] == kept


@pytest.mark.parametrize(
    ("class_", "hours", "word"),
    [("marketing", "none", "marketing never passes"), ("mandatory", NIGHT, "mandatory messages pass")],
)
async def test_a_category_that_contradicts_its_class_is_refused(api: ApiWorld, class_: str, hours, word: str) -> None:
    refused = await api.server.put("/v1/categories/c", {"class": class_, "quiet_hours": hours})
    assert (refused.status, word in refused.fields["quiet_hours"]) == (400, True)


async def test_a_category_has_its_own_or_none(api: ApiWorld) -> None:
    for told, shown in ((NIGHT, WHOLE), ("none", "none"), (None, None)):
        await api.server.put("/v1/categories/general", {"quiet_hours": told})
        assert (await api.server.get("/v1/categories/general")).json["quiet_hours"] == shown


async def test_a_person_asks_and_takes_it_back(api: ApiWorld) -> None:
    assert (await api.server.get("/v1/users/u1/preferences")).status == 404
    told = await api.server.put("/v1/users/u1/preferences", {"quiet_hours": NIGHT})
    assert told.json == {"quiet_hours": WHOLE, "marketing_paused_until": None}
    pause = {"marketing_paused_until": "2027-02-01T00:00:00+01:00"}
    both = (await api.server.put("/v1/users/u1/preferences", pause)).json
    assert both == {"quiet_hours": WHOLE, "marketing_paused_until": "2027-01-31T23:00:00.000Z"}
    assert (await api.server.get("/v1/users/u1/preferences")).json == both
    assert (await api.server.get("/v1/users/u1/export")).json["preferences"] == both
    nothing = {"quiet_hours": None, "marketing_paused_until": None}
    assert (await api.server.put("/v1/users/u1/preferences", nothing)).json == nothing
