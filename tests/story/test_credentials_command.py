"""`clarion credentials reseal`: after it, an old secret key can go."""

from pathlib import Path

from story.terminal import process

OLD, NEW = "an old secret key of 32 characters or so", "a new secret key of 32 characters or so"


def test_after_resealing_the_old_key_can_go(tmp_path: Path) -> None:
    data = tmp_path / "data"
    keys = data / "secret.key"
    data.mkdir()
    keys.write_text(f"{OLD.replace(' ', '-')}\n")
    vapid = process("project", "create", "Shop", "--data", data, "--json").json["vapid_public_key"]
    keys.write_text(f"{NEW.replace(' ', '-')}\n{OLD.replace(' ', '-')}\n")
    assert process("credentials", "reseal", "--data", data, "--json").json == {"resealed": 1, "lost": []}
    keys.write_text(f"{NEW.replace(' ', '-')}\n")
    assert process("credentials", "reseal", "--data", data).out == "Sealed with the first key: 1.\n"
    keys.write_text(f"{OLD.replace(' ', '-')}\n")
    lost = process("credentials", "reseal", "--data", data)
    assert lost.code == 1
    assert vapid in lost.err.replace("\n", "").replace(" ", "")


def test_a_folder_without_a_database_is_not_made(tmp_path: Path) -> None:
    ended = process("credentials", "reseal", "--data", tmp_path / "nothing")
    assert ended.code == 1
    assert not (tmp_path / "nothing").exists()
