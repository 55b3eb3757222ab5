"""A young table, of which PostgreSQL has no statistics yet, is not read as a whole: not for ids, not for each one."""

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Connection, create_engine, text

from clarion.model import Rule
from clarion.model import segments as rules
from clarion.ports import Crowd
from clarion.storage.audiences import _planned
from clarion.storage.crowds import matching
from clarion.storage.database import Row, looked_up
from clarion.storage.postgres_dialect import PostgresDialect, driver_of
from contract.support import NOW

pytestmark = pytest.mark.postgres
YOUNG = """
INSERT INTO person (project, id, attributes, anonymous, created_at, updated_at, bucket)
SELECT 1, 'u' || n, '{}', false, 0, 0, 0 FROM generate_series(1, 20000) AS n
"""


class Explaining(PostgresDialect):
    """Tells the plan of a statement instead of its rows."""

    def rows(self, conn: Connection, columns: Sequence[str], rest: str, *values: object) -> list[Row]:
        sql = f"EXPLAIN SELECT {', '.join(columns)} {rest}".replace("?", "%s")
        return [(line, "") for (line,) in driver_of(conn).execute(sql.encode(), values).fetchall()]


@pytest.fixture
def young(postgres_url: str) -> Iterator[Connection]:
    """Filled in a transaction that is still open, so that nobody has analysed it."""
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as conn:
        conn.execute(text("DELETE FROM pg_statistic WHERE starelid = 'person'::regclass"))
        conn.execute(text(YOUNG))
        yield conn
        conn.rollback()
    engine.dispose()


def test_people_are_found_by_project_and_id_at_once(young: Connection) -> None:
    ids = [f"u{number}" for number in range(1_000)]
    plan = "\n".join(line for line, _ in looked_up(young, Explaining(), "key", "person", 1, ids))
    assert "Index Cond: ((project = '1'::bigint) AND (id = " in plan.replace("'1'::smallint", "'1'::bigint"), plan


@pytest.mark.parametrize("users", [None, list(range(1_000))])
def test_what_people_did_is_hashed_not_looked_through_for_each(young: Connection, users: list[int] | None) -> None:
    often, of_late = (rules.Did(event="order", at_least=times) for times in (2, 1))
    crowd = Crowd("x", rules.AllOf(rules=[often, rules.Not(rule=of_late)]), {}, NOW)
    with _planned(young, crowd):
        words = matching(young, 1, crowd, users).compile(young, compile_kwargs={"literal_binds": True})
        plan = "\n".join(young.execute(text(f"EXPLAIN {words}")).scalars())
    assert "Nested Loop" not in plan, plan
    assert young.execute(text("SHOW enable_nestloop")).scalar() == "on"


@pytest.mark.parametrize(
    ("rule", "loops"),
    [(rules.Subscribed(topic="news"), "on"), (rules.InSegment(segment="list"), "on"), (rules.Did(event="x"), "off")],
    ids=["topic", "list", "rule"],
)
def test_a_short_list_is_looked_up_person_by_person(young: Connection, rule: Rule, loops: str) -> None:
    with _planned(young, Crowd("x", rule, {"list": None}, NOW)):
        assert young.execute(text("SHOW enable_nestloop")).scalar() == loops
    with _planned(young, Crowd("x", rule, {"list": None}, NOW), joined=True):
        assert young.execute(text("SHOW enable_nestloop")).scalar() == "off"
