"""The file of keys: what is added and removed, what stays, and what is said of mistakes."""

import os
import stat
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import ConfigError, NotFound
from auxot_tools.router.key_file import (
    PREFIXES,
    KeyEntry,
    append_key,
    entry_for,
    hint_of,
    new_secret,
    read_key_file,
    remove_key,
)
from tests.support.running import CHEAP

HASH = CHEAP.hash("key")
WRITTEN = f"""# The keys of the team.
# Ask Ann before you change anything.

[[keys]]
name = "ann"  # her laptop
hash = "{HASH}"

# Bob's build server
[[keys]]
hash = '{HASH}'
name = 'bob'
requests_per_minute = 60 # it is greedy

# Carol, until she leaves
[[keys]]
name = "carol"
hash = "{HASH}"
expires = 2099-12-31
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def entry(name: str = "new", **limits: Any) -> KeyEntry:
    return KeyEntry(name=name, hash=HASH, **limits)


def names(path: Path) -> list[str]:
    return [one.name for one in read_key_file(path).keys]


def only(path: Path) -> KeyEntry:
    (found,) = read_key_file(path).keys
    return found


def mistake(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_key_file(path)
    return str(caught.value)


def table(members: str) -> str:
    return f"[[keys]]\nname = 'a'\nhash = '{HASH}'\n{members}\n"


# -- adding and removing ---------------------------------------------------------------------------


def test_a_key_that_is_added_leaves_every_line_that_was_there(path: Path) -> None:
    path.write_text(WRITTEN)
    append_key(path, entry("new", concurrent_calls=2))
    assert path.read_text().startswith(WRITTEN)
    assert names(path) == ["ann", "bob", "carol", "new"]


@pytest.mark.parametrize("name", ["ann", "bob", "carol"])
def test_a_key_that_is_removed_leaves_the_others_as_they_were(path: Path, name: str) -> None:
    path.write_text(WRITTEN)
    before = {one.name: one for one in read_key_file(path).keys}
    remove_key(path, name)
    assert {one.name: one for one in read_key_file(path).keys} == {
        other: one for other, one in before.items() if other != name
    }
    for comment in ("# The keys of the team.", "# Ask Ann before you change anything."):
        assert comment in path.read_text()
    assert ("# it is greedy" in path.read_text()) is (name != "bob")


@pytest.mark.parametrize(
    ("name", "kept"),
    [("ann", ["# Bob's", "# Carol"]), ("bob", ["# Carol"]), ("carol", ["# Bob's"])],
)
def test_what_was_written_above_other_entries_stays_when_one_is_removed(
    path: Path, name: str, kept: list[str]
) -> None:
    path.write_text(WRITTEN)
    remove_key(path, name)
    assert [comment for comment in kept if comment not in path.read_text()] == []


def test_a_file_whose_last_key_was_removed_takes_new_ones(path: Path) -> None:
    append_key(path, entry("first"))
    remove_key(path, "first")
    assert names(path) == []
    append_key(path, entry("second"))
    assert names(path) == ["second"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing but a comment\n",
        "\n\n",
        "keys = []\n",
        f"keys = [{{ name = 'a', hash = '{HASH}' }}]\n",
    ],
    ids=["empty", "a comment", "empty lines", "no key", "one key"],
)
def test_a_key_can_be_added_to_every_file_that_can_be_read(path: Path, text: str) -> None:
    path.write_text(text)
    before = names(path)
    append_key(path, entry())
    assert names(path) == [*before, "new"]


def test_a_key_can_be_removed_from_a_list_on_one_line(path: Path) -> None:
    listed = ", ".join(f"{{ name = '{name}', hash = '{HASH}' }}" for name in "abc")
    path.write_text(f"keys = [{listed}]\n")
    remove_key(path, "b")
    assert names(path) == ["a", "c"]


def test_a_file_is_made_with_its_folders_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "keys.toml"
    append_key(path, entry())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    append_key(path, entry("second"))
    remove_key(path, "second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_mode_that_somebody_chose_stays(path: Path) -> None:
    append_key(path, entry())
    path.chmod(0o640)
    append_key(path, entry("second"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_owner_stays_so_that_the_router_s_user_can_still_read_it(path: Path) -> None:
    append_key(path, entry("first"))
    owner = (10001, 10001) if os.geteuid() == 0 else (os.geteuid(), max(os.getgroups()))
    os.chown(path, *owner)
    append_key(path, entry("second"))
    remove_key(path, "first")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == owner
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_a_change_is_a_new_file_in_the_place_of_the_old_one_and_nothing_is_left(path: Path) -> None:
    append_key(path, entry("first"))
    with path.open() as reader:  # a router that reads just now
        append_key(path, entry("second"))
        assert 'name = "second"' not in reader.read()
    assert [found.name for found in path.parent.iterdir()] == ["keys.toml"]


def test_a_change_that_is_refused_leaves_the_file_as_it_was(path: Path) -> None:
    path.write_text(WRITTEN)
    with pytest.raises(ConfigError, match="ann is already in"):
        append_key(path, entry("ann"))
    with pytest.raises(NotFound, match=r"no key named dan in .*; it has ann, bob, carol"):
        remove_key(path, "dan")
    assert path.read_text() == WRITTEN
    assert [found.name for found in path.parent.iterdir()] == ["keys.toml"]


def test_a_file_with_a_mistake_is_not_changed(path: Path) -> None:
    text = table("colour = 'red'")
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"keys\.0\.colour"):
        append_key(path, entry())
    with pytest.raises(ConfigError, match=r"keys\.0\.colour"):
        remove_key(path, "a")
    assert path.read_text() == text


def test_a_key_cannot_be_removed_from_a_file_that_does_not_exist(path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        remove_key(path, "a")
    assert not path.exists()


def test_a_place_where_no_file_can_be_is_a_mistake_that_names_it(path: Path) -> None:
    path.write_text("")
    with pytest.raises(ConfigError, match=r"router\.keys_file: .*keys\.toml/below\.toml"):
        append_key(path / "below.toml", entry())


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"allowed_tools": ()},
        {"allowed_tools": ("code_executor", "fetch-page")},
        {"requests_per_minute": 1, "concurrent_requests": 100_000, "concurrent_calls": 7},
        {"expires": datetime(2099, 1, 31, 12, 30, 15, tzinfo=UTC)},
        {"expires": datetime(2099, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=-7)))},
        {"hint": "01234567"},
        {"run_for_client": ("bash", "memory"), "approves": True},
    ],
)
def test_limits_come_back_as_they_were_written(path: Path, limits: dict[str, Any]) -> None:
    append_key(path, entry(**limits))
    assert only(path) == entry(**limits)


def test_what_is_not_limited_is_not_in_the_file(path: Path) -> None:
    append_key(path, entry())
    assert tomllib.loads(path.read_text()) == {"keys": [{"name": "new", "hash": HASH}]}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2099-01-31T12:00:00Z", datetime(2099, 1, 31, 12, tzinfo=UTC)),
        ("2099-01-31T12:00:00+02:00", datetime(2099, 1, 31, 10, tzinfo=UTC)),
        ("2099-01-31 12:00:00", datetime(2099, 1, 31, 12, tzinfo=UTC)),
        ("2099-01-31", datetime(2099, 1, 31, tzinfo=UTC)),
        ("'2099-01-31T12:00:00-01:00'", datetime(2099, 1, 31, 13, tzinfo=UTC)),
        ("'2099-01-31'", datetime(2099, 1, 31, tzinfo=UTC)),
    ],
)
def test_an_expiry_without_an_offset_is_meant_in_utc(
    path: Path, written: str, meant: datetime
) -> None:
    path.write_text(table(f"expires = {written}"))
    assert only(path).expires == meant


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ("requests_per_minute = 0", "requests_per_minute"),
        ("requests_per_minute = 1000001", "requests_per_minute"),
        ("concurrent_requests = -1", "concurrent_requests"),
        ("concurrent_calls = 1.5", "concurrent_calls"),
        ("concurrent_calls = 'two'", "concurrent_calls"),
        ("allowed_tools = 'all'", "allowed_tools"),
        ("allowed_tools = ['a b']", "allowed_tools.0"),
        ("allowed_tools = ['ok', 7]", "allowed_tools.1"),
        ("run_for_client = 'bash'", "run_for_client"),
        ("run_for_client = ['']", "run_for_client.0"),
        ("approves = 'true'", "approves"),
        ("approves = 1", "approves"),
        ("expires = 'soon'", "expires"),
        ("expires = 12:00:00", "expires"),
        ("expires = true", "expires"),
        ("secret = 'rtr_the-secret'", "secret"),
        ("requests_per_minute = 'rtr_the-secret'", "requests_per_minute"),
        ("expires = 'rtr_the-secret'", "expires"),
        ("allowed_tools = ['rtr_the secret']", "allowed_tools.0"),
    ],
)
def test_a_bad_value_is_named_by_its_place_and_never_shown(
    path: Path, members: str, place: str
) -> None:
    told = mistake(path, table(members))
    assert f"{path}: keys.0.{place}: " in told
    assert "the-secret" not in told
    assert "the secret" not in told
    assert HASH not in told


def test_every_mistake_is_told_at_once(path: Path) -> None:
    told = mistake(path, table("concurrent_calls = 0\nexpires = 'x'") + "[[keys]]\nname = '?'\n")
    for place in ("0.concurrent_calls", "0.expires", "1.name", "1.hash"):
        assert f"keys.{place}: " in told


@pytest.mark.parametrize("text", ["hash = 'rtr_the-secret", "rtr_the-secret", "[[keys]\n"])
def test_a_file_that_is_not_toml_is_not_quoted(path: Path, text: str) -> None:
    told = mistake(path, text)
    assert "is not TOML" in told
    assert "the-secret" not in told


def test_bytes_that_are_no_text_and_names_that_are_used_twice_are_told(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_key_file(path)
    assert "two keys named a" in mistake(path, 2 * table(""))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_key_file(path.parent)


@pytest.mark.parametrize(
    ("name", "limits", "place"),
    [
        ("", {}, "name"),
        ("a b", {}, "name"),
        ("ä", {}, "name"),
        ("x" * 65, {}, "name"),
        ("a", {"concurrent_calls": 0}, "concurrent_calls"),
        ("a", {"allowed_tools": ("a b",)}, "allowed_tools.0"),
    ],
)
def test_an_entry_that_cannot_be_is_a_mistake_without_the_key(
    name: str, limits: dict[str, Any], place: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        entry_for("rtr_the-secret", name, **limits)
    assert str(caught.value).startswith(f"{place}: ")
    assert "the-secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_new_keys_differ_have_their_label_and_are_known_by_a_hint_only(prefix: str) -> None:
    first, second = new_secret(prefix), new_secret(prefix)
    assert first != second
    assert first.startswith(prefix)
    assert len(first) >= len(prefix) + 43  # 256 bits
    assert first.isascii()
    assert not set(first) & set(" \t\r\n\"'")
    assert len(hint_of(first)) == 8
    assert hint_of(first) != hint_of(second)
