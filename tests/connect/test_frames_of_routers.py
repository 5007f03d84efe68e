"""Frames: what Go writes is read, what is no frame is refused, what we write is as Auxot has it."""

import json
from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from auxot_tools.connect import frames
from auxot_tools.connect.frames import (
    Cancel,
    ErrorFrame,
    HeartbeatAck,
    HelloAck,
    JobAnswer,
    Policy,
    ReloadPolicy,
    ToolJob,
    Unknown,
    ValidateConfiguration,
    decode,
)
from auxot_tools.connect.shown import Shown
from auxot_tools.errors import RemoteProtocolError
from auxot_tools.messages.exact_json import MAX_DEPTH

JOB = ToolJob("j", "p", "", "t", "c")


def read(**frame: Any) -> frames.Frame:
    return decode(json.dumps(frame))


def test_each_type_of_frame_is_read() -> None:
    policy = {"allowed_tools": ["a", "b"], "mcp_servers": [{}, {}]}
    read_policy = Policy(frozenset("ab"), 2)
    assert read(type="hello_ack", success=True, gpu_id="1") == HelloAck(True, "1")
    with_policy = read(type="hello_ack", success=True, tools_policy=policy)
    assert with_policy == HelloAck(True, "", read_policy)
    again = read(type="hello_ack", success=False, error="no", reconnectInSeconds=5)
    assert again == HelloAck(False, error="no", reconnect_in_s=5.0)
    assert read(type="reload_policy", policy=policy) == ReloadPolicy(read_policy)
    assert read(type="heartbeat_ack") == HeartbeatAck()
    assert read(type="cancel", job_id="j") == Cancel("j")
    assert read(type="error", error="authentication failed") == ErrorFrame("authentication failed")
    assert read(type="validate_configuration", request_id="r") == ValidateConfiguration("r")
    assert read(type="job", job_id="x") == Unknown("job")
    assert read() == Unknown("")


def test_a_job_is_read_with_all_that_it_brings() -> None:
    given_job = read(
        type="tool_job",
        job_id="j",
        parent_job_id="p",
        thread_id="th",
        tool_name="t",
        tool_call_id="c",
        arguments={"n": 12345678901234567890123},
        credentials={"Key": "v"},
    )
    arguments = b'{"n":12345678901234567890123}'
    assert given_job == ToolJob("j", "p", "th", "t", "c", arguments, {"Key": "v"})


@pytest.mark.parametrize("arguments", [None, {}])
def test_null_arguments_are_none(arguments: Any) -> None:
    job = read(type="tool_job", job_id="j", arguments=arguments, credentials=None, mcp_headers=None)
    assert isinstance(job, ToolJob)
    assert (job.arguments, job.is_mcp) == (b"{}", False)


@pytest.mark.parametrize("name", ["mcp_package", "mcp_url", "MCP_Headers", "mcp_transport"])
def test_a_job_for_an_mcp_server_is_known_as_one(name: str) -> None:
    job = decode(json.dumps({"type": "tool_job", "job_id": "j", name: {"a": "b"}}))
    assert isinstance(job, ToolJob)
    assert job.is_mcp


def test_arguments_that_cannot_be_carried_are_a_fault_of_the_job_not_of_the_frame() -> None:
    deep = "[" * 300 + "]" * 300
    job = decode(f'{{"type": "tool_job", "job_id": "j", "arguments": {deep}}}')
    assert isinstance(job, ToolJob)
    assert job.fault == "The arguments cannot be read: nested in more than 250 levels."
    many = {str(number): "v" for number in range(65)}
    job = read(type="tool_job", job_id="j", credentials=many)
    assert isinstance(job, ToolJob)
    assert job.fault == "The job has more than 64 credentials."


@pytest.mark.parametrize(
    "data",
    [
        *("", "x", "[]", "1", '"a"', '{"type": 1}', '{"type": ["a"]}', "[" * 100_000),
        *('{"type":"tool_job"}', '{"type":"tool_job","job_id":""}'),
        '{"type":"tool_job","job_id":{}}',
        '{"type":"hello_ack","success":"yes"}',
        '{"type":"hello_ack","success":true,"tools_policy":[]}',
        '{"type":"hello_ack","success":true,"reconnectInSeconds":"5"}',
        '{"type":"hello_ack","success":true,"reconnectInSeconds":1' + "0" * 400 + "}",
        '{"type":"tool_job","job_id":"' + "j" * 1025 + '","arguments":1e999}',
        '{"type":"tool_job","arguments":{"job_id":"inner"},"n":1e999}',
        '{"type":"tool_job","job_id":"cut off',
        '{"type":"cancel","job_id":NaN}',
    ],
)
def test_what_is_no_frame_is_refused_in_words_that_quote_nothing(data: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^a frame "):
        decode(data)


def test_ids_and_frames_are_bounded() -> None:
    with pytest.raises(RemoteProtocolError):
        read(type="tool_job", job_id="j" * (frames.MAX_ID_CHARS + 1))
    with pytest.raises(RemoteProtocolError, match="a frame of more than"):
        decode(b" " * (frames.MAX_FRAME_BYTES + 1))
    shown = read(type="error", error="\x1b[31m" + "x" * 10_000)
    assert isinstance(shown, ErrorFrame)
    assert shown.error.startswith("?[31m")
    assert len(shown.error) == frames.MAX_ERROR_CHARS


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"n":1e999}', "the number 1e999 is outside the range of a double"),
        ("9" * 5000, "an integer has too many digits"),
        ("[" * 20_000 + "]" * 20_000, "nested too deeply"),
        ('{"a":[{"job_id":"x"},"job_id",NaN]}', "NaN is not JSON"),
        ('"\\', "Invalid"),
    ],
)
def test_a_job_that_cannot_be_read_keeps_its_ids(arguments: str, why: str) -> None:
    ids = '"job_id":"j","Parent_Job_Id":"p","tool_name":"t","tool_call_id":"c\\"d"'
    job = decode(f'{{"type":"tool_job",{ids},"arguments":{arguments}}}')
    assert isinstance(job, ToolJob)
    assert job == ToolJob("j", "p", "", "t", 'c"d', fault=job.fault)
    assert job.fault.startswith(f"The job cannot be read: {why}")


def test_ids_that_come_after_what_cannot_be_read_are_found_too() -> None:
    text = '{"arguments":{"a":[1e999,"]"],"type":"x"},"type":"tool_job","job_id":"j"}'
    job = decode(text.encode())
    assert isinstance(job, ToolJob)
    assert (job.job_id, job.tool_call_id) == ("j", "")


@pytest.mark.parametrize("arguments", ['"\\' * 100_000, '"' * 300_001, "[1," * 400_000])
def test_what_cannot_be_read_takes_bounded_time(arguments: str) -> None:
    job = decode(f'{{"type":"tool_job","job_id":"j","arguments":{arguments}')
    assert isinstance(job, ToolJob)
    assert job.fault != ""


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ({"tool_name": "t" * 1025}, "tool_name is longer than 1024 characters"),
        ({"thread_id": "t" * 1025}, "thread_id is longer than 1024 characters"),
        ({"tool_name": ["t"]}, "tool_name must be a string"),
        ({"parent_job_id": 5}, "parent_job_id must be a string"),
    ],
)
def test_an_odd_name_is_a_fault_of_the_job(member: dict[str, Any], why: str) -> None:
    job = decode(json.dumps({"type": "tool_job", "job_id": "j", "tool_call_id": "c"} | member))
    assert isinstance(job, ToolJob)
    assert job.fault == f"The job cannot be read: {why}."
    assert (job.job_id, job.tool_call_id) == ("j", "c")


def test_the_id_of_a_call_is_told_again_however_long_it_is() -> None:
    job = read(type="tool_job", job_id="j", tool_call_id="c" * 5000)
    assert isinstance(job, ToolJob)
    assert (job.fault, len(job.tool_call_id)) == ("", 5000)


@pytest.mark.parametrize(
    "policy",
    [
        '{"allowed_tools":["a",7]}',
        "[]",
        '{"allowed_tools":["a"],"n":1e999}',
        json.dumps({"allowed_tools": ["a"] * (frames.MAX_POLICY_TOOLS + 1)}),
    ],
)
def test_a_policy_that_cannot_be_read_allows_nothing(policy: str) -> None:
    reload = decode(f'{{"type":"reload_policy","policy":{policy}}}')
    assert isinstance(reload, ReloadPolicy)
    assert reload.policy == Policy(frozenset())
    assert reload.fault != ""


def test_a_key_that_the_router_says_again_is_not_shown_not_even_in_part() -> None:
    secret = "tls_" + "k" * 43
    for lead in (0, frames.MAX_ERROR_CHARS - 20):
        text = "x" * lead + secret
        shown = decode(json.dumps({"type": "error", "error": text}), Shown(secret))
        assert isinstance(shown, ErrorFrame)
        assert "kkk" not in shown.error
    ack = decode(json.dumps({"type": "hello_ack", "gpu_id": secret}), Shown(secret))
    assert ack == HelloAck(False, "[the tools key]")
    assert decode(json.dumps({"type": secret}), Shown(secret)) == Unknown("[the tools key]")
    assert secret not in repr(Shown(secret))


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_a_frame_or_a_protocol_error(data: bytes | str) -> None:
    with suppress(RemoteProtocolError):
        decode(data)


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_NAMES = ("job_id", "success", "policy", "tools_policy", "arguments", "credentials", "error")


@given(
    st.sampled_from(["tool_job", "hello_ack", "reload_policy", "cancel", "error"]),
    st.dictionaries(st.sampled_from(_NAMES), _json),
)
def test_any_members_are_a_frame_or_a_protocol_error(kind: str, members: dict[str, Any]) -> None:
    with suppress(RemoteProtocolError):
        decode(json.dumps({"type": kind} | members))


def test_a_result_is_told_as_auxot_has_it() -> None:
    answer = JobAnswer({"a": 1}, images=[("image/png", "aGk=")])
    assert json.loads(frames.tool_result(JOB, answer, 12)) == {
        "type": "tool_result",
        "job_id": "j",
        "parent_job_id": "p",
        "tool_call_id": "c",
        "tool_name": "t",
        "duration_ms": 12,
        "result": {"a": 1},
        "image_parts": [{"mime_type": "image/png", "data": "aGk="}],
    }
    failed = json.loads(frames.tool_result(JOB, JobAnswer(error="no"), 0))
    assert failed["error"] == "no"
    assert "result" not in failed


def test_a_result_that_cannot_be_sent_is_an_error_that_says_so() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 50):
        deep = [deep]
    told = json.loads(frames.tool_result(JOB, JobAnswer(deep), 1))
    assert told["error"] == "The result is nested too deeply to be sent."
    large = JobAnswer("x", images=[("image/png", "x" * frames.MAX_FRAME_BYTES)])
    told = json.loads(frames.tool_result(JOB, large, 1))
    assert f"at most {frames.MAX_FRAME_BYTES} can be sent" in told["error"]


def test_lone_surrogates_and_big_numbers_are_sent() -> None:
    told = json.loads(frames.tool_result(JOB, JobAnswer(["\ud800", 10**40]), 1))
    assert told["result"] == ["\ud800", 10**40]
