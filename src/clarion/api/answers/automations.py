"""Runs of automations, and how many are where."""

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told, told_or_none
from clarion.journey.automations.flow import END, Flow
from clarion.model import Ended, Json
from clarion.ports import RunRecord, StepCount


class RunAnswer(Answer, frozen=True, kw_only=True):
    """A run: where it is, and when it goes on; `ended`: how it ended."""

    user_id: str
    key: str | None
    version: int
    step: str | None
    began_at: Told
    since: Told
    due_at: Told | None
    ended: Ended | None
    data: Json

    @classmethod
    def of(cls, record: RunRecord, flow: Flow | None) -> "RunAnswer":
        """As the API shows it."""
        run = record.run
        return cls(
            user_id=record.user_id,
            key=run.run_key or None,
            version=run.version,
            step=None if flow is None or run.step == END else flow.label(run.step),
            began_at=told(run.began_at),
            since=told(run.since),
            due_at=told_or_none(run.due_at),
            ended=run.ended,
            data=run.data,
        )


class RunList(Listing, frozen=True, kw_only=True):
    """A page of runs."""

    items: list[RunAnswer]


class Begun(Answer, frozen=True, kw_only=True):
    """How many runs were asked for; which of them begin, their automation's re-entry says."""

    accepted: int


class Cancelled(Answer, frozen=True, kw_only=True):
    """How many runs ended by it."""

    cancelled: int


class SecretAnswer(Answer, frozen=True, kw_only=True):
    """With what we sign."""

    secret: str


class StepRuns(Answer, frozen=True, kw_only=True):
    """A step of the newest version, and how many runs are there."""

    step: str
    type: str
    runs: int


class CountsAnswer(Answer, frozen=True, kw_only=True):
    """`earlier`: under way on earlier versions; `ended`: the last run of each person and key, by how it ended."""

    version: int
    under_way: int
    earlier: int
    steps: list[StepRuns]
    ended: dict[str, int]

    @classmethod
    def of(cls, flow: Flow, counts: list[StepCount]) -> "CountsAnswer":
        """As the API shows it."""
        version = flow.automation.version
        here = {one.step: one.runs for one in counts if one.version == version and one.ended is None}
        ended = dict.fromkeys(Ended, 0)
        for one in counts:
            if one.ended is not None:
                ended[one.ended] += one.runs
        return cls(
            version=version,
            under_way=sum(one.runs for one in counts if one.ended is None),
            earlier=sum(one.runs for one in counts if one.ended is None and one.version != version),
            steps=[
                StepRuns(step=flow.label(at), type=str(step.__struct_config__.tag), runs=here.get(at, 0))
                for at, step in enumerate(flow.steps)
            ],
            ended={how.value: number for how, number in ended.items()},
        )
