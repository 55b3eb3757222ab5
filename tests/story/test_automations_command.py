"""`clarion automations`: which there are, and where people are."""

import msgspec

from clarion.api.answers.automations import CountsAnswer
from clarion.api.answers.base import Answer
from clarion.cli.automations import drawn
from clarion.journey.automations.flow import Flow
from clarion.journey.automations.ready_made import Welcome, made_of
from clarion.model import Ended
from clarion.ports import StepCount


def test_the_steps_are_drawn_with_who_is_there() -> None:
    automation = made_of(Welcome(), "welcome", "hello")
    counts = [StepCount(1, 1, None, 1204), StepCount(1, 4, Ended.DONE, 3), StepCount(1, 0, Ended.GOAL, 2)]
    answer: Answer = CountsAnswer.of(Flow(automation), [*counts, StepCount(2, 1, None, 7)])
    assert list(drawn(automation, msgspec.to_builtins(answer))) == [
        "hello, version 1: begins at signed_up",
        "├─ 1. Send “Welcome to {{ project.name }}”",
        "├─ 2. Wait 2 days  1,204 here",
        "├─ 3. Wait until it is 10:00 where they are",
        "├─ 4. Send “Shall we show you around?”",
        "├─ 5. Wait 2 days",
        "├─ 6. Wait until it is 10:00 where they are",
        "└─ 7. Send “Your account is ready”",
        "ends at its goal: order",
        "under way: 1,211 (7 on earlier versions); ended: 3 done, 2 goal",
    ]
