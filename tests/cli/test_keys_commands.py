"""`auxot-tools keys` as a person types it: make, list, revoke, and every mistake."""

import re
from collections.abc import Iterator
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auxot_tools.router.key_file import KeyEntry, append_key, hint_of, read_key_file
from tests.cli.test_main import auxot
from tests.support.running import CHEAP
from tests.support.typed_commands import TypedCommands

HASH = CHEAP.hash("key")
KEYS = TypedCommands("keys", {"AUXOT_ROUTER__KEYS_FILE": "k.toml", "AUXOT_CONFIG": None})
keys, done, refused = KEYS.run, KEYS.done, KEYS.refused


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """Every command here runs in a folder of its own."""
    with chdir(tmp_path):
        yield tmp_path


def entries() -> dict[str, KeyEntry]:
    return {entry.name: entry for entry in read_key_file(Path("k.toml")).keys}


def listed(**limits: object) -> str:
    """The line of a key with these limits."""
    entry = KeyEntry.model_validate({"name": "one", "hash": HASH, **limits})
    append_key(Path("k.toml"), entry)
    (line,) = done("list").splitlines()
    return line


# -- create ----------------------------------------------------------------------------------------


def test_a_key_with_every_limit_is_made_and_listed_in_words() -> None:
    made = done(
        *("create", "--name", "build.server-1", "--prefix", "team."),
        *("--allow-tool", "code_executor", "--allow-tool", "fetch"),
        *("--requests-per-minute", "60", "--concurrent-requests", "4"),
        *("--concurrent-calls", "2", "--expires", "2099-01-31"),
        *("--run-for-client", "bash", "--run-for-client", "memory", "--approves"),
    )
    entry = entries()["build.server-1"]
    assert made.startswith("team.")
    assert made.count("\n") == 1
    assert entry.hint == hint_of(made.strip())
    assert entry.allowed_tools == ("code_executor", "fetch")
    assert (entry.requests_per_minute, entry.concurrent_requests, entry.concurrent_calls) == (
        *(60, 4),
        2,
    )
    assert entry.expires == datetime(2099, 1, 31, tzinfo=UTC)
    assert (entry.run_for_client, entry.approves) == (("bash", "memory"), True)
    assert done("list").strip() == (
        "build.server-1       tools: code_executor, fetch, requests a minute: 60, "
        "requests at once: 4, calls at once: 2, run for client: bash, memory, approves calls, "
        "expires 2099-01-31 00:00 UTC"
    )


def test_the_key_alone_is_on_stdout_and_in_no_other_place() -> None:
    result = keys("create", "--name", "laptop")
    secret = result.stdout.strip()
    assert re.fullmatch(r"rtr_[A-Za-z0-9_-]{43}", secret)
    assert "shown this once" in result.stderr
    assert "k.toml" in result.stderr
    assert secret not in result.stderr
    assert secret not in Path("k.toml").read_text()
    assert secret not in done("list")


def test_a_key_without_options_is_not_limited() -> None:
    done("create", "--name", "laptop")
    entry = entries()["laptop"]
    limits = (entry.allowed_tools, entry.requests_per_minute, entry.concurrent_requests)
    assert (*limits, entry.concurrent_calls, entry.expires) == (None,) * 5
    assert (entry.run_for_client, entry.approves) == ((), False)
    assert done("list") == "laptop               all tools\n"


def test_a_key_may_have_no_tools_at_all() -> None:
    done("create", "--name", "reader", "--no-tools")
    assert entries()["reader"].allowed_tools == ()
    assert "tools: none" in done("list")
    assert "exclude one another" in refused("create", "--name", "x", "--no-tools", "--allow-tool=y")


@pytest.mark.parametrize(
    ("told", "span"), [("90d", timedelta(days=90)), ("30m", timedelta(minutes=30))]
)
def test_an_expiry_may_be_a_span_from_now(told: str, span: timedelta) -> None:
    done("create", "--name", "a", "--expires", told)
    expires = entries()["a"].expires
    assert expires is not None
    assert timedelta(minutes=-1) < expires - (datetime.now(UTC) + span) <= timedelta()


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2099-01-31", datetime(2099, 1, 31, tzinfo=UTC)),
        ("2099-01-31T12:30", datetime(2099, 1, 31, 12, 30, tzinfo=UTC)),
        ("2099-01-31 12:30:00+02:00", datetime(2099, 1, 31, 10, 30, tzinfo=UTC)),
        (" 2099-01-31T12:30:00Z ", datetime(2099, 1, 31, 12, 30, tzinfo=UTC)),
    ],
)
def test_an_expiry_may_be_a_date_or_a_moment_in_utc_unless_it_says_where(
    told: str, meant: datetime
) -> None:
    done("create", "--name", "a", "--expires", told)
    assert entries()["a"].expires == meant


@pytest.mark.parametrize(
    "told",
    [
        *("soon", "", "90", "d", "-1d", "1.5d", "1w", "1_0d", "²d", "2099-02-30", "31.01.2099"),
        *("0d", "2001-01-01", "36501d", "9" * 30 + "d", "9999-12-31", "0001-01-01T00:00+23:00"),
    ],
)
def test_a_bad_expiry_is_a_usage_error_and_makes_no_key(told: str) -> None:
    assert "--expires" in refused("create", "--name", "a", "--expires", told)
    assert not Path("k.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create"], "--name"),
        (["create", "--name", "a b"], "name: "),
        (["create", "--name", ""], "name: "),
        (["create", "--name", "a", "--prefix", "sk-"], "--prefix"),
        (["create", "--name", "a", "--allow-tool", "no tool"], "allowed_tools.0: "),
        (["create", "--name", "a", "--requests-per-minute", "0"], "--requests-per-minute"),
        (["create", "--name", "a", "--requests-per-minute", "1e3"], "--requests-per-minute"),
        (["create", "--name", "a", "--concurrent-requests", "100001"], "--concurrent-requests"),
        (["create", "--name", "a", "--concurrent-calls", "-1"], "--concurrent-calls"),
        (["revoke"], "NAME"),
        (["revok", "a"], "revok"),
    ],
)
def test_what_cannot_be_is_named_and_changes_nothing(arguments: list[str], words: str) -> None:
    assert words in refused(*arguments)
    assert not Path("k.toml").exists()


def test_a_name_that_is_taken_is_refused_and_the_first_key_stays() -> None:
    done("create", "--name", "laptop")
    before = Path("k.toml").read_text()
    assert "a key named laptop is already in" in refused("create", "--name", "laptop")
    assert Path("k.toml").read_text() == before


# -- list and revoke -------------------------------------------------------------------------------


def test_a_list_without_keys_says_so_beside_stdout() -> None:
    Path("k.toml").write_text("# nobody yet\n")
    result = keys("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There are no keys in" in result.stderr
    Path("k.toml").unlink()
    assert "auxot-tools keys create" in refused("list")


def test_a_list_has_one_line_for_each_key_in_the_order_of_the_file() -> None:
    for name in ("zoe", "ann", "a-name-that-is-longer-than-the-column"):
        append_key(Path("k.toml"), KeyEntry(name=name, hash=HASH))
    names = [line.split()[0] for line in done("list").splitlines()]
    assert names == ["zoe", "ann", "a-name-that-is-longer-than-the-column"]


def test_a_key_that_has_expired_is_listed_as_such() -> None:
    assert listed(expires=datetime(2001, 2, 3, 4, 5, tzinfo=UTC)).endswith(
        "expired 2001-02-03 04:05 UTC"
    )


def test_a_moment_with_an_offset_is_listed_in_utc_as_it_says() -> None:
    assert listed(expires="2099-01-31T12:00:00+05:00").endswith("expires 2099-01-31 07:00 UTC")


def test_a_revoked_key_is_gone_and_its_name_can_be_given_again() -> None:
    for name in ("ann", "bob"):
        append_key(Path("k.toml"), KeyEntry(name=name, hash=HASH))
    assert done("revoke", "ann") == "ann is no key any more.\n"
    assert list(entries()) == ["bob"]
    first = done("create", "--name", "ann")
    assert done("revoke", "ann")
    assert done("create", "--name", "ann") != first
    assert list(entries()) == ["bob", "ann"]


def test_the_last_key_can_be_revoked_and_another_one_made() -> None:
    append_key(Path("k.toml"), KeyEntry(name="ann", hash=HASH))
    done("revoke", "ann")
    done("create", "--name", "bob")
    assert list(entries()) == ["bob"]


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    append_key(Path("k.toml"), KeyEntry(name="ann", hash=HASH))
    told = refused("revoke", "bob")
    assert re.search(r"there is no key named bob in .*k\.toml; it has ann", told)
    assert list(entries()) == ["ann"]


# -- in a process of its own -----------------------------------------------------------------------


def ends_with(code: int, words: str, *arguments: str, folder: Path, **environment: str) -> None:
    ended = auxot("keys", *arguments, cwd=folder, **environment)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith("auxot-tools: ")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_mistakes_end_the_process_with_one_line_and_no_traceback(folder: Path) -> None:
    (folder / "keys.toml").write_text(f"[[keys]]\nname = 'ann'\nhash = '{HASH}'\n")
    ends_with(2, "already", "create", "--name", "ann", folder=folder)
    ends_with(1, "no key named bob", "revoke", "bob", folder=folder)


def test_a_file_that_cannot_be_made_is_told_in_one_line_too(folder: Path) -> None:
    (folder / "plain").write_text("")
    place = {"AUXOT_ROUTER__KEYS_FILE": "plain/keys.toml"}
    ends_with(2, "plain/keys.toml", "create", "--name", "a", folder=folder, **place)


# -- where `make up` has made keys of its own ------------------------------------------------------


@pytest.mark.parametrize("command", [("list",), ("create", "--name", "two")])
def test_the_keys_of_make_up_are_pointed_to(command: tuple[str, ...]) -> None:
    append_key(Path("keys.toml"), KeyEntry(name="one", hash=HASH))
    Path(".state/up").mkdir(parents=True)
    append_key(Path(".state/up/keys.toml"), KeyEntry(name="local", hash=HASH))
    plain = TypedCommands("keys", {"AUXOT_ROUTER__KEYS_FILE": None, "AUXOT_CONFIG": None})
    said = plain.run(*command).stderr
    assert "AUXOT_ROUTER__KEYS_FILE=.state/up/keys.toml" in said
    assert ".state/up/key)" in said
    if command[0] == "create":
        assert "The hash is in " in said
    assert ".state" not in KEYS.run("list").stderr
