"""Values cross the wire and come out equal; messages that break the contract are told apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.errors import LocalProtocolError, RemoteProtocolError, RequestError
from auxot_tools.rpc import convert
from auxot_tools.rpc.info import WorkerFacts
from auxot_tools.types import (
    Artifact,
    CallHint,
    CallLimits,
    InputFile,
    OutputChunk,
    Started,
    Status,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from auxot_tools.v1 import tools_pb2 as pb

# Protobuf strings are Unicode without surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
some_text = texts.filter(bool)
file_names = some_text.filter(
    lambda name: (
        name not in {".", ".."}
        and "/" not in name
        and "\0" not in name
        and len(name.encode()) <= 255
    )
)
# JSON holds lone surrogates (as escapes) and integers of any size; ours must too.
json_texts = st.text(max_size=20)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | json_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_texts, inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(json_texts, json_values, max_size=4)
counts = st.integers(min_value=0, max_value=2**64 - 1)
small_integers = st.integers(min_value=-(2**31), max_value=2**31 - 1)
seconds = st.floats(min_value=0, exclude_min=True, allow_infinity=False)

limits = st.builds(CallLimits, st.none() | seconds, st.none() | counts)
calls = st.builds(
    ToolCall,
    tool_use_id=some_text,
    name=some_text,
    input_json=st.binary(max_size=100),
    idempotency_key=texts,
    tenant=texts,
    session=texts,
    limits=limits,
    files=st.lists(st.builds(InputFile, file_names, st.binary(max_size=20)), max_size=3).map(tuple),
    trace_context=st.dictionaries(texts, texts, max_size=3),
    request_id=texts,
    credentials=st.dictionaries(texts, texts, max_size=3),
)
results = st.builds(
    ToolResult,
    tool_use_id=texts,
    status=st.sampled_from(Status),
    content=st.lists(json_objects, min_size=1, max_size=3).map(tuple),
    exit_code=st.none() | small_integers,
    signal=st.none() | small_integers,
    omitted_bytes=counts,
    isolation=texts,
    box_id=texts,
    duration_s=st.floats(min_value=0, allow_infinity=False),
    artifacts=st.lists(st.builds(Artifact, texts, texts, st.binary(max_size=20)), max_size=2).map(
        tuple
    ),
    output_handle=texts,
)
events = (
    results
    | st.builds(Started, texts, texts, texts)
    | st.builds(OutputChunk, st.sampled_from(["stdout", "stderr"]), st.binary(), counts)
)
specs = st.builds(
    ToolSpec,
    name=texts,
    description=texts,
    input_schema=json_objects,
    title=texts,
    idempotent=st.booleans(),
    parallel=st.booleans(),
)


@given(calls)
def test_every_call_comes_out_equal(call: ToolCall) -> None:
    data = convert.request_to_wire(call).SerializeToString()
    assert convert.request_from_wire(pb.ExecuteToolRequest.FromString(data)) == call


@given(events)
def test_every_event_comes_out_equal(event: Any) -> None:
    data = convert.event_to_wire(event).SerializeToString()
    assert convert.event_from_wire(pb.ExecuteToolResponse.FromString(data)) == event


@given(st.lists(specs, max_size=3).map(tuple))
def test_every_listing_comes_out_equal_and_in_order(listing: tuple[ToolSpec, ...]) -> None:
    data = convert.specs_to_wire(listing).SerializeToString()
    assert convert.specs_from_wire(pb.ListToolsResponse.FromString(data)) == listing


@given(st.builds(CallHint, some_text, texts, texts))
def test_every_hint_comes_out_equal(hint: CallHint) -> None:
    data = convert.hint_to_wire(hint).SerializeToString()
    assert convert.hint_from_wire(pb.PrepareRequest.FromString(data)) == hint


@given(json_objects)
def test_json_keeps_key_order_and_the_kind_of_every_number(value: dict[str, Any]) -> None:
    back = convert.json_from_wire(convert.json_to_wire(value))
    assert repr(back) == repr(value)


@given(st.binary(max_size=60))
def test_text_that_is_not_a_json_object_is_the_peers_fault(data: bytes) -> None:
    try:
        value = convert.json_from_wire(data)
    except RemoteProtocolError:
        return
    assert isinstance(value, dict)


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b'{"a":NaN}', b"{" * 9, b"[" * 200_000])
def test_broken_json_is_the_peers_fault(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        convert.json_from_wire(data)


def test_the_workers_facts_come_out_equal() -> None:
    facts = WorkerFacts("w", "1.2", ("isolation:call",), 1, 2, 3)
    assert convert.info_from_wire(convert.info_to_wire(facts)) == facts


def test_every_status_has_a_number_and_every_number_but_zero_a_status() -> None:
    numbers = set()
    for status in Status:
        result = ToolResult("t", status, ({},))
        numbers.add(convert.event_to_wire(result).completed.status)
    assert numbers == set(pb.Status.values()) - {pb.STATUS_UNSPECIFIED}


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (pb.ExecuteToolRequest(tool_name="echo"), "tool_use_id"),
        (pb.ExecuteToolRequest(tool_use_id="t"), "tool_name"),
        (
            pb.ExecuteToolRequest(
                tool_use_id="t", credentials=pb.CallCredentials(values={"A": "b"})
            ),
            "tool_name",
        ),
        (
            pb.ExecuteToolRequest(
                tool_use_id="t", tool_name="a", credentials=pb.CallCredentials(tool_name="a")
            ),
            "tool_name",
        ),
        *(
            (
                pb.ExecuteToolRequest(
                    tool_use_id="t", tool_name="echo", limits=pb.CallLimits(timeout_s=bad)
                ),
                "limits.timeout_s",
            )
            for bad in (0.0, -1.0, float("nan"), float("inf"))
        ),
        *(
            (
                pb.ExecuteToolRequest(
                    tool_use_id="t", tool_name="echo", files=[pb.InputFile(name=bad)]
                ),
                "files.name",
            )
            for bad in ("", ".", "..", "a/b", "/a", "a\0b", "x" * 256, "é" * 128)
        ),
    ],
)
def test_a_request_that_breaks_the_contract_names_the_field(
    message: pb.ExecuteToolRequest, names: str
) -> None:
    with pytest.raises(RequestError, match=f"`{names}`"):
        convert.request_from_wire(message)


def test_a_hint_without_a_tool_is_refused() -> None:
    with pytest.raises(RequestError, match="`tool_name`"):
        convert.hint_from_wire(pb.PrepareRequest())


@pytest.mark.parametrize(
    "value",
    [
        ToolCall("t", "\ud800", b""),
        ToolCall("t", "echo", b"", credentials={"A": "\ud800"}),
        ToolCall("t", "echo", b"", limits=CallLimits(output_bytes=-1)),
        ToolCall("t", "echo", b"", limits=CallLimits(output_bytes=2**64)),
    ],
)
def test_a_call_that_no_message_holds_is_our_fault(value: ToolCall) -> None:
    with pytest.raises(LocalProtocolError):
        convert.request_to_wire(value)


@pytest.mark.parametrize(
    "event",
    [
        Started("\ud800"),
        OutputChunk("stdout", b"", -1),
        ToolResult("t", Status.COMPLETED, ({},), exit_code=2**31),
        ToolResult("t", Status.COMPLETED, ({"x": object()},)),
    ],
)
def test_an_event_that_no_message_holds_is_our_fault(event: Any) -> None:
    with pytest.raises(LocalProtocolError):
        convert.event_to_wire(event)


def test_what_a_newer_worker_says_is_passed_over() -> None:
    assert convert.event_from_wire(pb.ExecuteToolResponse()) is None
    unknown_stream = pb.ExecuteToolResponse(output=pb.Output(data=b"x"))
    assert convert.event_from_wire(unknown_stream) is None


def test_an_unknown_status_is_a_failure_and_keeps_its_content() -> None:
    completed = pb.Completed(tool_use_id="t", content_json=[b'{"type":"text"}'])
    result = convert.event_from_wire(pb.ExecuteToolResponse(completed=completed))
    assert result == ToolResult("t", Status.INTERNAL, ({"type": "text"},))


def test_a_result_without_content_is_the_peers_fault() -> None:
    completed = pb.Completed(tool_use_id="t", status=pb.STATUS_COMPLETED)
    with pytest.raises(RemoteProtocolError):
        convert.event_from_wire(pb.ExecuteToolResponse(completed=completed))
