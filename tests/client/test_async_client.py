"""What `AsyncClient.run` makes of an assistant's message: one answer for every call, in order."""

import json
from typing import Any

import anthropic.types
import anthropic.types.beta
import anyio
import pytest
from anyio.lowlevel import checkpoint

from auxot_tools.client import AsyncClient, Status, ToolResultMessage
from auxot_tools.errors import NotFound, RequestError, Unavailable
from auxot_tools.types import Artifact
from tests.support.client_calls import IMAGE, message, over, says, tool, tools_of, use
from tests.support.fake_dispatcher import FakeDispatcher, text_of

pytestmark = pytest.mark.anyio

FORMS = [
    dict,
    anthropic.types.Message.model_validate,
    anthropic.types.beta.BetaMessage.model_validate,
]


async def run(dispatcher: FakeDispatcher, said: Any, **options: Any) -> ToolResultMessage | None:
    async with AsyncClient.over(over(dispatcher)) as client:
        return await client.run(said, **options)


async def answered(dispatcher: FakeDispatcher, said: Any, **options: Any) -> ToolResultMessage:
    found = await run(dispatcher, said, **options)
    assert found is not None
    return found


def ids_of(answers: ToolResultMessage) -> list[str]:
    return [block["tool_use_id"] for block in answers["content"]]


def texts_of(answers: ToolResultMessage) -> list[str]:
    return [block["content"][0]["text"] for block in answers["content"]]


def errors_of(answers: ToolResultMessage) -> list[bool]:
    return [block.get("is_error", False) for block in answers["content"]]


@pytest.mark.parametrize("form", FORMS)
async def test_a_message_in_any_form_becomes_the_user_message_that_answers_it(form: Any) -> None:
    said = form(message(says("Both."), use("toolu_1", given={"n": 1}), use("toolu_2")))
    answers = await answered(FakeDispatcher(), said)
    assert answers == {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": [{"type": "text", "text": '{"n":1}'}],
            },
            {
                "type": "tool_result",
                "tool_use_id": "toolu_2",
                "content": [{"type": "text", "text": "{}"}],
            },
        ],
    }
    assert json.loads(json.dumps(answers)) == answers
    assert (answers.goes_on, answers.others) == (True, ())


async def test_results_come_in_the_order_of_the_calls_whichever_ends_first() -> None:
    slow_may_end = anyio.Event()
    slow = tool("slow", until=slow_may_end)

    async def let_end() -> None:
        slow_may_end.set()

    dispatcher = tools_of(slow, tool("fast", clean_up=let_end))
    answers = await answered(dispatcher, message(use("toolu_1", "slow"), use("toolu_2", "fast")))
    assert dispatcher.finished == ["toolu_2", "toolu_1"]
    assert ids_of(answers) == ["toolu_1", "toolu_2"]
    assert [result.tool_use_id for result in answers.results] == ["toolu_1", "toolu_2"]


async def test_calls_of_a_tool_that_may_not_run_side_by_side_keep_their_order() -> None:
    dispatcher = tools_of(tool("write", parallel=False, clean_up=checkpoint))
    await answered(dispatcher, message(*(use(f"toolu_{n}", "write") for n in range(5))))
    assert dispatcher.finished == [f"toolu_{n}" for n in range(5)]
    assert dispatcher.most_running == 1


async def test_calls_that_may_see_what_another_left_keep_their_order() -> None:
    stateful = {"stateful": True, "clean_up": checkpoint}
    dispatcher = tools_of(tool("bash", **stateful), tool("edit", **stateful))
    said = message(use("toolu_1", "bash"), use("toolu_2", "edit"), use("toolu_3", "bash"))
    await answered(dispatcher, said)
    assert dispatcher.finished == ["toolu_1", "toolu_2", "toolu_3"]
    assert dispatcher.most_running == 1


async def test_calls_of_other_tools_run_side_by_side() -> None:
    dispatcher = tools_of(tool("echo", clean_up=checkpoint))
    await answered(dispatcher, message(*(use(f"toolu_{n}") for n in range(5))))
    assert dispatcher.most_running == 5


async def test_nothing_to_answer_is_none() -> None:
    assert await run(FakeDispatcher(), message(says("Hi."), stop="end_turn")) is None
    server_side = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    assert await run(FakeDispatcher(), message(server_side, stop="pause_turn")) is None


async def test_a_call_of_another_tool_is_listed_and_never_left_without_an_answer() -> None:
    dispatcher = FakeDispatcher()
    said = message(use("toolu_1", "weather", {"city": "Bern"}), use("toolu_2"))
    answers = await answered(dispatcher, said)
    [other] = answers.others
    assert (other.id, other.name, other.input) == ("toolu_1", "weather", {"city": "Bern"})
    assert ids_of(answers) == ["toolu_1", "toolu_2"]
    assert errors_of(answers) == [True, False]
    assert 'no tool named "weather"' in texts_of(answers)[0]
    assert [call.tool_use_id for call in dispatcher.calls] == ["toolu_2"]

    answers.answer("toolu_1", "Sunny.")
    assert answers.others == ()
    assert texts_of(answers) == ["Sunny.", "{}"]
    assert errors_of(answers) == [False, False]
    with pytest.raises(RequestError, match='no call "toolu_1" waits'):
        answers.answer("toolu_1", "again")


async def test_a_tool_that_was_not_offered_is_not_run() -> None:
    dispatcher = tools_of(tool("echo"), tool("bash"))
    async with AsyncClient.over(over(dispatcher), tools=["echo"]) as client:
        assert [spec["name"] for spec in await client.specs()] == ["echo"]
        answers = await client.run(message(use("toolu_1", "bash")))
        assert answers is not None
        assert [other.name for other in answers.others] == ["bash"]
        assert (await client.call("bash")).status is Status.UNKNOWN_TOOL
    async with AsyncClient.over(over(dispatcher)) as client:
        narrowed = await client.run(message(use("toolu_1", "bash")), tools=("echo",))
        assert narrowed is not None
        assert [other.name for other in narrowed.others] == ["bash"]
    assert dispatcher.calls == []


@pytest.mark.parametrize(
    ("stop", "why"),
    [
        ("refusal", "the turn ended in a refusal"),
        ("max_tokens", "cut off by max_tokens"),
        ("model_context_window_exceeded", "ended without asking"),
        (None, "ended without asking"),
    ],
)
async def test_a_turn_that_does_not_ask_for_its_calls_has_none_run(
    stop: str | None, why: str
) -> None:
    dispatcher = FakeDispatcher()
    answers = await answered(dispatcher, message(use("a"), use("b", "weather"), stop=stop))
    assert dispatcher.calls == []
    assert ids_of(answers) == ["a", "b"]
    assert errors_of(answers) == [True, True]
    assert all(why in text for text in texts_of(answers))
    assert (answers.goes_on, answers.others) == (False, ())


async def test_a_message_out_of_a_history_is_run() -> None:
    said = {"role": "assistant", "content": [use("toolu_1")]}
    assert errors_of(await answered(FakeDispatcher(), said)) == [False]


async def test_what_is_no_assistants_message_is_refused_in_plain_words() -> None:
    for wrong in ({"role": "user", "content": "hi"}, "hi", None, [use("toolu_1")]):
        with pytest.raises(RequestError, match="takes the assistant's message"):
            await run(FakeDispatcher(), wrong)
    with pytest.raises(RequestError, match="no id or no name"):
        await run(FakeDispatcher(), message({"type": "tool_use", "input": {}}))


async def test_an_input_goes_to_the_worker_as_the_model_wrote_it() -> None:
    dispatcher = FakeDispatcher()
    cut, big = '{"a": [1, 2', 2**70
    said = message(use("toolu_1", given=cut), use("toolu_2", given={"n": big, "x": "\ud800"}))
    await answered(dispatcher, said)
    assert [call.input_json for call in dispatcher.calls] == [
        cut.encode(),
        b'{"n":1180591620717411303424,"x":"\\ud800"}',
    ]


async def test_an_input_that_no_json_can_hold_is_an_error_for_the_model() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    dispatcher = FakeDispatcher()
    said = message(use("a", given={"x": deep}), use("b", given={"x": object()}), use("c"))
    answers = await answered(dispatcher, said)
    assert errors_of(answers) == [True, True, False]
    assert (
        texts_of(answers)[:2] == ["The input cannot be written as JSON. This call was not run."] * 2
    )
    assert answers.results[0].status is Status.INVALID_ARGUMENTS


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_json_does_not_have_is_not_made_another_value(number: float) -> None:
    dispatcher = FakeDispatcher()
    said = message(use("a", given={"x": [{"y": number}]}), use("b", given={"x": None}))
    answers = await answered(dispatcher, said)
    assert errors_of(answers) == [True, False]
    assert "cannot be written as JSON" in texts_of(answers)[0]
    assert [call.input_json for call in dispatcher.calls] == [b'{"x":null}']


async def test_calls_of_one_id_are_all_there_and_answered_one_after_another() -> None:
    said = message(use("a", "mine", {"n": 1}), use("a", "mine", {"n": 2}))
    answers = await answered(FakeDispatcher(), said)
    assert [other.input for other in answers.others] == [{"n": 1}, {"n": 2}]
    answers.answer("a", "one")
    assert [other.input for other in answers.others] == [{"n": 2}]
    answers.answer("a", "two")
    assert texts_of(answers) == ["one", "two"]


async def test_an_answer_that_is_no_content_is_refused_and_the_call_still_waits() -> None:
    answers = await answered(FakeDispatcher(), message(use("a", "mine")))
    for content in (None, 5, {"type": "text", "text": "hi"}, ["hi"]):
        odd: Any = content
        with pytest.raises(RequestError, match="content: give a text, or a list of content blocks"):
            answers.answer("a", odd)
    assert [other.id for other in answers.others] == ["a"]


async def test_a_failing_tool_is_a_result_and_not_an_exception() -> None:
    failing = tool("late", status=Status.TIMED_OUT, reply=lambda _: "Timed out.")
    broken = tool("broken", error=RuntimeError("a secret of the inside"))
    said = message(use("toolu_1", "late"), use("toolu_2", "broken"))
    answers = await answered(tools_of(failing, broken), said)
    assert errors_of(answers) == [True, True]
    assert texts_of(answers)[0] == "Timed out."
    assert "secret" not in json.dumps(answers)
    assert texts_of(answers)[1] == (
        "There is no result, because of a fault on the way to the tool. The call may have run."
    )
    assert [result.status for result in answers.results] == [Status.TIMED_OUT, Status.INTERNAL]


async def test_images_and_artifacts_are_kept() -> None:
    plot = Artifact("plot.png", "image/png", b"png")
    drawn = {"content": (says("Drawn."), IMAGE), "artifacts": (plot,)}
    said = message(use("toolu_1", "draw"))
    answers = await answered(tools_of(tool("draw", members=drawn)), said)
    assert answers["content"][0]["content"] == [says("Drawn."), IMAGE]
    assert answers.artifacts == (plot,)


async def test_a_call_that_code_makes_gets_text_only() -> None:
    drawn = {"content": (says("Drawn."), IMAGE)}
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}
    said = message(use("toolu_1", "draw", caller=caller))
    answers = await answered(tools_of(tool("draw", members=drawn)), said)
    kinds = [block["type"] for block in answers["content"][0]["content"]]
    assert kinds == ["text", "text"]
    assert "image-2.png" in answers["content"][0]["content"][1]["text"]


async def test_a_member_of_a_toolset_is_its_owners_even_under_a_name_of_ours() -> None:
    dispatcher = FakeDispatcher()
    said = message(use("toolu_1", toolset_name="browser"))
    answers = await answered(dispatcher, said)
    assert dispatcher.calls == []
    assert answers["content"][0]["toolset_name"] == "browser"
    assert [other.id for other in answers.others] == ["toolu_1"]


async def test_one_call_gives_its_whole_result() -> None:
    made = {"artifacts": (Artifact("a.txt", "text/plain", b"a"),)}
    dispatcher = tools_of(tool("echo", members=made, exit_code=3))
    async with AsyncClient.over(over(dispatcher)) as client:
        result = await client.call("echo", {"n": 1}, session="s")
        assert (result.status, result.exit_code, text_of(result)) == (
            Status.COMPLETED,
            3,
            '{"n":1}',
        )
        assert result.artifacts[0].data == b"a"
        await client.call("echo", '{"n": ')
        await client.call("echo")
        missing = await client.call("nothing")
    assert [call.input_json for call in dispatcher.calls] == [b'{"n":1}', b'{"n": ', b"{}", b"{}"]
    assert len({call.tool_use_id for call in dispatcher.calls}) == 4
    assert missing.status is Status.UNKNOWN_TOOL


async def test_a_choice_of_tools_comes_in_its_order_and_must_exist() -> None:
    dispatcher = tools_of(tool("a"), tool("b"), tool("c"))
    async with AsyncClient.over(over(dispatcher)) as client:
        everything = await client.specs()
        assert [spec["name"] for spec in everything] == ["a", "b", "c"]
        assert set(everything[0]) == {"name", "description", "input_schema"}
        assert [spec["name"] for spec in await client.specs(("c", "a", "c"))] == ["c", "a"]
        assert [spec["name"] for spec in await client.specs("b")] == ["b"]
        with pytest.raises(NotFound, match="no tool named 'x'; there are: a, b, c"):
            await client.specs(["x"])


async def test_a_worker_that_is_away_is_an_error_only_while_its_tools_are_unknown() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("the worker does not answer"))
    async with AsyncClient.over(over(dispatcher)) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            await client.run(message(use("toolu_1")))
        assert await client.run(message(says("Hi."), stop="end_turn")) is None
        refused = await client.run(message(use("toolu_1"), stop="refusal"))
        assert refused is not None
        dispatcher.list_error = None
        await client.specs()
        dispatcher.list_error = Unavailable("gone")
        assert await client.run(message(use("toolu_1"))) is not None


async def test_leaving_in_the_middle_stops_what_runs() -> None:
    dispatcher = tools_of(tool("hang", hangs=True))
    async with AsyncClient.over(over(dispatcher)) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.run, message(use("toolu_1", "hang"), use("toolu_2", "hang")))
        await dispatcher.until(lambda seen: seen.running == 2)
        tasks.cancel_scope.cancel()
    assert sorted(dispatcher.cancelled) == ["toolu_1", "toolu_2"]


async def test_a_client_that_is_not_open_says_so() -> None:
    client = AsyncClient.over(over(FakeDispatcher()))
    for asked in (client.specs(), client.run(message(use("a"))), client.call("echo")):
        with pytest.raises(RequestError, match="async with"):
            await asked
