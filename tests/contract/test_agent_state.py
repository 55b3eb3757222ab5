"""What an agent keeps on disk: whole after a crash, for its owner alone, and bounded."""

import os
import sqlite3
from pathlib import Path

import pytest

from clarion.agent import inbox as inbox_module
from clarion.agent import outbox as outbox_module
from clarion.agent import paths
from clarion.agent.inbox import Inbox
from clarion.agent.lock import Lock, held
from clarion.agent.on_screen import OnScreen
from clarion.agent.outbox import Outbox
from clarion.agent.state import State
from clarion.errors import ConfigurationError
from clarion.model import ReceiptKind
from contract.support_agent import payload

AT = "2026-11-26T10:00:00.000Z"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "agent.db")


def test_it_is_the_same_device_after_a_restart(tmp_path: Path) -> None:
    first = State(tmp_path / "deep" / "agent.db")
    first.keep(uaid="a" * 32, device_id="d")
    first.close()
    second = State(tmp_path / "deep" / "agent.db")
    assert second.kept == first.kept
    assert second.kept.receiver.keys() == first.kept.receiver.keys()


def test_two_devices_have_nothing_in_common(tmp_path: Path) -> None:
    one, other = State(tmp_path / "1.db").kept, State(tmp_path / "2.db").kept
    assert one.installation != other.installation
    assert one.private != other.private


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "agent.db"
    before = os.umask(0)
    try:
        State(path).keep(user_token="secret")
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        path.chmod(0o644)  # somebody restored it from a backup
        State(path)
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_what_is_no_state_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but somebody's notes, and long enough to look like a file with a header")
    for path in (text, tmp_path):
        with pytest.raises(ConfigurationError, match="--state"):
            State(path)
    assert text.read_text().startswith("not a database")


def test_a_state_whose_content_is_broken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    State(path).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE kept SET what = '{}'")
    with pytest.raises(ConfigurationError, match="installation"):
        State(path)


def test_a_state_of_another_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    State(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(ConfigurationError, match=r"another version.*99"):
        State(path)


def test_a_broken_transaction_leaves_nothing(state: State) -> None:
    inbox, outbox = Inbox(state.db), Outbox(state.db)

    def take() -> None:
        with state.transaction():
            assert inbox.take("d1", "t", b"x")
            outbox.add(payload(), ReceiptKind.DELIVERED, AT)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        take()
    assert (inbox.waiting(), len(outbox)) == ([], 0)
    assert inbox.take("d1", "t", b"x"), "its id is not remembered either"


def test_another_server_learns_nothing_of_this_one(state: State) -> None:
    state.keep(server="https://a", uaid="u", endpoint="e", user_token="secret", device_id="d", told="x")
    before = state.kept
    state.forget_server()
    assert (state.kept.private, state.kept.installation) == (before.private, before.installation)
    assert {
        getattr(state.kept, name) for name in ("server", "uaid", "endpoint", "user_token", "device_id", "told")
    } == {None}


def test_one_agent_a_state(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    assert not held(path)
    lock = Lock(path)
    assert held(path)
    with pytest.raises(ConfigurationError, match="already runs"):
        Lock(path)
    lock.release()
    Lock(path).release()


# --- messages --------------------------------------------------------------------------------------------------------


def test_an_id_is_taken_once_also_after_a_restart(tmp_path: Path, state: State) -> None:
    assert Inbox(state.db).take("d1", "t", b"x")
    Inbox(state.db).done("d1")
    state.close()
    again = Inbox(State(tmp_path / "agent.db").db)
    assert not again.take("d1", "t", b"x")
    assert again.waiting() == []


def test_a_newer_message_of_a_tag_takes_the_place_of_a_waiting_one(state: State) -> None:
    inbox = Inbox(state.db)
    for id, tag in (("d1", "a"), ("d2", "b"), ("d3", "a")):
        assert inbox.take(id, tag, id.encode())
    assert [message.id for message in inbox.waiting()] == ["d2", "d3"]
    assert not inbox.attempt("d1")


def test_what_is_remembered_is_bounded(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "REMEMBERED", 20)
    monkeypatch.setattr(inbox_module, "CAPACITY", 5)
    inbox = Inbox(state.db)
    for number in range(50):
        assert inbox.take(f"d{number}", f"t{number}", b"")
    assert [message.id for message in inbox.waiting()] == [f"d{number}" for number in range(45, 50)]
    assert state.db.execute("SELECT count(*) FROM seen").fetchone() == (20,)
    assert not inbox.take("d30", "t", b"")
    assert inbox.take("d29", "t", b""), "forgotten, as it was the oldest"


def test_doubts_and_failures_are_kept(tmp_path: Path, state: State) -> None:
    inbox = Inbox(state.db)
    inbox.take("d1", "a", b"")
    inbox.attempt("d1")
    state.close()
    [message] = Inbox(State(tmp_path / "agent.db").db).waiting()
    assert (message.attempted, message.failures) == (True, 0)
    again = Inbox(State(tmp_path / "agent.db").db)
    again.failed("d1")
    [message] = again.waiting()
    assert (message.attempted, message.failures) == (False, 1)


def test_what_stands_on_the_screen_is_taken_once(state: State) -> None:
    on_screen = OnScreen(state.db)
    on_screen.put("a", b"old", "bus 1")
    on_screen.put("a", b"new", "bus 1")
    on_screen.put("b", b"other", None)
    assert on_screen.handles() == {"a": "bus 1"}
    assert on_screen.take("a") == b"new"
    assert on_screen.take("a") is None


# --- receipts --------------------------------------------------------------------------------------------------------


def test_receipts_go_out_in_order_one_address_at_a_time(state: State) -> None:
    outbox = Outbox(state.db)
    for number, url in enumerate(["http://a", "http://b", "http://a"]):
        outbox.add(payload(f"d{number}", receipts_url=url), ReceiptKind.CLICKED, AT, "go")
    batch = outbox.batch(10)
    assert [(each.url, each.receipt, each.action) for each in batch] == [
        ("http://a", "receipt of d0", "go"),
        ("http://a", "receipt of d2", "go"),
    ]
    outbox.drop(batch)
    assert [each.url for each in outbox.batch(10)] == ["http://b"]


def test_receipts_are_bounded(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "CAPACITY", 3)
    outbox = Outbox(state.db)
    for number in range(10):
        outbox.add(payload(f"d{number}"), ReceiptKind.DELIVERED, AT)
    assert [each.receipt for each in outbox.batch(10)] == [f"receipt of d{number}" for number in (7, 8, 9)]


# --- places ----------------------------------------------------------------------------------------------------------


def test_each_system_has_its_own_places() -> None:
    home = Path.home()
    assert paths.state_file({}, "linux") == home / ".local/state/clarion/agent.db"
    assert paths.state_file({"XDG_STATE_HOME": "/x"}, "linux") == Path("/x/clarion/agent.db")
    assert paths.state_file({"XDG_STATE_HOME": "relative"}, "linux") == home / ".local/state/clarion/agent.db"
    assert paths.state_file({}, "darwin") == home / "Library/Application Support/clarion/agent.db"
    assert paths.state_file({"LOCALAPPDATA": "/local"}, "win32") == Path("/local/clarion/agent.db")
    assert paths.settings_file({}, "linux") == home / ".config/clarion/agent.json"
    assert paths.cache_folder({}, "darwin") == home / "Library/Caches/clarion"
    assert paths.unit_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/systemd/user/clarion-agent.service")
