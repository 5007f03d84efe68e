"""The pytest plugin, as others use it: their files, their pytest, tools that are functions."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.outside_tests import PLUGIN, Ran, run_outside

OUTSIDE = """
import anthropic
import pytest

add = pytest.mark.auxot_functions(add=lambda a, b: a + b)
SCENARIO = "calls.yaml"


@add
def test_three_lines(scripted_model, messages_client):
    scripted_model.calls("add", {"a": 1, "b": 1})
    assert "2" in messages_client.ask("go").text


@add
def test_the_same_that_fails(scripted_model, messages_client):
    scripted_model.calls("add", {"a": 1, "b": 2})
    assert "2" in messages_client.ask("go").text


@add
def test_parallel_calls_and_what_the_model_was_sent(scripted_model, messages_client):
    scripted_model.calls("add", {"a": 1, "b": 2})
    scripted_model.calls("add", {"a": 3, "b": "x"})
    answer = messages_client.ask("go")
    assert [len(answer.blocks(kind)) for kind in ("mcp_tool_use", "mcp_tool_result")] == [2, 2]
    assert [one.get("is_error", False) for one in scripted_model.results] == [False, True]
    assert scripted_model.result_text.startswith("3\\n")
    assert [len(one["messages"]) for one in scripted_model.requests] == [1, 3]
    assert answer.events[0]["type"] == "message_start"
    assert answer.stop_reason == "end_turn"


@add
def test_a_message_in_one_piece(scripted_model, messages_client):
    scripted_model.play("Hello")
    message = messages_client.create("hi", model="m", temperature=0)
    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert scripted_model.requests[0]["temperature"] == 0


@add
def test_a_scenario_file_beside_the_test(scripted_model, messages_client):
    scripted_model.load(SCENARIO)
    assert messages_client.ask("go").text == "Fine."


@pytest.mark.auxot_functions(add=lambda a, b: 0)
def test_an_expectation_that_a_loop_swallows(scripted_model, messages_client):
    scripted_model.load(SCENARIO)
    with pytest.raises(AssertionError):
        messages_client.ask("go")


@add
def test_a_misspelled_tool(scripted_model, messages_client):
    scripted_model.calls("ad", {"a": 1, "b": 2})
    assert "3" in messages_client.ask("go").text


@add
def test_a_turn_that_is_not_played(scripted_model, messages_client):
    scripted_model.play("one", "two")
    messages_client.ask("go")


@add
def test_a_failing_test_is_told_once(scripted_model, messages_client):
    scripted_model.play("one")
    assert messages_client.url == ""


@add
def test_a_faulty_upstream(scripted_model, messages_client):
    scripted_model.play({"text": "Hello", "faults": {"cut_after_events": 4}})
    with pytest.raises(AssertionError, match="The stream has an error in it"):
        messages_client.stream()
    fault = {"faults": {"http": {"status": 429, "error_type": "rate_limit_error"}}}
    scripted_model.play(fault)
    with pytest.raises(AssertionError) as caught:
        messages_client.create()
    assert (caught.value.status, caught.value.body["error"]["type"]) == (429, "rate_limit_error")


def test_a_worker_of_functions(request):
    request.node.add_marker(add)
    worker = request.getfixturevalue("auxot_worker")
    assert worker.tools == ("add",)
    good = worker.call("add", {"a": [1], "b": [2]})
    assert (good.json, good.is_error, good.exit_code) == ([1, 2], False, 0)
    assert worker.call("add", "{").status == "invalid_arguments"
    assert worker.call("sub").status == "unknown_tool"
    assert "unsupported operand" in worker.call("add", {"a": 1, "b": None}).text


@add
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_async_test_with_the_official_sdk(scripted_model, messages_client):
    scripted_model.calls("add", {"a": 20, "b": 22})
    async with anthropic.AsyncAnthropic(
        base_url=messages_client.url, api_key=messages_client.key, max_retries=0
    ) as client:
        async with client.beta.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "go"}]
        ) as stream:
            message = await stream.get_final_message()
    assert message.content[-1].text == "42"


def test_a_model_alone(scripted_model):
    scripted_model.play("Hello")
    client = anthropic.Anthropic(base_url=scripted_model.url, api_key="any", max_retries=0)
    with client:
        message = client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    assert message.content[0].text == "Hello"


@add
def test_a_model_that_was_told_nothing(messages_client):
    messages_client.ask("go")


@pytest.mark.auxot_tools("nowhere")
def test_no_such_folder(auxot_worker):
    raise AssertionError


@pytest.mark.auxot_tools("broken")
def test_a_tool_in_quarantine(auxot_worker):
    raise AssertionError
"""
CALLS = """\
turns:
  - tool_use: {name: add, input: {a: 40, b: 2}}
  - expect: {tool_result: {equals: "42"}}
    text: Fine.
"""
# What must not be loaded before a fixture is asked for.
HEAVY = ("aiohttp", "anthropic", "docker", "google.protobuf", "grpc", "pydantic", "uvicorn", "yaml")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "test_outside.py").write_text(OUTSIDE)
    (folder / "calls.yaml").write_text(CALLS)
    (folder / "broken" / "tool").mkdir(parents=True)
    # In a process of xdist's, whose session is another than the one that is told the outcomes.
    return run_outside(folder, "-n", "1", plugins=(PLUGIN, "anyio", "xdist"))


def named(outcome: str, ran: Ran) -> set[str]:
    return {name for name, one in ran.outcomes.items() if one == outcome}


def test_what_passes_passes_with_warnings_as_errors(ran: Ran) -> None:
    assert named("passed", ran) == {
        "test_three_lines",
        "test_parallel_calls_and_what_the_model_was_sent",
        "test_a_message_in_one_piece",
        "test_a_scenario_file_beside_the_test",
        "test_a_faulty_upstream",
        "test_a_worker_of_functions",
        "test_an_async_test_with_the_official_sdk[asyncio]",
        "test_a_model_alone",
    }


def test_what_fails_says_why(ran: Ran) -> None:
    assert "assert '2' in '3'" in ran.reasons["test_the_same_that_fails"]
    assert "use play(), calls() or load()" in ran.reasons["test_a_model_that_was_told_nothing"]
    told = "the model called `ad`, which this worker does not have (here: add); it went to"
    assert told in ran.output
    assert named("failed", ran) == {
        "test_the_same_that_fails",
        "test_a_misspelled_tool",
        "test_a_failing_test_is_told_once",
        "test_a_model_that_was_told_nothing",
    }


def test_what_the_scenario_wants_is_looked_at_when_a_test_ends(ran: Ran) -> None:
    swallowed = ran.reasons["test_an_expectation_that_a_loop_swallows"]
    assert "calls.yaml:3: turns[1].expect.tool_result" in swallowed
    assert 'it is not "42"; it is "0"' in swallowed
    unplayed = ran.reasons["test_a_turn_that_is_not_played"]
    assert "turns[1]: this turn was not played." in unplayed


def test_a_worker_that_cannot_be_is_an_error_that_says_why(ran: Ran) -> None:
    assert "nowhere does not exist" in ran.reasons["test_no_such_folder"]
    assert "tool: it has no tool.json" in ran.reasons["test_a_tool_in_quarantine"]
    assert named("error", ran) == {
        "test_an_expectation_that_a_loop_swallows",
        "test_a_turn_that_is_not_played",
        "test_no_such_folder",
        "test_a_tool_in_quarantine",
    }
    assert "During handling" not in ran.output


def test_pytest_finds_it_wherever_the_package_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert PLUGIN in project["project"]["entry-points"]["pytest11"].values()


def test_a_start_of_pytest_loads_nothing_for_the_plugin() -> None:
    code = f"import sys, {PLUGIN}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
