"""Keys: hashes in a file, read again when it changes; wrong keys are limited first."""

import resource
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from auxot_tools.errors import AuthenticationError, ConfigError, RateLimited, Unavailable
from auxot_tools.router.key_file import (
    KeyEntry,
    append_key,
    entry_for,
    new_secret,
    read_key_file,
    remove_key,
)
from auxot_tools.router.keys import KEPT_S, READ_AGAIN_S, WRONG_KEYS_PER_MINUTE, KeyStore
from tests.support.running import CHEAP

pytestmark = pytest.mark.anyio


def store(path: Path, **keys: str) -> KeyStore:
    for name, key in keys.items():
        append_key(path, KeyEntry(name=name, hash=CHEAP.hash(key)))
    return KeyStore(path)


async def test_a_new_key_opens_and_its_file_holds_only_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    secret = new_secret()
    append_key(path, entry_for(secret, "laptop"))
    assert secret.startswith("rtr_")
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await KeyStore(path).authenticate([secret], "peer")).name == "laptop"


async def test_each_key_gives_its_own_name(tmp_path: Path) -> None:
    keys = store(tmp_path / "k.toml", one="key-1", two="key-2")
    assert (await keys.authenticate(["key-2"], "p")).name == "two"
    assert (await keys.authenticate(["", "key-1"], "p")).name == "one"
    with pytest.raises(AuthenticationError):
        await keys.authenticate(["key-3"], "p")


async def test_a_changed_file_counts_at_once_and_a_broken_one_changes_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "k.toml"
    keys = store(path, one="key-1")
    assert (await keys.authenticate(["key-1"], "p")).name == "one"

    path.write_text("keys = [")
    assert (await keys.authenticate(["key-1"], "p")).name == "one"

    path.write_text("")
    append_key(path, KeyEntry(name="two", hash=CHEAP.hash("key-2")))
    assert (await keys.authenticate(["key-2"], "p")).name == "two"
    with pytest.raises(AuthenticationError):
        await keys.authenticate(["key-1"], "p")


async def test_a_file_that_vanished_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "k.toml"
    keys = store(path, one="key-1")
    path.unlink()
    assert (await keys.authenticate(["key-1"], "p")).name == "one"


async def test_after_a_minute_without_a_readable_file_nobody_is_let_in_until_there_is_one(
    tmp_path: Path,
) -> None:
    path, now = tmp_path / "k.toml", [0.0]
    store(path, one="key-1")
    keys = KeyStore(path, monotonic=lambda: now[0])
    good = path.read_text()
    path.write_text("keys = [")
    assert (await keys.authenticate(["key-1"], "p")).name == "one"
    now[0] = KEPT_S - 1
    path.write_text("keys = [[")  # another mistake is no new minute
    assert (await keys.authenticate(["key-1"], "p")).name == "one"
    now[0] = KEPT_S
    for key in ("key-1", "wrong"):
        with pytest.raises(Unavailable, match="cannot read its keys"):
            await keys.authenticate([key], "p")
    path.write_text(good)
    assert (await keys.authenticate(["key-1"], "p")).name == "one"
    path.write_text("keys = [")  # and a later mistake has a minute of its own
    assert (await keys.authenticate(["key-1"], "p")).name == "one"


@contextmanager
def no_file_can_be_opened() -> Generator[None, None, None]:
    """As in a process that has too many open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_a_file_that_could_not_be_read_for_a_moment_is_read_though_it_looks_the_same(
    tmp_path: Path,
) -> None:
    path, now = tmp_path / "k.toml", [0.0]
    store(path, one="key-1", two="key-2")
    keys = KeyStore(path, monotonic=lambda: now[0])
    await keys.authenticate(["key-2"], "p")
    remove_key(path, "two")
    with no_file_can_be_opened():
        assert (await keys.authenticate(["key-2"], "p")).name == "two"
    now[0] = READ_AGAIN_S
    with pytest.raises(AuthenticationError):
        await keys.authenticate(["key-2"], "p")
    assert (await keys.authenticate(["key-1"], "p")).name == "one"


async def test_a_file_that_is_given_to_us_later_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "k.toml"
    store(path, one="key-1")
    keys = KeyStore(path, monotonic=lambda: 0.0)
    await keys.authenticate(["key-1"], "p")
    append_key(path, KeyEntry(name="two", hash=CHEAP.hash("key-2")))
    with no_file_can_be_opened():
        await keys.authenticate(["key-1"], "p")
    path.chmod(0o640)  # neither its content nor the time of it changes
    assert (await keys.authenticate(["key-2"], "p")).name == "two"


async def test_wrong_keys_of_one_peer_are_limited_and_do_not_limit_another(tmp_path: Path) -> None:
    keys = store(tmp_path / "k.toml", one="key-1")
    for number in range(WRONG_KEYS_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            await keys.authenticate([f"wrong-{number}"], "bad")
    with pytest.raises(RateLimited) as caught:
        await keys.authenticate(["key-1"], "bad")
    assert 1 <= caught.value.retry_after_s <= 61
    assert (await keys.authenticate(["key-1"], "good")).name == "one"
    assert (
        await keys.authenticate(["key-1"], "bad")
    ).name == "one"  # known by now: nothing to hash


async def test_a_busy_start_with_many_good_keys_limits_none_of_them(tmp_path: Path) -> None:
    good = {f"k{number}": f"key-{number}" for number in range(WRONG_KEYS_PER_MINUTE + 4)}
    keys = store(tmp_path / "k.toml", **good)
    names: list[str] = []

    async def ask(key: str) -> None:
        names.append((await keys.authenticate([key], "one-proxy")).name)

    async with anyio.create_task_group() as tasks:
        for key in good.values():
            tasks.start_soon(ask, key)
    assert sorted(names) == sorted(good)


async def test_the_addresses_of_one_ipv6_network_are_one_peer(tmp_path: Path) -> None:
    keys = store(tmp_path / "k.toml", one="key-1")
    for number in range(WRONG_KEYS_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            await keys.authenticate([f"wrong-{number}"], f"2001:db8::{number:x}")
    with pytest.raises(RateLimited):
        await keys.authenticate(["wrong"], "2001:db8::ffff")
    with pytest.raises(AuthenticationError):
        await keys.authenticate(["wrong"], "2001:db8:0:1::1")


async def test_a_key_that_was_made_here_opens_although_its_neighbours_sent_wrong_ones(
    tmp_path: Path,
) -> None:
    path = tmp_path / "k.toml"
    secret = new_secret()
    append_key(path, entry_for(secret, "laptop"))
    keys = KeyStore(path)
    for number in range(WRONG_KEYS_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            await keys.authenticate([f"wrong-{number}"], "one-proxy")
    with pytest.raises(RateLimited):
        await keys.authenticate(["wrong"], "one-proxy")
    assert (await keys.authenticate([secret], "one-proxy")).name == "laptop"


async def test_one_wrong_key_sent_again_and_again_is_hashed_once(tmp_path: Path) -> None:
    keys = store(tmp_path / "k.toml", one="key-1")
    for _ in range(3 * WRONG_KEYS_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            await keys.authenticate(["stale"], "p")


async def test_fifty_first_requests_with_one_key_are_all_served(tmp_path: Path) -> None:
    keys = store(tmp_path / "k.toml", one="key-1")
    names: list[str] = []

    async def ask() -> None:
        names.append((await keys.authenticate(["key-1"], "p")).name)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ask)
    assert names == ["one"] * 50


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[keys]\n", "is not TOML"),
        ("[[keys]]\nname='a'\nhash='plain-secret'\n", "keys.0.hash"),
        ("[[keys]]\nname='a b'\nhash='$argon2id$x'\n", "keys.0.name"),
        ("[[keys]]\nhash='$argon2id$x'\n", "keys.0.name: Field required"),
        ("[[keys]]\nname='a'\nhash='$argon2id$x'\nkey='plain-secret'\n", "keys.0.key"),
        ("key = 'plain-secret'\n", "key: Extra inputs"),
    ],
)
def test_a_mistake_in_the_file_is_named_and_never_quotes_a_value(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "k.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_key_file(path)
    assert told in str(caught.value)
    assert "plain-secret" not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="auxot-tools keys create"):
        read_key_file(tmp_path / "none.toml")


def test_a_name_is_used_once(tmp_path: Path) -> None:
    path = tmp_path / "k.toml"
    store(path, one="key-1")
    with pytest.raises(ConfigError, match="already"):
        append_key(path, KeyEntry(name="one", hash=CHEAP.hash("x")))
