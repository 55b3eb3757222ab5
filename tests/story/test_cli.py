"""The command line as a person uses it: a real server, real folders, and what is printed."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import pytest

from clarion import __version__
from clarion.cli import main
from clarion.cli.outcome import print_results
from clarion.cli.table import print_alerts, print_losses, print_story
from clarion.config import load
from free_ports import free_port
from story.terminal import Ended, Running, Shop, environment, process

pytestmark = pytest.mark.process

Clarion: TypeAlias = Callable[..., Ended]


@pytest.fixture
def clarion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clarion:
    """Runs a short command as the program does, without the second that a process takes to start.

    `settings` are environment variables without `CLARION_`.
    """
    for name in os.environ:
        if name.startswith("CLARION_"):
            monkeypatch.delenv(name)

    def run(*arguments: str | Path, **settings: str) -> Ended:
        with monkeypatch.context() as here:
            here.setattr(sys, "argv", ["clarion", *map(str, arguments)])
            for name, value in settings.items():
                here.setenv(f"CLARION_{name}", value)
            with pytest.raises(SystemExit) as end:
                main()
        return Ended(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    data = tmp_path_factory.mktemp("shop")
    key = process("project", "create", "The shop", "--data", data, "--json").json["server_key"]
    server = Running("serve", data)
    yield Shop(server.url, data, key)
    assert server.end() == 0
    assert "error" not in server.logged


# --- words about itself ----------------------------------------------------------------------------------------------


def test_it_tells_its_version(clarion: Clarion) -> None:
    assert clarion("--version").out == f"clarion {__version__}\n"


@pytest.mark.parametrize("command", ["", "serve", "project create", "keys revoke"])
def test_help_ends_well(clarion: Clarion, command: str) -> None:
    ended = clarion(*command.split(), "-h")
    assert ended.code == 0
    assert "Usage:" in ended.out


def test_help_does_not_load_the_platform() -> None:
    heavy = "{'sqlalchemy', 'litestar', 'aiohttp', 'uvicorn'} & set(sys.modules)"
    script = f"import sys\nfrom clarion.cli.app import app\nsys.exit(len({heavy}))"
    assert subprocess.run([sys.executable, "-c", script], env=environment(), check=False).returncode == 0


# --- projects and keys -----------------------------------------------------------------------------------------------


def test_a_project_is_made_with_keys_for_both_sides(clarion: Clarion, tmp_path: Path) -> None:
    made = clarion("project", "create", "The shop", "--data", tmp_path / "new", "--json").json
    assert made.keys() == {"id", "server_key", "public_key", "vapid_public_key"}
    assert made["server_key"].startswith("sk_")
    assert made["public_key"].startswith("pk_")


def test_keys_are_printed_whole_so_that_they_can_be_copied(clarion: Clarion, tmp_path: Path) -> None:
    shown = clarion("project", "create", "The shop", "--data", tmp_path).out
    assert re.search(r"^Server key +sk_[\w-]{43}$", shown, re.MULTILINE)
    assert re.search(r"^VAPID key +[\w-]{87}$", shown, re.MULTILINE)


def test_a_nameless_project_is_refused(clarion: Clarion, tmp_path: Path) -> None:
    ended = clarion("project", "create", " ", "--data", tmp_path)
    assert ended.code == 1
    assert "name: needs at least one character" in ended.err


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_a_key_is_made_listed_and_revoked(clarion: Clarion, shop: Shop, way: str) -> None:
    where = getattr(shop, way)
    made = clarion(
        "keys", "create", "--name", f"{way} ci", "--scope", "read", "--scope", "admin", "--json", *where
    ).json
    assert made["scopes"] == ["read", "admin"]
    assert clarion("keys", "list", "--server", shop.url, "--key", made["key"]).code == 0

    assert clarion("keys", "revoke", made["id"], *where).out == f"Revoked {made['id']}.\n"
    [listed] = [key for key in clarion("keys", "list", "--json", *where).json["items"] if key["id"] == made["id"]]
    assert listed["revoked_at"]
    assert made["key"] not in json.dumps(listed)
    assert re.search(rf"{made['id']} .* {way} ci .* revoked", clarion("keys", "list", *where).out)


def test_a_public_key_is_made_for_sdks(clarion: Clarion, shop: Shop) -> None:
    assert clarion("keys", "create", "--public", *shop.asking).out.startswith("Key         pk_")


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_a_scope_that_is_none_is_named(clarion: Clarion, shop: Shop, way: str) -> None:
    ended = clarion("keys", "create", "--scope", "sned", *getattr(shop, way))
    assert ended.code == 1
    assert "scopes[0]: must be one of" in ended.err


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_revoking_a_key_that_is_none_fails(clarion: Clarion, shop: Shop, way: str) -> None:
    ended = clarion("keys", "revoke", "nobody", *getattr(shop, way))
    assert ended.code == 1
    assert ended.err.startswith("✗ Not found")


# --- sending and explaining ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_what_is_sent_can_be_explained_by_both_doors(clarion: Clarion, shop: Shop, way: str) -> None:
    user = f"ada {way}/ü"
    sent = clarion("send", "--user", user, "--title", "Hello", "--body", "World", "--json", *getattr(shop, way)).json
    shop.wait_until_decided(sent["id"])

    told = clarion("explain", "--user", user, "--json", *shop.asking).json
    assert told == clarion("explain", "--user", user, "--json", *shop.opening).json
    [chapter] = told["chapters"]
    assert chapter["detail"]["reason"] == "no_device"


def test_the_story_is_told_with_the_gates_of_the_decision(clarion: Clarion, shop: Shop) -> None:
    told = clarion("send", "--user", "grace", "--title", "Hello", *shop.asking).out
    notification = re.search(r"[0-9a-f]{32}", told)
    assert notification
    shop.wait_until_decided(notification[0])
    command = told.split("clarion ")[-1].split()
    story = clarion(*command, *shop.asking).out
    assert "Decided to drop: no_device" in story
    assert "✓ consent   on by default" in story
    assert "✗ device    no active device that we can reach" in story
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}  decide", story)


def test_the_gates_of_a_decision_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    gates = [["consent", "pass", "said yes"], ["quiet_hours", "pass", "no quiet hours"]]
    chapter = {"at": "2026-11-26T12:14:14Z", "stage": "decide", "what": "Decided to send"}
    print_story({"user_id": "emmy", "chapters": [chapter | {"detail": {"decision": "send", "gates": gates}}]})
    told = capsys.readouterr().out
    assert "✓ consent     said yes" in told
    assert "✓ quiet_hours no quiet hours" in told


def test_a_hold_is_told_with_its_end(clarion: Clarion, shop: Shop) -> None:
    tomorrow = datetime.now().astimezone() + timedelta(days=1)
    body = {"to": {"users": ["alan"]}, "title": "Hello", "send_at": tomorrow.isoformat()}
    shop.wait_until_decided(shop.answer("/v1/notifications", body)["id"])
    story = clarion("explain", "--user", "alan", *shop.asking).out
    assert "Decided to hold: schedule" in story
    assert f"until {tomorrow:%Y-%m-%d %H:%M:%S}" in story


def test_what_others_wrote_does_not_command_the_terminal(clarion: Clarion, shop: Shop) -> None:
    odd = "[/red]\x1b[31m\x07"
    shop.answer("/v1/events", {"user_id": "mallory", "name": odd, "properties": {odd: odd}})
    shop.answer("/v1/keys", {"name": odd})
    for told in (("explain", "--user", "mallory"), ("keys", "list")):
        ended = clarion(*told, *shop.asking)
        assert ended.code == 0
        assert "[/red]·[31m·" in ended.out
        assert "\x1b" not in ended.out


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_what_is_armed_is_fired_by_its_id(clarion: Clarion, shop: Shop, way: str) -> None:
    door = getattr(shop, way)
    told = clarion("send", "--user", "u1", "--title", "Goal!", "--arm", *door).out
    command = told.split("clarion ")[-1].split()
    assert command[0] == "fire"
    assert re.fullmatch(r"Fired [0-9a-f]{32} at .*Z\.\n", clarion(*command, *door).out)
    fired = clarion(*command, "--json", *door).json
    assert (fired["id"], bool(fired["fired_at"])) == (command[1], True)


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_what_was_sent_is_replaced_and_withdrawn_by_either_door(clarion: Clarion, shop: Shop, way: str) -> None:
    door = getattr(shop, way)
    id = clarion("send", "--user", "u1", "--title", "10 stops away", "--json", *door).json["id"]
    told = clarion("replace", id, "--body", "3 stops away", "--values", '{"stops": 3}', "--renotify", *door)
    assert re.fullmatch(r"Replaced by [0-9a-f]{32}\.\n", told.out), told.err
    update = shop.answer(f"/v1/notifications/{told.out.split()[-1][:-1]}")
    assert update["update"] == {"kind": "replace", "notification_id": id, "renotify": True}
    said = update["request"]
    assert (said["title"], said["body"], said["data"]) == ("10 stops away", "3 stops away", {"stops": 3})
    withdrawn = clarion("withdraw", id, "--json", *door).json["id"]
    assert shop.answer(f"/v1/notifications/{withdrawn}")["update"]["kind"] == "withdraw"
    assert clarion("withdraw", id, *door).out == f"Withdrawn by {withdrawn}.\n"
    late = clarion("replace", id, "--title", "Here", *door)
    assert (late.code, "was withdrawn: send a new one" in " ".join(late.err.split())) == (1, True)
    assert "is needed, or another field" in " ".join(clarion("replace", id, *door).err.split())
    assert "--values takes a JSON object" in clarion("replace", id, "--values", "[]", *door).err


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_runs_are_cancelled_by_either_door(clarion: Clarion, shop: Shop, way: str) -> None:
    door, name = getattr(shop, way), f"trial {way}"
    steps = [{"type": "delay", "for": {"days": 1}}, {"type": "send", "notification": {"title": "Over"}}]
    shop.answer("/v1/automations", {"name": name, "on": {"api": True}, "steps": steps})
    runs = [{"user_id": user, "key": key} for user, key in (("u1", "A"), ("u2", "A"), ("u2", "B"), ("u3", "C"))]
    shop.answer(f"/v1/automations/{quote(name)}/runs", {"runs": runs})
    shop.wait_until(lambda: shop.answer(f"/v1/automations/{quote(name)}/counts")["under_way"] == len(runs))

    def cancel(*which: str) -> str:
        return clarion("automations", "cancel", name, *which, *door).out.strip()

    assert cancel("--run-key", "A", "--user", "u2") == f"1 run of {name} under the key A of the user u2 cancelled."
    assert json.loads(cancel("--run-key", "A", "--json")) == {"cancelled": 1}
    assert cancel("--run-key", "A") == f"No run of {name} under the key A was under way."
    assert cancel("--user", "nobody") == f"No run of {name} of the user nobody was under way."
    assert cancel("--user", "u2") == f"1 run of {name} of the user u2 cancelled."
    assert shop.answer(f"/v1/automations/{quote(name)}/counts")["under_way"] == 1
    unknown = clarion("automations", "cancel", "nope", "--user", "u1", *door)
    assert (unknown.code, "there is no automation nope" in " ".join(unknown.err.split())) == (1, True)
    all_of_them = clarion("automations", "cancel", name, *door)
    assert (all_of_them.code, "--run-key, --user or both" in " ".join(all_of_them.err.split())) == (2, True)


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_results_are_told_by_either_door(clarion: Clarion, shop: Shop, way: str) -> None:
    door = getattr(shop, way)
    id = clarion("send", "--user", "u1", "--title", "Tea", "--json", *door).json["id"]
    assert clarion("results", id, "--json", *door).json["notification_id"] == id
    told = clarion("results", id, *door).out
    assert told.startswith("Success: a click within 1 day.")
    assert "message " in told
    assert clarion("results", "none", *door).code == 1


def test_results_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    against = {"difference": 0.15, "low": 0.046, "high": 0.254, "e_value": 5_660.1}
    some = {"people": 1_300, "clicked": 2, "successes": 60, "settled": 1_200}
    lost = {"key": "plain", **some, "rate": 0.05, "low": 0.0, "high": 0.1, "versus": []}
    won = {"key": "kind", **some, "rate": 0.2, "low": 0.1, "high": 0.4, "versus": [{"arm": "plain", **against}]}
    held = {"key": "control", **some, "settled": 0, "rate": None, "low": None, "high": None, "versus": []}
    winner = {
        "rule": "separates",
        "share": 20,
        "due_at": "then",
        "chosen_at": "now",
        "variant": "kind",
        "people": 4_000,
    }
    goal = {"event": "bought", "within_s": 7_200}
    print_results({"goal": goal, "variants": [lost, won, held], "ahead": "kind", "winner": winner})
    told = capsys.readouterr().out
    assert "bought within 2 hours" in told
    assert re.search(r"plain +1,300 +2 +60 +1,200 +5.00% +━━●━━·{11}", told)
    assert re.search(r"kind +1,300 +2 +60 +1,200 +20.00% +····━━━━●━{7}", told)
    assert re.search(r"control +1,300 +2 +60 +0 *\n", told)
    assert "kind against plain: +15.00 points (+4.60 to +25.40), e-value 5,660" in told
    assert "kind is ahead" in told
    assert "kind won at now; 4,000 more people got it." in told


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_a_wrong_field_is_named_with_what_would_be_right(clarion: Clarion, shop: Shop, way: str) -> None:
    ended = clarion("send", "--user", "u1", "--title", "Hi", "--category", "nope", *getattr(shop, way))
    assert ended.code == 1
    assert "category: there is no category nope" in ended.err


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_a_link_that_is_none_is_refused(clarion: Clarion, shop: Shop, way: str) -> None:
    ended = clarion("send", "--user", "u1", "--title", "Hi", "--url", "javascript:alert(1)", *getattr(shop, way))
    assert ended.code == 1
    assert "url: must be an http:// or https:// URL" in ended.err


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_nobody_has_no_story(clarion: Clarion, shop: Shop, way: str) -> None:
    ended = clarion("explain", "--user", "nobody", *getattr(shop, way))
    assert ended.code == 1
    assert ended.err.startswith("✗ Not found")


# --- alerts ----------------------------------------------------------------------------------------------------------


def test_a_push_service_without_a_credential_is_an_alert_by_both_doors(clarion: Clarion, shop: Shop) -> None:
    assert "All push services take what we send" in clarion("alerts", *shop.asking).out
    phone = {"user_id": "noether", "kind": "apns", "address": "ab" * 32, "permission": "granted"}
    shop.answer("/v1/devices", phone | {"environment": "production", "bundle_id": "com.example.shop"})
    clarion("send", "--user", "noether", "--title", "Hello", *shop.asking)
    shop.wait_until_alarmed()

    [alert] = clarion("alerts", "--json", *shop.asking).json["items"]
    assert (alert["kind"], alert["lane"], alert["credential"]) == ("apns", "production/?", None)
    assert clarion("alerts", "--json", *shop.opening).json["items"] == [alert]
    told = clarion("alerts", *shop.asking).out
    for word in (
        "apns",
        "production/?",
        "bad_credentials",
        "the project has no APNs credential",
        "none",
    ):
        assert word in told
    assert "Delivery queued: provider_down" in clarion("explain", "--user", "noether", *shop.asking).out


def test_whom_we_lose_is_told_by_both_doors(clarion: Clarion, shop: Shop) -> None:
    assert "No message reached anybody" in clarion("losses", "--by", "template", *shop.asking).out
    given = shop.answer("/v1/losses")
    assert clarion("losses", "--json", *shop.asking).json == given
    assert clarion("losses", "--json", *shop.opening).json == given
    assert clarion("losses", "--by", "title", *shop.asking).code == 2


def test_whom_we_lose_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    rate = {"value": 0.024, "low": 0.0162, "high": 0.0355}
    people = {"reached": 1000, "delivered": 24, "tapped": 24, "lost": 24, "opt_outs": 20, "permissions": 4}
    rates = {"delivered_rate": rate, "tap_rate": rate, "loss_rate": rate}
    item = people | rates | {"name": "offers", "subscriptions": 0, "doubled_since": "2027-01-15T08:00:00Z"}
    span = {"since": "2027-01-09T00:00:00Z", "until": "2027-01-16T00:00:00Z"}
    print_losses({"by": "category", "items": [item], **span})
    told = capsys.readouterr().out
    assert re.search(r"offers doubled +1,000 +2.4% +2.40% +2.40% +1.62%-3.55% +20 +4 +0", told)
    assert "2027-01-09 to 2027-01-15 (UTC)" in told


def test_an_alert_of_losses_is_a_line_before_the_table_of_services(capsys: pytest.CaptureFixture[str]) -> None:
    losing = {"alert": "losses_doubled", "by": "category", "name": "offers", "since": "2027-01-15T08:00:00Z"}
    print_alerts({"items": [losing | {"detail": "24 of 1000 people lost (2.40 %), usually 0.80 %"}]})
    told = capsys.readouterr().out
    assert "! category offers: 24 of 1000 people lost (2.40 %), usually 0.80 % since 2027-01-15" in told
    assert "Credential" not in told


# --- which door ------------------------------------------------------------------------------------------------------


def test_the_environment_names_server_and_key(clarion: Clarion, shop: Shop) -> None:
    ended = clarion("keys", "list", "--json", SERVER=shop.url, KEY=shop.key)
    assert len(ended.json["items"]) >= 2


def test_the_environment_names_the_folder(clarion: Clarion, shop: Shop) -> None:
    assert clarion("keys", "list", "--json", DATA=str(shop.data)).json["items"]


def test_without_a_door_it_says_which_there_are(
    clarion: Clarion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = clarion("keys", "list")
    assert ended.code == 2
    assert "CLARION_SERVER and CLARION_KEY" in ended.err
    assert "--data" in ended.err


def test_two_doors_at_once_are_refused(clarion: Clarion, shop: Shop) -> None:
    assert clarion("keys", "list", *shop.asking, *shop.opening).code == 2


def test_a_missing_option_is_a_wrong_command(clarion: Clarion, shop: Shop) -> None:
    ended = clarion("send", "--user", "u1", *shop.asking)
    assert ended.code == 2
    assert "--title" in ended.err


def test_a_wrong_key_is_told(clarion: Clarion, shop: Shop) -> None:
    ended = clarion("keys", "list", "--server", shop.url, "--key", "sk_wrong")
    assert ended.code == 1
    assert "401 unauthenticated" in ended.err
    assert "sk_wrong" not in ended.err


def test_no_server_is_told_with_its_address(clarion: Clarion) -> None:
    port = free_port()
    ended = clarion("keys", "list", "--server", f"http://127.0.0.1:{port}", "--key", "sk_x")
    assert ended.code == 1
    assert f"No answer from http://127.0.0.1:{port}" in ended.err
    assert "Connection refused" in ended.err


def test_looking_into_a_folder_never_makes_one(clarion: Clarion, tmp_path: Path) -> None:
    ended = clarion("keys", "list", "--data", tmp_path / "typo")
    assert ended.code == 1
    assert "typo" in ended.err.replace("\n", "")
    assert not (tmp_path / "typo").exists()


def test_of_several_projects_one_must_be_named(clarion: Clarion, tmp_path: Path) -> None:
    ids = [clarion("project", "create", name, "--data", tmp_path, "--json").json["id"] for name in ("A", "B")]
    ended = clarion("keys", "list", "--data", tmp_path)
    assert ended.code == 1
    assert all(id in ended.err for id in ids)
    assert clarion("keys", "list", "--data", tmp_path, "--project", ids[1]).code == 0


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("PUSH_PORT", "8700"),
        ("PUBLIC_URL", "push.example"),
        ("PUBLIC_URL", "https://push.example/clarion"),
        ("PUBLIC_URL", "https://push.example:https"),
        ("PUBLIC_ENDPOINT_URL", "ftp://push.example"),
        ("PUBLIC_PUSH_URL", "https://push.example"),
        ("CORS_ORIGINS", "https://shop.example, https://shop.example/"),
        ("TLS_CERT", "none.pem"),
        ("PUSH_MESSAGE_LIMIT", "0"),
        ("ENCRYPTION_PROCESSES", "65"),
        ("ENCRYPTION_PROCESSES", "null"),
        ("PUSH_PING_INTERVAL", "-5"),
        ("PUSH_PING_TIMEOUT", "soon"),
        ("RATE_LIMITS", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("SECRET_KEY", "short"),
        ("DATA", "/dev/null/folder"),
    ],
)
def test_a_wrong_setting_is_named(clarion: Clarion, name: str, value: str) -> None:
    ended = clarion("serve", **{name: value})
    assert ended.code == 1
    assert f"CLARION_{name}: " in ended.err
    assert "Traceback" not in ended.err


def test_where_we_are_is_said_as_others_reach_it(tmp_path: Path) -> None:
    file = tmp_path / "any.pem"
    file.touch()
    settings = load({"CLARION_HOST": "::1", "CLARION_TLS_CERT": str(file), "CLARION_TLS_KEY": str(file)})
    assert (settings.http_origin, settings.push_url) == ("https://[::1]:8700", "wss://[::1]:8701/")
    assert (load({}).http_origin, load({}).push_url) == ("http://127.0.0.1:8700", "ws://127.0.0.1:8701/")


def test_good_settings_are_believed() -> None:
    told = {
        "PUBLIC_URL": "https://push.example/",
        "PUBLIC_PUSH_URL": "wss://push.example:8701/",
        "CORS_ORIGINS": "https://shop.example, http://[::1]:3000",
        "PUSH_PING_INTERVAL": "0.5",
    }
    settings = load({f"CLARION_{name}": value for name, value in told.items()})
    assert settings.http_origin == "https://push.example"
    assert settings.cors_origins == ["https://shop.example", "http://[::1]:3000"]
    assert settings.push_ping_interval == 0.5


def test_an_unknown_setting_in_the_file_is_named(
    clarion: Clarion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clarion.toml").write_text('prot = 8700\nlog_level = "debug"\n')
    ended = clarion("serve")
    assert ended.code == 1
    assert "prot: is not a setting" in ended.err


def test_a_settings_file_that_is_named_must_be_there(clarion: Clarion, tmp_path: Path) -> None:
    ended = clarion("serve", CONFIG=str(tmp_path / "none.toml"))
    assert ended.code == 1
    assert "none.toml" in ended.err.replace("\n", "")


def test_a_role_that_is_none_is_named(clarion: Clarion) -> None:
    ended = clarion("serve", "--role", "api,wroker")
    assert ended.code == 2
    assert "wroker" in ended.err


# --- servers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--port", "--push-port"])
def test_a_taken_port_is_told_by_its_flag(tmp_path: Path, flag: str) -> None:
    ports = {"--port": str(free_port()), "--push-port": str(free_port())}
    with socket.create_server(("127.0.0.1", int(ports[flag]))):
        ended = process("serve", "--data", tmp_path, *(word for pair in ports.items() for word in pair))
    assert ended.code == 1
    assert f"{flag} takes another" in ended.err
    assert ports[flag] in ended.err


def test_a_second_server_on_the_same_folder_is_refused(shop: Shop) -> None:
    ended = process("serve", *shop.opening, "--port", str(free_port()), "--push-port", str(free_port()))
    assert ended.code == 1
    assert "already serves the folder" in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_well_and_lets_go_of_the_folder(tmp_path: Path, number: signal.Signals) -> None:
    for _ in range(2):
        server = Running("serve", tmp_path)
        assert server.end(number) == 0
        assert server.logged.count("\n") == 1, server.logged


def test_its_log_is_one_json_object_a_line(tmp_path: Path) -> None:
    server = Running("serve", tmp_path, "--role", "api,gateway", LOG_FORMAT="json")
    assert server.end() == 0
    [ready] = [json.loads(line) for line in server.logged.splitlines()]
    assert ready["event"] == "ready"
    assert ready["level"] == "info"
    assert ready["roles"] == ["api", "gateway"]


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_unforeseen_error_is_logged_without_the_secrets_around_it(form: str) -> None:
    script = f"""
import logging
from clarion.cli import logs
from clarion.config import Settings
logs.configure(Settings(log_format="{form}"))
try:
    key = "sk_" + "secret"
    raise ValueError("what happened")
except ValueError:
    logging.getLogger("somewhere").exception("it broke")
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert "it broke" in done.stderr
    assert "ValueError: what happened" in done.stderr
    assert "sk_secret" not in done.stderr


def test_the_demo_tells_where_to_look_and_shows_its_keys_once(tmp_path: Path) -> None:
    banners = []
    for _ in range(2):
        demo = Running("demo", tmp_path)
        links = re.findall(rf"{demo.url}/\S+", demo.said)
        assert len(links) == 4
        for link in links:
            with urllib.request.urlopen(link) as page:
                assert page.status == 200
        assert demo.end() == 0
        banners.append(demo.said)
    assert re.search(r"sk_[\w-]{43}", banners[0])
    assert not re.search(r"sk_[\w-]{43}", banners[1])


# --- title honesty ---------------------------------------------------------------------------------------------------


def test_a_file_is_looked_at_without_a_server(clarion: Clarion, tmp_path: Path) -> None:
    file = tmp_path / "sale.json"
    file.write_text(json.dumps({"title": "Last chance: 50% off", "body": "Shoes", "to": {"everyone": True}}))
    warned = clarion("lint", file)
    assert warned.code == 0
    assert re.search(r"^! urgency +title +Last chance +the title hurries", warned.out, re.MULTILINE)
    assert [one["rule"] for one in clarion("lint", file, "--json").json["findings"]] == ["urgency", "claim_percent"]

    file.write_text(json.dumps({"locales": {"de": {"title": "AW: Ihre Frage"}}}))
    misled = clarion("lint", file)
    assert misled.code == 1
    assert re.search(r"^✗ fake_reply +locales.de.title \(de\) +AW:", misled.out, re.MULTILINE)

    file.write_text(json.dumps({"title": "Your order is on its way"}))
    assert clarion("lint", file).out.startswith("✓ Nothing found")


def test_what_is_piped_in_is_looked_at(clarion: Clarion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"title": "Hello {name}"}')))
    ended = clarion("lint", "-", "--json")
    assert (ended.code, [one["part"] for one in json.loads(ended.out)["findings"]]) == (1, ["{name}"])


@pytest.mark.parametrize("way", ["asking", "opening"])
def test_a_template_is_looked_at_with_the_projects_own_settings(clarion: Clarion, shop: Shop, way: str) -> None:
    where, name = getattr(shop, way), f"sale {way}"
    shop.answer("/v1/templates", {"name": name, "locales": {"en": {"title": "HUGE SALE"}}})
    assert clarion("lint", "--template", name, *where).code == 0
    shop.answer("/v1/project", {"lint": {"capitals": "block"}}, "PUT")
    blocked = clarion("lint", "--template", name, "--json", *where)
    shop.answer("/v1/project", {"lint": {}}, "PUT")
    assert (blocked.code, [one["blocks"] for one in json.loads(blocked.out)["findings"]]) == (1, [True])
    missing = clarion("lint", "--template", "nope", *where)
    assert (missing.code, "template: there is no template nope" in missing.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "content", "code", "word"),
    [
        ([], None, 2, "--template NAME"),
        (["FILE", "--template", "x"], "{}", 2, "--template NAME"),
        (["FILE"], None, 1, "No such file"),
        (["FILE"], "[", 1, "must be a JSON object"),
        (["FILE"], '{"titel": "x"}', 1, "did you mean title?"),
        (["FILE"], '{"template": "x"}', 1, "--server"),
    ],
)
def test_lint_says_what_it_needs(
    clarion: Clarion, tmp_path: Path, arguments: list[str], content: str | None, code: int, word: str
) -> None:
    file = tmp_path / "message.json"
    if content is not None:
        file.write_text(content)
    ended = clarion("lint", *(str(file) if each == "FILE" else each for each in arguments))
    assert ended.code == code
    assert word in ended.err


def test_a_list_is_uploaded_by_the_column_that_is_named(clarion: Clarion, shop: Shop, tmp_path: Path) -> None:
    shop.answer("/v1/segments", {"name": "vip", "list": True})
    (tmp_path / "ids").write_text("u1\nu2\n\nu1\n")
    (tmp_path / "customers.csv").write_text("name,customer\nAda,u1\nBob,u3\n")
    told = clarion("segment", "upload", "vip", tmp_path / "ids", *shop.asking)
    assert told.out == "Read 3 ids, 2 of them new to vip.\n"
    customers = ("segment", "upload", "vip", tmp_path / "customers.csv", *shop.opening)
    assert "line 1, has several columns" in " ".join(clarion(*customers).err.split())
    assert clarion(*customers, "--column", "customer").out == "Read 2 ids, 1 of them new to vip.\n"
    assert shop.answer("/v1/segments/vip/users")["items"] == ["u1", "u2", "u3"]


def test_of_a_segment_of_nobody_no_examples_are_shown(clarion: Clarion, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "rule.json").write_text('{"type": "did", "event": "never"}')
    told = clarion("segment", "preview", "--file", tmp_path / "rule.json", *shop.asking).out
    assert [line.split() for line in told.splitlines()[1:] if line.strip()] == [["Now", "0"]]


def test_a_rule_that_is_none_is_told_in_our_words(clarion: Clarion, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "rule.json").write_text("[1]")
    told = clarion("segment", "preview", "--file", tmp_path / "rule.json", *shop.asking)
    assert "must be an object, got a list" in " ".join(told.err.split())


def test_a_campaign_with_variants_shows_what_each_says(clarion: Clarion, shop: Shop) -> None:
    shop.answer("/v1/templates", {"name": "spring", "default_locale": "en", "locales": {"en": {"title": "Boots"}}})
    variants = [
        {"key": "a", "title": "New shoes"},
        {"key": "b", "template": "spring"},
        {"key": "c", "url": "https://x.example"},
    ]
    notification = {"title": "New boots", "variants": variants}
    shop.answer("/v1/campaigns", {"name": "spring", "to": {"users": ["u1"]}, "notification": notification})
    assert "New shoes / template spring / New boots" in clarion("campaigns", "show", "spring", *shop.asking).out
    assert clarion("campaigns", "start", "spring", *shop.asking).code == 0
    told = clarion("campaigns", "show", "spring", *shop.asking).out
    command = re.search(r"clarion (results [0-9a-f]{32})", told)
    assert command is not None, told
    assert "Variant" in clarion(*command[1].split(), *shop.asking).out
