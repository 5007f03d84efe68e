"""`read_output`: pages, matching lines, and handles that are nobody's."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.hosted.read_output import SEARCH_LIMITS, ReadOutput
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, Status
from auxot_tools.worker.validation import compile_schema
from auxot_tools.worker.violations import Violations

pytestmark = pytest.mark.anyio
TEXT = "".join(f"line {number}: {'even' if number % 2 == 0 else 'odd'}\n" for number in range(100))


@pytest.fixture
def store() -> OutputStore:
    return OutputStore("worker-1", 2**20, 60)


async def ask(store: OutputStore, tenant: str = "alice", **arguments: Any) -> HostedAnswer:
    call = HostedCall("toolu_1", arguments, tenant)
    return await ReadOutput(store).answer(call, Deadline.after(10))


def text_of(answer: HostedAnswer) -> str:
    return str(answer.content[0]["text"])


async def test_pages_joined_are_the_whole(store: OutputStore) -> None:
    handle, found, offset = store.keep("alice", TEXT), "", 0
    while offset < len(TEXT):
        head, page = text_of(await ask(store, handle=handle, offset=offset, limit=333)).split(
            "\n", 1
        )
        assert f"of {len(TEXT)}" in head
        found += page
        offset += len(page)
        assert (f"go on with offset {offset}" in head) is (offset < len(TEXT))
    assert found == TEXT


async def test_only_matching_lines_come_with_their_numbers(store: OutputStore) -> None:
    handle = store.keep("alice", TEXT)
    said = text_of(await ask(store, handle=handle, pattern="^line 9[0-9]: even"))
    assert said.splitlines()[:2] == ["[5 matching lines]", "91: line 90: even"]
    assert "No line matches" in text_of(await ask(store, handle=handle, pattern="nothing"))


async def test_matching_goes_on_where_it_stopped(store: OutputStore) -> None:
    handle, lines, offset = store.keep("alice", TEXT), [], 0
    while True:
        head, *found = text_of(
            await ask(store, handle=handle, pattern="odd", limit=100, offset=offset)
        ).splitlines()
        lines += found
        if "go on" not in head:
            break
        offset = int(head.rsplit(" ", 1)[1].rstrip("]"))
    assert [line.split(":")[0] for line in lines] == [str(n) for n in range(2, 101, 2)]


@pytest.mark.parametrize("pattern", ["(", "(?=x)", "a{100000}", r"(a)\1"])
async def test_a_pattern_that_the_linear_engine_does_not_take_is_told(
    store: OutputStore, pattern: str
) -> None:
    answer = await ask(store, handle=store.keep("alice", TEXT), pattern=pattern)
    assert (answer.status, "RE2" in text_of(answer)) == (Status.INVALID_ARGUMENTS, True)


async def test_a_hostile_pattern_takes_no_time(store: OutputStore) -> None:
    handle = store.keep("alice", "a" * 200_000)
    assert "No line" in text_of(await ask(store, handle=handle, pattern="(a*)*(a*)*b$"))


async def test_the_handle_of_another_key_is_as_one_that_never_was(store: OutputStore) -> None:
    theirs = store.keep("bob", TEXT)
    answers = [await ask(store, handle=theirs), await ask(store, handle=theirs[:-1] + "x")]
    assert [one.status for one in answers] == [Status.INVALID_ARGUMENTS] * 2
    assert text_of(answers[0]) == text_of(answers[1])
    assert "run the tool again" in text_of(answers[0])


async def test_the_handle_of_another_worker_says_so(store: OutputStore) -> None:
    elsewhere = OutputStore("another", 2**20, 60).keep("alice", TEXT)
    assert "another worker" in text_of(await ask(store, handle=elsewhere))


async def test_an_offset_behind_the_end_says_where_the_end_is(store: OutputStore) -> None:
    answer = await ask(store, handle=store.keep("alice", "abc"), offset=3)
    assert (answer.status, "has 3 characters" in text_of(answer)) == (
        Status.INVALID_ARGUMENTS,
        True,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"handle": ""},
        {"handle": 7},
        {"handle": "x" * 101},
        {"handle": "x", "offset": -1},
        {"handle": "x", "limit": 0},
        {"handle": "x", "limit": 30_001},
        {"handle": "x", "pattern": ""},
        {"handle": "x", "more": 1},
    ],
    ids=str,
)
def test_bad_input_is_refused_by_the_schema(arguments: dict[str, Any]) -> None:
    declared = json.loads((share_dir("tools") / "read_output" / "tool.json").read_bytes())
    judged = compile_schema(declared["input_schema"]).check(json.dumps(arguments).encode())
    assert isinstance(judged, Violations)


@pytest.mark.parametrize("pattern", ["a[ab]{900}c", "(?-m)a[ab]{900}c"])
async def test_a_search_that_takes_too_long_is_stopped_and_told(
    store: OutputStore, pattern: str
) -> None:
    large = OutputStore("worker-1", 2**28, 60)
    handle = large.keep("alice", "".join(random.Random(1).choices("ab", k=4 * 2**20)))
    tool = ReadOutput(large, replace(SEARCH_LIMITS, job_s=2))
    call = HostedCall("toolu_1", {"handle": handle, "pattern": pattern}, "alice")
    answer = await tool.answer(call, Deadline.after(60))
    assert (answer.status, "Simplify" in text_of(answer)) == (Status.TIMED_OUT, True)
    call = HostedCall("toolu_2", {"handle": handle, "pattern": "c"}, "alice")
    assert "No line matches" in text_of(await tool.answer(call, Deadline.after(60)))


async def test_searching_goes_on_at_characters_whatever_their_bytes(store: OutputStore) -> None:
    text = "".join(f"é€😀 {number}\n" for number in range(50))
    handle, lines, offset = store.keep("alice", text), [], 0
    while True:
        said = text_of(await ask(store, handle=handle, pattern="€", limit=100, offset=offset))
        head, *found = said.splitlines()
        lines += found
        if "go on" not in head:
            break
        offset = int(head.rsplit(" ", 1)[1].rstrip("]"))
    assert lines == [f"{number + 1}: é€😀 {number}" for number in range(50)]


async def test_a_line_without_room_is_cut_rather_than_never_shown(store: OutputStore) -> None:
    handle = store.keep("alice", "abcdef\nabc\n")
    said = text_of(await ask(store, handle=handle, pattern="a", limit=5))
    assert said.splitlines() == ["[1 matching lines so far; go on with offset 7]", "1: ab"]
