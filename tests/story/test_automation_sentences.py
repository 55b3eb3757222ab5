"""Automations in words: what begins them, what their steps do, and where each leads."""

from typing import Any

import msgspec
import pytest

from clarion.journey.automations.flow import END, Flow
from clarion.journey.automations.sentences import begins, reentry, told, ways
from clarion.model import Automation
from clarion.model.automations import Entry, Step
from clarion.model.segments import Duration


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ({"event": "order"}, "at order"),
        ({"event": "order", "where": {"paid": True}, "key": "id"}, "at order (paid = true), one for each id"),
        ({"segment": "loyal"}, "when somebody enters the segment loyal"),
        ({"segment": "loyal", "when": "leaves"}, "when somebody leaves the segment loyal"),
        ({"attribute": "due"}, "on the date in due, at 09:00 where they are"),
        (
            {"attribute": "birthday", "days": -1, "yearly": True, "at": "08:00"},
            "1 day before the date in birthday, every year, at 08:00 where they are",
        ),
        ({"attribute": "due", "days": 3}, "3 days after the date in due, at 09:00 where they are"),
        ({"api": True}, "by a call"),
    ],
)
def test_what_begins_it(on: dict[str, Any], words: str) -> None:
    assert begins(msgspec.convert(on, Entry)) == words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"type": "send", "notification": {"title": "Hello"}}, "Send “Hello”"),
        ({"type": "send", "notification": {"template": "hi"}}, "Send the template hi"),
        ({"type": "send", "notification": {"variants": [{"key": "a", "title": "A"}]}}, "Send “A”"),
        ({"type": "delay", "for": {"days": 1, "hours": 2}}, "Wait 1 day 2 hours"),
        ({"type": "delay", "until": {"at": "10:00"}}, "Wait until it is 10:00 where they are"),
        (
            {"type": "delay", "window": {"start": "09:00", "end": "17:00", "days": ["mon", "fri"]}},
            "Wait until it is between 09:00 and 17:00 where they are on Monday or Friday",
        ),
        (
            {"type": "wait", "for": {"event": "pay", "where": {"n": 2}, "same": ["id"]}, "timeout": {"days": 2}},
            "Wait for pay (n = 2 and the same id), at most 2 days",
        ),
        ({"type": "branch", "paths": [{"to": "x", "percent": 5}]}, "Branch"),
        ({"type": "update_user", "attributes": {"stage": "won", "old": None}}, 'Set stage = "won", old = null'),
        ({"type": "webhook", "url": "https://x.example/"}, "Call https://x.example/"),
        ({"type": "exit"}, "End"),
    ],
)
def test_what_a_step_does(step: dict[str, Any], words: str) -> None:
    assert told(msgspec.convert(step, Step)) == words


def test_where_steps_lead() -> None:
    gold = {"type": "attribute", "attribute": "plan", "op": "eq", "value": "gold"}
    wait = {"type": "wait", "for": {"event": "pay"}, "timeout": {"days": 2}}
    steps = [
        {"type": "branch", "paths": [{"to": "b", "if": gold}, {"to": "b", "percent": 12.5}]},
        {**wait, "on_timeout": "b"},
        {**wait, "id": "b", "next": "end"},
        {"type": "exit", "id": "end"},
    ]
    flow = Flow(msgspec.convert({"name": "a", "on": {"event": "e"}, "steps": steps}, Automation))
    assert [[tuple(way) for way in ways(flow, at)] for at in range(4)] == [
        [('people whose plan is "gold"', 2), ("12.5 % by chance", 2), ("else", 1)],
        [("if it comes", 2), ("if it does not", 2)],
        [("", 3)],
        [("", END)],
    ]


def test_who_may_come_again() -> None:
    assert [reentry(one) for one in ("always", "never", Duration(days=7))] == [
        "any number of times",
        "once",
        "again 7 days after it began",
    ]
