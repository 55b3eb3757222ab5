"""Projects, their keys and credentials."""

import subprocess
import sys

import msgspec
import pytest

from clarion.errors import Conflict
from clarion.model import Category, CategoryClass, DeviceKind, ProjectSettings
from clarion.ports import Store
from contract.support import NOW, api_key, credential, new_project


async def test_a_new_project_is_found_by_key_and_by_id(store: Store) -> None:
    settings = ProjectSettings(allowed_origins=["https://shop.example"], default_timezone="Europe/Berlin")
    project = await store.projects.create("shop", "The shop", settings, credential(name="vapid-key"), NOW)
    assert (project.id, project.name, project.settings) == ("shop", "The shop", settings)
    assert (project.vapid_public_key, project.identity_key, project.created_at) == ("vapid-key", None, NOW)
    assert await store.projects.get(project.key) == project
    assert await store.projects.find("shop") == project


async def test_a_new_project_has_its_web_push_key_and_one_informational_category(store: Store) -> None:
    project = await new_project(store, vapid="vapid-key")
    [found] = await store.projects.credentials(project.key, DeviceKind.WEBPUSH)
    assert (found.project, found.name, found.sealed) == (project.key, "vapid-key", b"sealed vapid-key")
    [body] = await store.definitions.all(project.key, "categories")
    category = msgspec.convert(body, Category)
    assert (category.name, category.class_) == ("general", CategoryClass.INFORMATIONAL)


async def test_an_unknown_project_is_none(store: Store) -> None:
    assert await store.projects.get(999_999) is None
    assert await store.projects.find("nowhere") is None


async def test_a_project_id_is_taken_once(store: Store) -> None:
    await new_project(store, "shop")
    with pytest.raises(Conflict):
        await new_project(store, "shop", vapid="another")
    assert len(await store.projects.all()) == 1


async def test_all_projects_are_listed(store: Store) -> None:
    made = [await new_project(store, id) for id in ("a", "b", "c")]
    assert sorted(await store.projects.all(), key=lambda project: project.key) == made


async def test_an_update_replaces_name_settings_and_identity_key_and_nothing_else(store: Store) -> None:
    project = await new_project(store)
    changed = msgspec.structs.replace(
        project, name="New", settings=ProjectSettings(identity="token"), identity_key=b"\x00sealed\xff"
    )
    await store.projects.update(msgspec.structs.replace(changed, id="other", vapid_public_key="other"))
    assert await store.projects.get(project.key) == changed


async def test_a_key_is_found_by_its_hash_and_gets_a_key_of_its_own(store: Store) -> None:
    project = await new_project(store)
    saved = await store.projects.add_key(api_key(project.key, "k1", scopes=["events:write"]), b"h" * 32)
    assert saved.key > 0
    assert saved.scopes == ["events:write"]
    assert await store.projects.find_key(b"h" * 32) == saved
    assert await store.projects.find_key(b"x" * 32) is None


async def test_keys_are_listed_with_the_revoked_ones(store: Store) -> None:
    project = await new_project(store)
    for number in range(3):
        await store.projects.add_key(api_key(project.key, f"k{number}"), bytes([number]) * 32)
    assert await store.projects.revoke_key(project.key, "k1", NOW + 5)
    listed = {key.id: key.revoked_at for key in await store.projects.keys(project.key)}
    assert listed == {"k0": None, "k1": NOW + 5, "k2": None}


async def test_a_key_changes_its_name_and_scopes_unless_it_is_revoked(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    saved = await store.projects.add_key(api_key(project.key, "k1", scopes=["send"]), b"h" * 32)
    changed = await store.projects.change_key(project.key, "k1", "new", ["read", "send"])
    assert changed == msgspec.structs.replace(saved, name="new", scopes=["read", "send"])
    assert await store.projects.find_key(b"h" * 32) == changed
    assert await store.projects.change_key(other.key, "k1", "stolen", ["*"]) is None
    await store.projects.revoke_key(project.key, "k1", NOW)
    assert await store.projects.change_key(project.key, "k1", "late", ["*"]) is None


async def test_a_revoked_key_is_still_found_and_says_since_when(store: Store) -> None:
    project = await new_project(store)
    await store.projects.add_key(api_key(project.key, "k1"), b"h" * 32)
    assert await store.projects.revoke_key(project.key, "k1", NOW + 5)
    await store.projects.revoke_key(project.key, "k1", NOW + 9)
    found = await store.projects.find_key(b"h" * 32)
    assert found is not None
    assert found.revoked_at == NOW + 5


async def test_revoking_an_unknown_key_is_false(store: Store) -> None:
    project = await new_project(store)
    assert not await store.projects.revoke_key(project.key, "nothing", NOW)


async def test_credentials_are_kept_by_kind(store: Store) -> None:
    project = await new_project(store, vapid="first")
    await store.projects.add_credential(credential(project.key, DeviceKind.APNS, "team"))
    await store.projects.add_credential(credential(project.key, DeviceKind.WEBPUSH, "second"))
    names = {row.name for row in await store.projects.credentials(project.key, DeviceKind.WEBPUSH)}
    assert names == {"first", "second"}
    [apns] = await store.projects.credentials(project.key, DeviceKind.APNS)
    assert apns == credential(project.key, DeviceKind.APNS, "team")
    assert await store.projects.credentials(project.key, DeviceKind.FCM) == []


async def test_a_credentials_name_is_taken_once_whatever_its_kind(store: Store) -> None:
    project, other = await new_project(store, vapid="first"), await new_project(store, "other")
    apns = credential(project.key, DeviceKind.APNS, "team")
    assert await store.projects.add_credential(apns)
    assert not await store.projects.add_credential(msgspec.structs.replace(apns, sealed=b"another"))
    assert not await store.projects.add_credential(credential(project.key, DeviceKind.FCM, "team"))
    assert await store.projects.add_credential(credential(other.key, DeviceKind.FCM, "team"))
    listed = await store.projects.all_credentials(project.key)
    assert [(row.kind, row.name) for row in listed] == [("webpush", "first"), ("apns", "team")]
    assert listed[1] == apns


async def test_a_credential_is_replaced_where_it_is(store: Store) -> None:
    project = await new_project(store)
    apns = credential(project.key, DeviceKind.APNS, "team")
    await store.projects.add_credential(apns)
    newer = msgspec.structs.replace(apns, sealed=b"newer", created_at=NOW + 5)
    assert await store.projects.replace_credential(newer)
    assert await store.projects.credentials(project.key, DeviceKind.APNS) == [
        msgspec.structs.replace(apns, sealed=b"newer")
    ]
    assert not await store.projects.replace_credential(credential(project.key, DeviceKind.FCM, "team"))
    assert not await store.projects.replace_credential(credential(project.key, DeviceKind.APNS, "other"))
    assert not await store.projects.replace_credential(apns, was=b"older")
    assert await store.projects.replace_credential(apns, was=b"newer")


async def test_a_deleted_credential_is_gone_and_its_name_is_free(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    apns = credential(project.key, DeviceKind.APNS, "team")
    await store.projects.add_credential(apns)
    assert not await store.projects.delete_credential(other.key, DeviceKind.APNS, "team")
    assert not await store.projects.delete_credential(project.key, DeviceKind.FCM, "team")
    assert await store.projects.delete_credential(project.key, DeviceKind.APNS, "team")
    assert not await store.projects.delete_credential(project.key, DeviceKind.APNS, "team")
    assert await store.projects.add_credential(credential(project.key, DeviceKind.FCM, "team"))


async def test_only_a_web_push_key_of_the_project_becomes_its_current_one(store: Store) -> None:
    project, other = await new_project(store, vapid="first"), await new_project(store, "other", vapid="theirs")
    await store.projects.add_credential(credential(project.key, DeviceKind.WEBPUSH, "second"))
    await store.projects.add_credential(credential(project.key, DeviceKind.APNS, "team"))
    assert [await store.projects.use_web_push_key(project.key, name) for name in ("theirs", "team", "second")] == [
        False,
        False,
        True,
    ]
    found = await store.projects.get(project.key)
    assert found == msgspec.structs.replace(project, vapid_public_key="second")
    assert await store.projects.get(other.key) == other


FIRST_READS = """
import sys, threading
from types import SimpleNamespace
from clarion.storage import projects

sys.setswitchinterval(1e-6)
row = SimpleNamespace(
    key=1, id="p", name="P", settings='{"caps": []}', vapid_public_key="v", identity_key=None, created_at=0
)
start = threading.Barrier(6)

def read():
    start.wait()
    projects._project(row)

threads = [threading.Thread(target=read) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_many_threads_may_read_the_first_project_of_a_process() -> None:
    """By itself in a process, since what msgspec knows of a struct is known for good."""
    done = subprocess.run([sys.executable, "-c", FIRST_READS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
