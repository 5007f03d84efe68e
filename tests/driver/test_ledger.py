"""What attempts leave to their repeats: rounds whose tools ran, for a while, in bounded memory."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import pytest

from auxot_tools.driver import ledger as ledger_module
from auxot_tools.driver.ledger import MAX_ATTEMPT_BYTES, MemoryAttempt, MemoryLedger
from auxot_tools.types import JSON, Artifact, Status, ToolResult, text_result

pytestmark = pytest.mark.anyio

TURN: list[JSON] = [{"type": "message_start", "message": {}}]
ANSWER: JSON = {"type": "message", "content": []}
PATIENCE_S = 5.0


def result(tool_use_id: str, text: str = "ok") -> ToolResult:
    return text_result(tool_use_id, Status.COMPLETED, text)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


async def fail_after_one_round(ledger: MemoryLedger, digest: bytes = b"d") -> None:
    async with ledger.attempt("key", digest) as attempt:
        attempt.note_turn(TURN)
        attempt.note_result(result("a"))


@asynccontextmanager
async def running(
    ledger: MemoryLedger, digest: bytes = b"d"
) -> AsyncGenerator[MemoryAttempt, None]:
    """An attempt that lives and has run a tool."""
    async with ledger.attempt("key", digest) as attempt:
        attempt.note_turn(TURN)
        yield attempt


async def test_a_failed_attempt_that_ran_tools_is_gone_on_from() -> None:
    ledger = MemoryLedger()
    await fail_after_one_round(ledger)
    async with ledger.attempt("key", b"d") as second:
        [past] = second.past
        assert list(past.turn) == TURN
        assert past.results == {"a": result("a")}
        assert second.answer is None


async def test_an_attempt_that_ran_no_tool_leaves_nothing() -> None:
    ledger = MemoryLedger()
    async with ledger.attempt("key", b"d"):
        pass
    async with ledger.attempt("key", b"d") as second:
        assert second.past == ()


async def test_a_completed_answer_is_never_used_again() -> None:
    ledger = MemoryLedger()
    async with running(ledger) as attempt:
        attempt.complete(ANSWER)
        attempt.delivered()
    async with ledger.attempt("key", b"d") as second:
        assert second.past == ()
        assert second.answer is None


async def test_other_requests_find_nothing() -> None:
    ledger = MemoryLedger()
    await fail_after_one_round(ledger)
    async with ledger.attempt("key", b"other") as second:
        assert second.past == ()


async def test_it_is_forgotten_after_a_minute() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock=clock)
    await fail_after_one_round(ledger)
    clock.now += 59.9
    async with ledger.attempt("key", b"d") as second:
        assert second.past
    clock.now += 60.0
    async with ledger.attempt("key", b"d") as third:
        assert third.past == ()


async def test_a_third_attempt_goes_on_from_all_that_two_did() -> None:
    ledger = MemoryLedger()
    await fail_after_one_round(ledger)
    async with ledger.attempt("key", b"d") as second:
        second.note_turn(TURN)
        second.note_result(result("b"))
    async with ledger.attempt("key", b"d") as third:
        assert [list(past.results) for past in third.past] == [["a"], ["b"]]


async def test_a_result_that_comes_later_belongs_to_the_last_round() -> None:
    ledger = MemoryLedger()
    async with running(ledger):
        pass
    async with ledger.attempt("key", b"d") as second:
        assert second.past[0].results == {}
        second.note_result(result("a"))
    async with ledger.attempt("key", b"d") as third:
        assert list(third.past[0].results) == ["a"]


async def test_a_living_attempt_that_ran_tools_is_waited_for_and_its_answer_taken() -> None:
    ledger, answers = MemoryLedger(), []

    async def wait() -> None:
        async with ledger.attempt("key", b"d") as joined:
            answers.append(joined.answer)
            joined.delivered()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks, running(ledger) as first:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert answers == []
            first.complete(ANSWER)
    assert answers == [ANSWER]
    async with ledger.attempt("key", b"d") as later:
        assert later.answer is None


async def test_of_several_that_wait_one_goes_on_and_the_others_wait_for_it() -> None:
    ledger, seen = MemoryLedger(), []

    async def wait(number: int) -> None:
        async with ledger.attempt("key", b"d") as joined:
            seen.append((number, joined.answer))
            await anyio.wait_all_tasks_blocked()
            joined.complete(ANSWER)
            joined.delivered()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks, running(ledger):
            for number in range(3):
                tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
    assert [answer for _, answer in seen] == [None, ANSWER, ANSWER]


async def test_a_living_attempt_that_ran_no_tool_is_not_waited_for() -> None:
    ledger = MemoryLedger()
    with anyio.fail_after(PATIENCE_S):
        async with ledger.attempt("key", b"d"), ledger.attempt("key", b"d") as second:
            assert second.past == ()


async def test_a_client_that_left_is_missed_at_once_when_no_tool_ran() -> None:
    ledger = MemoryLedger()
    with anyio.fail_after(ledger_module.REJOIN_S / 2):
        async with ledger.attempt("key", b"d") as attempt:
            await attempt.until_unwanted()


async def test_after_a_tool_ran_it_goes_on_while_its_repeat_waits() -> None:
    ledger, order = MemoryLedger(), []

    async def wait() -> None:
        async with ledger.attempt("key", b"d"):
            order.append("went on")

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks, AsyncExitStack() as held:
            first = await held.enter_async_context(running(ledger))
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()

            async def outlive() -> None:
                await first.until_unwanted()
                order.append("unwanted")

            tasks.start_soon(outlive)
            await anyio.wait_all_tasks_blocked()
            assert order == []
            await held.aclose()
    assert order == ["went on", "unwanted"]


async def test_what_is_too_large_is_not_kept_and_says_so() -> None:
    ledger = MemoryLedger()
    async with running(ledger) as attempt:
        assert attempt.can_be_repeated
        attempt.note_result(result("a", "x" * MAX_ATTEMPT_BYTES))
        assert not attempt.can_be_repeated
    async with ledger.attempt("key", b"d") as second:
        assert second.past == ()


async def test_all_together_are_bounded_the_oldest_going_first() -> None:
    ledger = MemoryLedger()
    size = MAX_ATTEMPT_BYTES // 2
    count = ledger_module.MAX_TOTAL_BYTES // size + 3
    for number in range(count):
        async with running(ledger, b"%d" % number) as attempt:
            attempt.note_result(result("a", "x" * size))
    kept = []
    for number in range(count):
        async with ledger.attempt("key", b"%d" % number) as again:
            kept.append(bool(again.past))
    assert not any(kept[:3])
    assert all(kept[5:])


async def test_an_answer_that_nobody_read_is_there_for_the_repeat_and_then_gone() -> None:
    ledger = MemoryLedger()
    async with running(ledger) as attempt, anyio.create_task_group() as tasks:
        tasks.start_soon(attempt.until_unwanted)  # its client has left
        await anyio.wait_all_tasks_blocked()
        attempt.complete(ANSWER)
        attempt.delivered()
        tasks.cancel_scope.cancel()
    assert ledger.knows("key", b"d")
    async with ledger.attempt("key", b"d") as repeat:
        assert repeat.answer == ANSWER
        repeat.complete(ANSWER)
        repeat.delivered()
    assert not ledger.knows("key", b"d")


async def test_what_one_key_does_neither_finds_nor_displaces_what_another_did() -> None:
    ledger = MemoryLedger()
    await fail_after_one_round(ledger)
    for number in range(2 * ledger_module.MAX_ATTEMPTS_OF_ONE):
        async with ledger.attempt("other", b"%d" % number) as attempt:
            attempt.note_turn(TURN)
    async with ledger.attempt("other", b"d") as stranger:
        assert stranger.past == ()
    async with ledger.attempt("key", b"d") as second:
        assert len(second.past) == 1


async def test_an_attempt_that_lives_is_not_displaced_and_knows_what_it_is_worth() -> None:
    ledger = MemoryLedger()
    async with running(ledger) as living:
        for number in range(2 * ledger_module.MAX_ATTEMPTS_OF_ONE):
            async with running(ledger, b"%d" % number) as attempt:
                assert attempt.can_be_repeated
        assert living.can_be_repeated
    assert ledger.knows("key", b"d")


async def test_two_attempts_at_one_request_do_not_forget_one_another() -> None:
    ledger = MemoryLedger()
    async with ledger.attempt("key", b"d") as first, ledger.attempt("key", b"d") as second:
        first.note_turn(TURN)
        second.note_turn(TURN)
        second.complete(ANSWER)
        second.delivered()
    async with ledger.attempt("key", b"d") as third:
        assert len(third.past) == 1


async def test_files_of_a_call_are_not_kept_for_the_model_never_sees_them() -> None:
    ledger = MemoryLedger()
    big = replace(result("a"), artifacts=(Artifact("f", "text/plain", b"x" * 2**20),))
    async with running(ledger) as attempt:
        attempt.note_result(big)
    async with ledger.attempt("key", b"d") as second:
        assert second.past[0].results["a"] == result("a")


async def test_the_provider_of_past_rounds_is_remembered() -> None:
    ledger = MemoryLedger()
    async with ledger.attempt("key", b"d") as attempt:
        attempt.note_turn(TURN, "second")
    async with ledger.attempt("key", b"d") as repeat:
        assert repeat.provider == "second"
