"""The sketched exchange: its bodies, its commands, and what is said when it is performed."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from auxot_tools.doctor.key import Redactor
from auxot_tools.doctor.probes import ProbeOptions
from auxot_tools.doctor.report import cleaned_values
from auxot_tools.doctor.sketch import (
    ID_PLACE,
    Sketch,
    client_lines,
    curl,
    endpoint_lines,
    endpoint_request,
    example_content,
    first_request,
    second_request,
)
from auxot_tools.doctor.sketch_run import run_client_form, run_endpoint_form
from auxot_tools.doctor.tool_source import MAX_FILE_BYTES, read_tools
from auxot_tools.errors import ConfigError
from auxot_tools.scripted.demo import demo_model
from auxot_tools.types import ToolSpec
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool
from tests.support.raw_server import raw_server
from tests.support.running import KEY, running_router
from tests.support.staged_endpoint import MESSAGE, Endpoint, json_reply

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
CODE = ToolSpec("code_executor", "Runs code. And more.", SCHEMA)
WEATHER = ToolSpec("get_weather", "It's the weather", {"type": "object", "properties": {}})
SKETCH = Sketch("http://h/v1/messages", "auto", [CODE], [{"code": "print(6 * 7)"}])
TWO = Sketch("http://h/v1/messages", "m", [CODE, WEATHER], [{"code": "x"}, {}])
OPTIONS = ProbeOptions()


def test_the_first_request_offers_the_tool_and_asks_for_a_call() -> None:
    body = first_request(SKETCH)
    assert body["tools"] == [
        {"name": "code_executor", "description": "Runs code.", "input_schema": SCHEMA}
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "code_executor"}
    assert first_request(TWO)["tool_choice"] == {"type": "any"}


def test_the_second_request_repeats_the_content_and_answers_each_call_in_one_message() -> None:
    content = [{"type": "text", "text": "so"}, *example_content(TWO)]
    body = second_request(TWO, content)
    user, assistant, results = body["messages"]
    assert (user["role"], assistant) == ("user", {"role": "assistant", "content": content})
    assert [one["tool_use_id"] for one in results["content"]] == [ID_PLACE, f"{ID_PLACE}_2"]
    assert {one["type"] for one in results["content"]} == {"tool_result"}
    assert "tool_choice" not in body
    assert body["tools"] == first_request(TWO)["tools"]


def test_where_the_endpoint_runs_the_tool_one_request_without_tools_is_said_to_be_enough() -> None:
    assert "tools" not in endpoint_request(SKETCH)
    lines = endpoint_lines(SKETCH)
    assert "ONE request is enough" in lines[0]
    assert "TWO requests" in client_lines(SKETCH)[0]


def test_the_key_in_a_command_is_a_variable_of_the_shell() -> None:
    told = "\n".join([*endpoint_lines(SKETCH), *client_lines(SKETCH)])
    assert told.count('"x-api-key: $ANTHROPIC_API_KEY"') == 3


@pytest.mark.parametrize("text", ["it's", "a'b\"c $HOME `x` \\ \n", "\u00e9\u4e16"])
def test_a_shell_reads_the_command_as_it_was_meant(tmp_path: Path, text: str) -> None:
    body = {"model": text, "messages": []}
    (tmp_path / "curl").write_text('#!/bin/sh\nfor one; do last=$one; done\nprintf %s "$last"\n')
    (tmp_path / "curl").chmod(0o755)
    done = subprocess.run(["/bin/sh", "-c", curl("http://h/it's", body)], capture_output=True,
                          env={"PATH": str(tmp_path)}, timeout=20, check=True)  # fmt: skip
    assert json.loads(done.stdout) == body


async def test_the_exchange_is_performed_with_real_ids(tmp_path: Path) -> None:
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        drawn = replace(SKETCH, url=router.messages_url)
        ran = await run_client_form(drawn, router.origin, KEY, OPTIONS)
    assert ran.is_done
    first, last = ran.answers
    (call,) = [one for one in first["content"] if one["type"] == "tool_use"]
    assert last["stop_reason"] == "end_turn"
    told = "\n".join(ran.lines)
    assert call["id"] in told
    assert last["id"] in told
    assert "a sample" in told
    assert KEY not in told


async def test_a_call_that_the_endpoint_ran_is_shown(tmp_path: Path) -> None:
    dispatcher = FakeDispatcher([FakeTool(CODE)])
    async with running_router(tmp_path, demo_model(), dispatcher, allowed=[CODE.name]) as router:
        drawn = replace(SKETCH, url=router.messages_url)
        ran = await run_endpoint_form(drawn, router.origin, KEY, OPTIONS)
    assert ran.is_done
    assert len(ran.answers) == 1
    assert "the endpoint ran code_executor" in "\n".join(ran.lines)


async def test_a_model_that_makes_no_call_is_told(tmp_path: Path) -> None:
    async with raw_server(Endpoint()) as server:
        drawn = replace(SKETCH, url=server.url("/api/anthropic/v1/messages"))
        ran = await run_client_form(drawn, server.url(""), Endpoint().key, OPTIONS)
    assert not ran.is_done
    assert "made no call" in "\n".join(ran.lines)


async def test_a_refusal_leads_to_the_other_diagnosis(tmp_path: Path) -> None:
    async with raw_server(Endpoint()) as server:
        drawn = replace(SKETCH, url=server.url("/api/anthropic/v1/messages"))
        ran = await run_client_form(drawn, server.url(""), "wrong", OPTIONS)
    assert not ran.is_done
    assert "401 authentication_error" in ran.lines[0]
    assert "doctor url" in ran.lines[0]


FORMS: list[Any] = [
    {"name": "get_weather", "description": "d", "input_schema": {"type": "object"}},
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}},
    [{"name": "get_weather", "input_schema": {"properties": {}}}],
    {"type": "object", "properties": {"city": {"type": "string"}}},
]


@pytest.mark.parametrize("form", FORMS)
async def test_a_tool_is_read_in_every_common_form(tmp_path: Path, form: object) -> None:
    file = tmp_path / "get_weather.json"
    file.write_text(json.dumps(form))
    (tool,) = await anyio.to_thread.run_sync(read_tools, file)
    assert tool.name == "get_weather"
    assert tool.input_schema["type"] == "object"


WRONG = ["{", "5", "[]", '{"name": "a b"}', '{"name": "a", "input_schema": 5}',
         '{"name": "a", "input_schema": {"type": "nonsense"}}']  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_tool_is_refused_in_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tool.json"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_tools(file)


def test_a_file_that_is_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tool.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tools(file)
    file.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="larger"):
        read_tools(file)


# content of the first answer that no second request can answer, or that is odd in what is shown
ODD_CONTENT = {
    "no block": [1, {"type": "tool_use"}],
    "no id": [{"type": "tool_use", "input": {}}],
    "no type": [{"id": "a"}],
    "half a character": [{"type": "text", "text": "\ud800"}],
}


@pytest.mark.parametrize("content", ODD_CONTENT.values(), ids=ODD_CONTENT)
async def test_odd_content_of_an_answer_ends_the_exchange_in_words(content: list[object]) -> None:
    odd = json.dumps(MESSAGE | {"content": content, "stop_reason": "tool_use"}).encode()
    async with raw_server(json_reply("200 OK", odd)) as server:
        sketch = replace(SKETCH, url=server.url("/v1/messages"))
        ran = await run_endpoint_form(sketch, server.url(""), "a-key", OPTIONS)
        again = await run_client_form(sketch, server.url(""), "a-key", OPTIONS)
    told = [*ran.lines, *ran.answers, *again.lines, *again.answers]
    json.dumps(cleaned_values(told, Redactor()), ensure_ascii=False).encode()
    assert not again.is_done


async def test_a_servers_sentence_keeps_its_one_full_stop() -> None:
    said = {"type": "error", "error": {"type": "authentication_error", "message": "no such key."}}
    async with raw_server(json_reply("401 Unauthorized", said)) as server:
        sketch = replace(SKETCH, url=server.url("/v1/messages"))
        ran = await run_endpoint_form(sketch, server.url(""), "wrong", OPTIONS)
    assert "no such key. `auxot-tools doctor url`" in ran.lines[0]


async def test_a_key_that_an_answer_repeats_is_hidden_before_words_are_cut() -> None:
    key = "any" + "0123456789" * 4
    said = "x" * 285 + " " + key
    answer = json_reply("200 OK", MESSAGE | {"content": [{"type": "text", "text": said}]})
    async with raw_server(answer) as server:
        sketch = replace(SKETCH, url=server.url("/v1/messages"))
        ran = await run_endpoint_form(sketch, server.url(""), key, OPTIONS)
    assert "any0" not in "".join(ran.lines)
