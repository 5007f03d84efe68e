"""A call waits for an operator, and only for so long."""

import anyio
import pytest

from auxot_tools.errors import NotFound
from auxot_tools.types import Deadline
from auxot_tools.worker.approvals import (
    MAX_OF_ONE_KEY,
    MAX_WAITING,
    SHOWN_BYTES,
    ApprovalDesk,
    Verdict,
)
from tests.support.executor_calls import a_call, until

pytestmark = pytest.mark.anyio
SOON = 60.0


@pytest.mark.parametrize("allow", [True, False])
async def test_the_first_answer_counts_and_says_who(allow: bool) -> None:
    desk = ApprovalDesk()
    answers: list[Verdict | None] = []

    async def ask() -> None:
        answers.append(await desk.ask(a_call(tenant="alice"), Deadline.after(SOON)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await until(lambda: bool(desk._waiting))
        (waiting,) = await desk.list_approvals()
        assert (waiting.tool_name, waiting.tenant, waiting.input_json) == ("run", "alice", b"{}")
        assert 0 <= waiting.waited_s < waiting.left_s <= SOON
        await desk.decide_approval(waiting.id, allow=allow, by="bob")
        with pytest.raises(NotFound):
            await desk.decide_approval(waiting.id, allow=not allow)
    assert answers == [Verdict(allow, "bob")]
    assert await desk.list_approvals() == ()


async def test_silence_is_no_at_the_sooner_of_both_limits() -> None:
    assert await ApprovalDesk(ask_s=0.01).ask(a_call(), Deadline.after(SOON)) is None
    assert await ApprovalDesk(ask_s=SOON).ask(a_call(), Deadline.after(0.01)) is None


async def test_a_caller_who_leaves_waits_no_more() -> None:
    desk = ApprovalDesk()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.ask, a_call(), Deadline.after(SOON))
        await until(lambda: bool(desk._waiting))
        tasks.cancel_scope.cancel()
    assert await desk.list_approvals() == ()


async def test_who_comes_to_a_full_desk_is_refused_at_once_and_inputs_are_cut() -> None:
    desk = ApprovalDesk()
    async with anyio.create_task_group() as tasks:
        for number in range(MAX_WAITING):
            call = a_call(text="x" * (SHOWN_BYTES + 1), tenant=f"key-{number // MAX_OF_ONE_KEY}")
            tasks.start_soon(desk.ask, call, Deadline.after(SOON))
            await anyio.wait_all_tasks_blocked()
            assert desk.has_room("another") is (number < MAX_WAITING - 1)
        assert desk.waiting == MAX_WAITING
        assert await desk.ask(a_call(tenant="another"), Deadline.after(SOON)) is None
        assert {len(one.input_json) for one in await desk.list_approvals()} == {SHOWN_BYTES}
        tasks.cancel_scope.cancel()


async def test_one_key_cannot_take_the_desk_for_itself() -> None:
    desk = ApprovalDesk()
    async with anyio.create_task_group() as tasks:
        for _ in range(MAX_OF_ONE_KEY):
            tasks.start_soon(desk.ask, a_call(tenant="greedy"), Deadline.after(SOON))
        await until(lambda: desk.waiting == MAX_OF_ONE_KEY)
        assert not desk.has_room("greedy")
        assert desk.has_room("another")
        tasks.cancel_scope.cancel()
