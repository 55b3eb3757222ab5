"""Events from a file: what is good is kept, what is not is told by its line, and a second time changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from story.terminal import Running, Shop, process

pytestmark = pytest.mark.process

CSV = """\
customer,name,occurred_at,sku,qty,postcode
u1,order,2026-10-01,A,2,01234
u2,order,2026-10-02T10:00:00,"B, large",1.5,90210
u2,,2026-10-02T10:00:00,B,1,1
u3,order,yesterday,C,1,1
u3,order
u1,order,2026-10-01,A,2,01234
"""
LINES = [
    b'{"user_id": "u1", "name": "seen", "properties": {"page": "/a"}, "id": "s1"}',
    b"",
    b'{"user_id": "u1", "name": "seen"',
    b'{"user_id": "u1", "what": "seen"}',
    b"\xff\xfe",
    b'{"user_id": "u1", "kind": "left"}',
    b'["u1"]',
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    data = tmp_path_factory.mktemp("imports")
    key = process("project", "create", "The shop", "--data", data, "--json").json["server_key"]
    server = Running("serve", data)
    yield Shop(server.url, data, key)
    assert server.end() == 0


@pytest.mark.parametrize("door", ["server", "folder"])
def test_a_csv_file_is_brought_in_once(shop: Shop, tmp_path: Path, door: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(CSV.replace("u1", f"{door}1").replace("u2", f"{door}2"))
    where = ["--server", shop.url, "--key", shop.key] if door == "server" else ["--data", shop.data]
    asked = ["events", "import", file, "--column", "user_id=customer", *where, "--json"]
    first, again = process(*asked), process(*asked)
    assert first.code == again.code == 1
    told = json.loads(first.out)
    assert (told["accepted"], told["duplicates"]) == (3, 0)
    assert [error["line"] for error in told["errors"]] == [4, 5, 6]
    assert [error["message"].partition(":")[0] for error in told["errors"][:2]] == ["name", "occurred_at"]
    assert json.loads(again.out) | {"errors": []} == {"accepted": 0, "duplicates": 3, "errors": []}
    [chapter] = process("explain", "--user", f"{door}2", "--data", shop.data, "--json").json["chapters"]
    assert chapter["at"] == "2026-10-02T10:00:00.000Z"
    assert chapter["detail"]["properties"] == {"sku": "B, large", "qty": 1.5, "postcode": 90210}
    chapters = process("explain", "--user", f"{door}1", "--data", shop.data, "--json").json["chapters"]
    assert [one["detail"]["properties"]["postcode"] for one in chapters] == ["01234", "01234"]


def test_lines_of_json_are_brought_in(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "seen.ndjson"
    file.write_bytes(b"\n".join(LINES))
    asked = ["events", "import", file, "--column", "name=kind", "--name", "other", "--data", shop.data, "--json"]
    told = process(*asked)
    assert told.code == 1
    answer = json.loads(told.out)
    assert (answer["accepted"], [error["line"] for error in answer["errors"]]) == (2, [3, 4, 5, 7])
    assert "what" in answer["errors"][1]["message"]
    assert answer["errors"][3]["message"] == "is not a JSON object: must be an object, got a list"


def test_more_than_a_batch_is_sent_in_batches(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text("user_id\n" + "".join(f"many{number % 7}\n" for number in range(2_500)))
    told = process("events", "import", file, "--name", "came", "--server", shop.url, "--key", shop.key)
    assert told.code == 0, told.err
    assert "2,500 events" in told.out


@pytest.mark.parametrize(
    ("content", "flags", "words"),
    [
        ("a,b\n1,2\n", [], "has no user_id and no name"),
        ("user_id,name\n", ["--column", "user=a"], "OURS is one of user_id"),
        (None, [], "cannot be read"),
    ],
)
def test_what_is_no_file_of_events_is_refused(
    shop: Shop, tmp_path: Path, content: str | None, flags: list[str], words: str
) -> None:
    file = tmp_path / "wrong.csv"
    if content is not None:
        file.write_text(content)
    refused = process("events", "import", file, *flags, "--data", shop.data)
    assert refused.code in {1, 2}
    assert words in " ".join(refused.err.split())


@pytest.mark.parametrize(
    ("heading", "columns", "words"),
    [
        ("user_id,name", ["user_id=customer"], "has no column customer"),
        ("user_id,name,name", [], "has two columns for name"),
        ("user_id,customer,name", ["user_id=customer"], "has two columns for user_id"),
    ],
)
def test_a_heading_that_can_be_read_in_two_ways_is_refused(
    shop: Shop, tmp_path: Path, heading: str, columns: list[str], words: str
) -> None:
    file = tmp_path / "o.csv"
    file.write_text(f"{heading}\n{heading.replace('_', '')}\n")
    told = process("events", "import", file, *(f"--column={one}" for one in columns), "--data", shop.data)
    assert told.code == 1
    assert words in " ".join(told.err.split())


def test_under_another_name_it_is_another_event(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "named.csv"
    file.write_text("user_id,sku\nnamed,A\n")
    asked = ["events", "import", file, "--data", shop.data, "--name"]
    told = [process(*asked, name).out for name in ("ordered", "order", "order")]
    assert told == ["✓ 1 event\n", "✓ 1 event\n", "✓ 0 events, 1 known already\n"]
