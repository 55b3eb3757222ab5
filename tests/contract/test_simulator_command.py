"""`clarion simulate` as a person or a program uses it, and what its documents say."""

import json
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest

from contract.support_simulators import ALERT, PATIENCE_S, TOKEN, Command, push_headers

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "testing-with-simulators.md"


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    return ["--data", str(tmp_path), "--port", "0"]


def read(file: str) -> str:
    return Path(file).read_text("utf-8")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clarion", "simulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


async def test_apns_with_a_script_and_a_quota(keys: list[str], tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({TOKEN: [{"do": "refuse", "reason": "Unregistered", "times": 1}]}))
    options = ["--json", "--script", str(script), "--quota", "2", "--topic", "com.example.a"]
    with Command("apns", *keys, *options) as command:
        about = command.about
        assert (about["service"], about["topic"], about["environment"]) == ("apns", "com.example.a", "production")
        assert Path(about["key_file"]).parent == Path(about["ca_file"]).parent == tmp_path
        key = read(about["key_file"])
        sign = jwt.encode({"iss": about["team_id"], "iat": int(time.time())}, key, "ES256", {"kid": about["key_id"]})
        async with command.client(headers=push_headers(sign, apns_topic="com.example.a")) as client:
            replies = [(await client.post(f"/3/device/{TOKEN}", content=ALERT)).status_code for _ in range(3)]
        # A minute may end in between.
        assert replies in ([410, 200, 429], [410, 200, 200])
        assert command.end()["answers"]["410 Unregistered"] == 1


def test_the_sandbox_on_a_host_of_one_s_own(keys: list[str]) -> None:
    with Command("apns", *keys, "--json", "--sandbox", "--host", "localhost") as command:
        assert command.about["environment"] == "sandbox"
        assert command.about["url"].startswith("https://localhost:")
        command.end()


async def test_fcm(keys: list[str]) -> None:
    with Command("fcm", *keys, "--json", "--project", "my-project") as command:
        account = json.loads(read(command.about["service_account"]))
        assert account["token_uri"] == command.about["url"] + "/token"
        assert account["client_email"].endswith("@my-project.iam.gserviceaccount.com")
        async with command.client() as client:
            response = await client.post("/v1/projects/my-project/messages:send", json={})
            assert response.status_code == 401
        assert command.end()["answers"] == {"401 CREDENTIALS_MISSING": 1}


def test_what_a_person_sees(keys: list[str]) -> None:
    command = [sys.executable, "-m", "clarion", "simulate", "fcm", *keys]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    banner = ""
    while "Ctrl+C stops" not in banner:
        banner += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    table, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert "simulated FCM" in banner
    assert re.search(r"https://127\.0\.0\.1:\d+", banner)
    assert re.search(r"Accepted +0", table)


@pytest.mark.parametrize(
    ("option", "text", "code", "words"),
    [
        ("--script", '{"a": {"do": "explode"}}', 2, "explode"),
        ("--script", '{"a": {"do": "refuse", "reason": "GONE"}}', 2, "a: there is no reason GONE; there are"),
        ("--script", "{", 2, "truncated"),
        ("--script", None, 1, "No such file or directory"),
        ("--state", "a diary\n", 2, "this file holds something else than counts"),
        ("--data", "", 1, "File exists"),
    ],
)
def test_wrong_files(tmp_path: Path, option: str, text: str | None, code: int, words: str) -> None:
    file = tmp_path / "file"
    if text is not None:
        file.write_text(text)
    ended = run("apns", "--port", "0", "--data", str(tmp_path / "keys"), option, str(file))
    assert ended.returncode == code
    assert words in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("apns", "--data", str(tmp_path), "--port", port)
    assert ended.returncode == 1
    assert f"Cannot listen on 127.0.0.1 port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_the_extra(tmp_path: Path) -> None:
    without = "import sys; sys.modules['h2'] = None; sys.argv[1:] = ['simulate', 'apns']"
    program = f"{without}\nfrom clarion.cli import main\nmain()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 1
    assert "pip install 'clarion[testing]'" in ended.stderr


# --- documents -------------------------------------------------------------------------------------------------------


def test_the_page_of_answers_is_what_the_simulators_say() -> None:
    written = runpy.run_path(str(ROOT / "tools" / "simulators.py"))["page"]()
    assert (ROOT / "docs" / "reference" / "simulators.md").read_text("utf-8") == written, "make docs writes it anew"


async def test_the_guide_s_example_works() -> None:
    [example] = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)  # noqa: S102 - our own document
    [test] = [thing for name, thing in names.items() if name.startswith("test_")]
    await test()  # type: ignore[operator]
