"""What every real client makes of the router: the same conversations by each of them."""

import json
from pathlib import Path

import anyio
import pytest

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.scenario import (
    Block,
    Faults,
    Script,
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.types import JSON
from tests.clients.lab import Call, blocks_of, echo, running_lab
from tests.clients.programs import (
    NODE_PROGRAMS,
    AiGenerateText,
    AiStreamText,
    ClaudeCode,
    Client,
    SdkCreate,
    SdkRunner,
    SdkRunnerStream,
    SdkStream,
)
from tests.support.fake_dispatcher import FakeDispatcher

pytestmark = pytest.mark.anyio

STREAMING = (ClaudeCode, SdkStream, SdkRunnerStream, AiStreamText)
TOOL_STARTS_S = 30.0
# Values that every JSON writer repeats as they are, and that a careless one would not.
INPUT: JSON = {"text": 'grüß "dich"\n', "n": 1.5, "list": [1, None, True], "empty": {"a": {}}}
SECOND: JSON = {"text": ""}


def answer(text: str) -> Turn:
    return Turn(blocks=(TextBlock(text=text),))


def calling(*blocks: Block) -> Turn:
    return Turn(blocks=(TextBlock(text="Let me look."), *blocks), stop_reason="tool_use")


def ours(tool_use_id: str, value: JSON) -> ToolUseBlock:
    return ToolUseBlock(id=tool_use_id, name="echo", input=value)


def echoed(tool_use_id: str, value: JSON) -> Call:
    """A call of ours and its result, as the upstream must see them."""
    return Call(tool_use_id, "echo", value, json.dumps(value, ensure_ascii=False))


def answered(block: ToolUseBlock, result: str) -> Call:
    return Call(block.id, block.name, block.input, result)


@pytest.mark.scenario("a plain answer")
async def test_a_plain_answer_arrives_whole_at_the_version_that_we_pinned(
    client: Client, tmp_path: Path
) -> None:
    async with running_lab(tmp_path, answer("Hello to you, in några ord.")) as lab:
        told = await client.say(lab.origin, "Say hello.")

    assert told.error is None
    assert told.text == "Hello to you, in några ord."
    assert lab.model.received == 1
    assert lab.dispatcher.calls == []
    agents = [seen.headers["user-agent"] for seen in lab.answered]
    assert [agent.startswith(client.user_agent) for agent in agents] == [True], agents


@pytest.mark.scenario("our tool")
async def test_a_tool_of_ours_is_run_by_us_and_only_shown_to_the_client(
    client: Client, tmp_path: Path
) -> None:
    turns = (calling(ours("toolu_1", INPUT)), answer("It said so."))
    async with running_lab(tmp_path, *turns) as lab:
        told = await client.say(lab.origin, "Use the echo.")

    assert (told.text, told.error) == ("It said so.", None)
    assert told.ran == []
    assert told.saw == [("echo", INPUT)]
    assert len(lab.answered) == 1  # the client had no part in the second round
    assert lab.rounds(1) == [[echoed("toolu_1", INPUT)]]
    assert len(lab.dispatcher.calls) == 1


@pytest.mark.scenario("the client's tool")
async def test_the_clients_own_tool_is_run_by_the_client(client: Client, tmp_path: Path) -> None:
    own = client.own_call("toolu_own", "aloud")
    async with running_lab(tmp_path, calling(own), answer("It was loud.")) as lab:
        told = await client.say(lab.origin, "Say it aloud.")

    assert (told.text, told.error) == ("It was loud.", None)
    assert told.ran == ["ALOUD"]
    assert told.saw == []
    assert len(lab.answered) == 2
    assert lab.rounds(1) == [[answered(own, "ALOUD")]]
    assert lab.dispatcher.calls == []


@pytest.mark.scenario("mixed turn: each runs its own, once")
@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_in_a_mixed_turn_each_side_runs_its_own_tool_once(
    client: Client, tmp_path: Path, first: str
) -> None:
    own = client.own_call("toolu_own", "aloud")
    blocks = (ours("toolu_1", INPUT), own) if first == "ours" else (own, ours("toolu_1", INPUT))
    async with running_lab(tmp_path, calling(*blocks), answer("Both are done.")) as lab:
        told = await client.say(lab.origin, "Do both.")

    assert (told.text, told.error) == ("Both are done.", None)
    assert told.ran == ["ALOUD"]
    assert told.saw == [("echo", INPUT)]
    assert [call.tool_use_id for call in lab.dispatcher.calls] == ["toolu_1"]
    seen = {call.tool_use_id: call for calls in lab.rounds(1) for call in calls}
    assert seen == {"toolu_1": echoed("toolu_1", INPUT), "toolu_own": answered(own, "ALOUD")}


@pytest.mark.scenario("mixed turn: one turn for the model")
@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_after_a_mixed_turn_the_model_sees_one_turn_and_all_results_in_one_message(
    client: Client, tmp_path: Path, first: str
) -> None:
    own = client.own_call("toolu_own", "aloud")
    blocks = (ours("toolu_1", INPUT), own) if first == "ours" else (own, ours("toolu_1", INPUT))
    async with running_lab(tmp_path, calling(*blocks), answer("Both are done.")) as lab:
        await client.say(lab.origin, "Do both.")

    both = [echoed("toolu_1", INPUT), answered(own, "ALOUD")]
    assert lab.rounds(1) == [both if first == "ours" else both[::-1]]


@pytest.mark.scenario("our tools in parallel")
async def test_calls_of_ours_in_one_turn_run_side_by_side(client: Client, tmp_path: Path) -> None:
    both_run = anyio.Event()
    dispatcher = FakeDispatcher([echo(until=both_run)])

    async def release() -> None:
        await dispatcher.until(lambda fake: fake.running == 2, TOOL_STARTS_S)
        both_run.set()

    turns = (calling(ours("toolu_1", INPUT), ours("toolu_2", SECOND)), answer("Twice said."))
    async with (
        running_lab(tmp_path, *turns, dispatcher=dispatcher) as lab,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(release)
        told = await client.say(lab.origin, "Use the echo twice.")

    assert (told.text, told.error) == ("Twice said.", None)
    assert told.ran == []
    assert told.saw == [("echo", INPUT), ("echo", SECOND)]
    assert lab.rounds(1) == [[echoed("toolu_1", INPUT), echoed("toolu_2", SECOND)]]


@pytest.mark.scenario("our tools in three rounds")
async def test_rounds_of_ours_come_as_one_message(client: Client, tmp_path: Path) -> None:
    turns = (
        calling(ours("toolu_1", INPUT)),
        calling(ours("toolu_2", SECOND)),
        calling(ours("toolu_3", INPUT)),
        answer("Thrice said."),
    )
    async with running_lab(tmp_path, *turns) as lab:
        told = await client.say(lab.origin, "Use the echo again and again.")

    assert (told.text, told.error) == ("Thrice said.", None)
    assert told.saw == [("echo", INPUT), ("echo", SECOND), ("echo", INPUT)]
    assert len(lab.answered) == 1
    assert [len(calls) for calls in lab.rounds(3)] == [1, 1, 1]


@pytest.mark.scenario("pings while our tool runs", clients=STREAMING)
async def test_pings_while_a_tool_of_ours_runs_do_not_disturb(
    client: Client, tmp_path: Path
) -> None:
    enough = anyio.Event()
    dispatcher = FakeDispatcher([echo(until=enough)])
    turns = (calling(ours("toolu_1", INPUT)), answer("At last."))
    limits = RouterLimits(ping_interval_s=0.05)
    async with (
        running_lab(tmp_path, *turns, dispatcher=dispatcher, limits=limits) as lab,
        anyio.create_task_group() as tasks,
    ):

        async def release() -> None:
            await dispatcher.until(lambda fake: fake.running == 1, TOOL_STARTS_S)
            await lab.recorder.until(lambda seen: seen[-1].pings >= 3, TOOL_STARTS_S)
            enough.set()

        tasks.start_soon(release)
        told = await client.say(lab.origin, "Use the slow echo.")

    assert (told.text, told.error) == ("At last.", None)
    assert len(lab.answered) == 1


@pytest.mark.scenario("resumed: our call is seen again")
async def test_a_conversation_goes_on_and_the_model_sees_our_earlier_call_again(
    client: Client, tmp_path: Path
) -> None:
    turns = (calling(ours("toolu_1", INPUT)), answer("It said so."), answer("As I said."))
    async with running_lab(tmp_path, *turns) as lab:
        await client.say(lab.origin, "Use the echo.")
        told = await client.say(lab.origin, "What did it say?")

    assert (told.text, told.error) == ("As I said.", None)
    assert lab.rounds(2) == lab.rounds(1) == [[echoed("toolu_1", INPUT)]]
    assert lab.assistant_texts(2) == ["Let me look.", "It said so."]
    assert len(lab.dispatcher.calls) == 1


@pytest.mark.scenario("resumed after a mixed turn")
async def test_a_conversation_with_a_mixed_turn_goes_on(client: Client, tmp_path: Path) -> None:
    own = client.own_call("toolu_own", "aloud")
    turns = (calling(ours("toolu_1", INPUT), own), answer("Both."), answer("As I said."))
    async with running_lab(tmp_path, *turns) as lab:
        await client.say(lab.origin, "Do both.")
        told = await client.say(lab.origin, "What was it?")

    assert (told.text, told.error) == ("As I said.", None)
    assert told.ran == []
    seen = {call.tool_use_id: call for calls in lab.rounds(2) for call in calls}
    assert seen == {"toolu_1": echoed("toolu_1", INPUT), "toolu_own": answered(own, "ALOUD")}
    assert lab.assistant_texts(2) == ["Let me look.", "Both."]  # one turn, and the answer
    assert len(lab.dispatcher.calls) == 1


@pytest.mark.scenario("hidden calls: resumed after a mixed turn")
async def test_calls_that_were_hidden_are_seen_again_by_the_model(
    client: Client, tmp_path: Path
) -> None:
    own = client.own_call("toolu_own", "aloud")
    turns = (calling(ours("toolu_1", INPUT), own), answer("Both."), answer("As I said."))
    hidden = LoopSettings(show_calls=False)
    async with running_lab(tmp_path, *turns, settings=hidden) as lab:
        first = await client.say(lab.origin, "Do both.")
        told = await client.say(lab.origin, "What was it?")

    assert (first.text, first.ran, first.saw) == ("Both.", ["ALOUD"], [])
    assert (told.text, told.error) == ("As I said.", None)
    both = [echoed("toolu_1", INPUT), answered(own, "ALOUD")]
    assert [lab.rounds(1), lab.rounds(2)] == [[both], [both]]
    assert len(lab.dispatcher.calls) == 1


# The events of a turn that were sent when it fails: its start, a ping, a block's start, some text.
BREAKS = Turn(
    blocks=(TextBlock(text="This sentence is never finished, as you see."),),
    faults=Faults(error_after_events=5),
)
REPEATING = (ClaudeCode, SdkCreate, SdkRunner, AiGenerateText)
TELLING = tuple(program for program in NODE_PROGRAMS if program not in REPEATING)


@pytest.mark.scenario("error in mid-answer: asked again by itself", clients=REPEATING)
async def test_a_client_that_repeats_after_an_error_in_mid_answer_has_the_answer_then(
    client: Client, tmp_path: Path
) -> None:
    async with running_lab(tmp_path, BREAKS, answer("Now it works.")) as lab:
        told = await client.say(lab.origin, "Say something.")

    assert (told.text, told.error) == ("Now it works.", None)
    *_, first, second = lab.posts  # the tool runner begins with a refused message thread
    assert [first.is_stream, second.is_stream] == [isinstance(client, ClaudeCode), False]
    assert [first.status, second.status] == [200 if first.is_stream else 529, 200]
    assert lab.model.received == 2


@pytest.mark.scenario("error in mid-answer: told, and a repeat works", clients=TELLING)
async def test_a_client_that_streams_is_told_of_an_error_in_mid_answer_and_may_ask_again(
    client: Client, tmp_path: Path
) -> None:
    async with running_lab(tmp_path, BREAKS, answer("Now it works.")) as lab:
        told = await client.say(lab.origin, "Say something.")
        again = await client.say(lab.origin, "Say something.")

    assert told.error is not None
    assert told.error["type"] == "overloaded_error"
    assert "scripted fault" in told.error["message"]
    assert told.partial.startswith("This sentence")
    assert (again.text, again.error) == ("Now it works.", None)
    assert lab.model.received == 2


def breaking_once_after_the_call() -> Script:
    """A model that calls whenever it has no result, and whose first turn with one breaks off."""
    breaks = iter((BREAKS,))

    def script(request: ScriptedRequest) -> Turn:
        if not any(blocks_of(message, "tool_result") for message in request.body["messages"]):
            return calling(ours("toolu_1", INPUT))
        return next(breaks, answer("Now it works."))

    return script


@pytest.mark.scenario("error after our tool ran: it runs once")
async def test_after_an_error_the_client_or_its_user_goes_on_and_our_tool_has_run_once(
    client: Client, tmp_path: Path
) -> None:
    async with running_lab(tmp_path, script=breaking_once_after_the_call()) as lab:
        told = await client.say(lab.origin, "Use the echo.")
        if told.error is not None:  # a client that does not ask again by itself
            assert told.error["type"] == "overloaded_error"
            told = await client.say(lab.origin, "Use the echo.")

    assert (told.text, told.error) == ("Now it works.", None)
    assert lab.rounds(-1) == [[echoed("toolu_1", INPUT)]]
    assert len(lab.dispatcher.calls) == 1
