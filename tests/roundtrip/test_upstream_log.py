"""The scripted upstream plays the scene that a text names, and keeps what it was asked, bounded."""

import json
from typing import Any

import aiohttp
import anyio
import pytest

from auxot_tools.assembly.serving import serving
from auxot_tools.roundtrip.recording import KEY_MARK
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.upstream import KEPT_BYTES, MOST_ASKED, PlayedUpstream
from tests.support.roundtrip_run import plan_for_tests

pytestmark = pytest.mark.anyio
SECRET = "the-key-of-the-router"


def upstream() -> PlayedUpstream:
    return PlayedUpstream(plan_for_tests(), Redactor([SECRET]))


def body(played: PlayedUpstream, scene: str, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": f"go {played.plan.marker(scene)}"}
    return {"model": "m", "max_tokens": 9, "messages": [message]} | more


async def ask(url: str, value: object, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/messages", data=json.dumps(value), headers=headers) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_a_marker_chooses_the_scene_and_the_turns_before_it_the_round() -> None:
    played = upstream()
    async with serving(played) as url:
        _, first = await ask(url, body(played, "client-tool"))
        assert first["stop_reason"] == "tool_use"
        more = [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": []}]
        asked = body(played, "client-tool")
        _, second = await ask(url, asked | {"messages": [*asked["messages"], *more]})
        assert second["stop_reason"] == "end_turn"
    log = played.asked("client-tool", 0, 0.0)
    assert [each.said["stop_reason"] for each in log] == ["tool_use", "end_turn"]
    assert [each.ended for each in log] == ["whole", "whole"]


async def test_a_request_of_nobodys_run_is_answered_and_not_kept() -> None:
    played = upstream()
    async with serving(played) as url:
        values: list[Any] = [{}, [], {"messages": "x"}, {"messages": [3, {"content": None}]}]
        for value in values:
            status, _ = await ask(url, value)
            assert status in (200, 400)
        foreign = [{"role": "user", "content": "[[roundtrip 0000 plain]]"}]
        assert (await ask(url, {"messages": foreign}))[0] == 200
    assert played.asked("plain", 0, 0.0) == ()


async def test_neither_keys_nor_floods_are_kept() -> None:
    played = upstream()
    async with serving(played) as url:
        await ask(
            url, body(played, "plain", note=SECRET), authorization=f"Bearer {SECRET}", x=SECRET
        )
        await ask(url, body(played, "plain", padding="x" * KEPT_BYTES))
        for _ in range(MOST_ASKED):
            await ask(url, body(played, "plain"))
    log = played.asked("plain", 0, 0.0)
    assert len(log) == MOST_ASKED
    assert log[0].body["note"] == KEY_MARK
    assert log[0].headers["x"] == KEY_MARK
    assert SECRET not in str(log)
    assert set(log[1].body) == {"left_out_bytes"}


async def test_an_answer_that_was_left_before_its_end_is_known() -> None:
    played = upstream()
    async with serving(played) as url:
        with anyio.move_on_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, url, body(played, "leaves-in-stream", stream=True))
                await played.until("leaves-in-stream", 0, ended=False)
                tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await played.until("leaves-in-stream", 0, ended=True)
    assert [each.ended for each in played.asked("leaves-in-stream", 0, 0.0)] == ["left"]


async def test_a_stream_that_broke_off_as_it_should_is_told_from_one_that_was_left() -> None:
    played = upstream()
    async with serving(played) as url:
        with pytest.raises(aiohttp.ClientError):
            await ask(url, body(played, "upstream-cut-stream", stream=True))
        with anyio.fail_after(10):
            await played.until("upstream-cut-stream", 0, ended=True)
    assert [each.ended for each in played.asked("upstream-cut-stream", 0, 0.0)] == ["broken"]
