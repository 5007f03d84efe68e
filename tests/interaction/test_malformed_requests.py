"""A table of malformed requests: each gets its own error body, none hangs, none is a fault of ours.

Everything is sent over plain sockets, to a router that shows calls and has its upstream over HTTP,
and to one that hides them and has an upstream that does not count tokens.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from auxot_tools.assembly.serving import serving
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, Turn
from auxot_tools.scripted.server import scripted_app
from tests.data.malformed_http import AROUND, WIRES, WIRES_THAT_PASS, Wire, wire_request
from tests.data.malformed_requests import (
    BODIES,
    COUNT,
    COUNTED,
    KEYED,
    MAX_BODY_BYTES,
    MESSAGES_ONLY,
    PASSES,
    Case,
)
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import Router, http_model, running_router

pytestmark = pytest.mark.anyio

HELLO = Scenario(turns=(Turn(blocks=(TextBlock(text="hello"),)),), after_last="repeat")
ANSWER_S = 10.0
OURS_TO_CHANGE = {"tools", "stream"}
EXPECT = b"expect: 100-continue"
# What does not depend on the upstream or on what clients see is asked of one of the routers.
one_router = pytest.mark.parametrize("asked", ["shown"], indirect=True)


class NotCounting(ScriptedModel):
    """An upstream that cannot say how many tokens a request has."""

    async def count_tokens(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> int | None:
        return None


@dataclass(frozen=True)
class Asked:
    """A router that is asked malformed things, and its upstream."""

    router: Router
    model: ScriptedModel


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One event loop for the whole file, as its routers are; the one that the commands run on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", params=["shown", "hidden"])
async def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Asked, None]:
    is_shown = request.param == "shown"
    model = ScriptedModel(HELLO) if is_shown else NotCounting(HELLO)
    async with (
        serving(scripted_app(model)) as upstream,
        http_model(upstream) as client,
        running_router(
            tmp_path_factory.mktemp("router"),
            client,
            FakeDispatcher(),
            settings=LoopSettings(show_calls=is_shown),
            limits=RouterLimits(max_body_bytes=MAX_BODY_BYTES),
            providers=Providers([Provider("upstream", client if is_shown else model, ["m"])]),
        ) as router,
    ):
        yield Asked(router, model)


@dataclass(frozen=True)
class Answer:
    """An answer as it came; status 0 when none did."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


async def exchange(router: Router, data: bytes, *, leaves: bool = False) -> Answer:
    """Send bytes, and read until the other side closes."""
    host, _, port = router.origin.removeprefix("http://").partition(":")
    got = bytearray()
    with anyio.fail_after(ANSWER_S):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            try:
                if data:
                    await stream.send(data)
                if leaves:
                    await stream.send_eof()
                while True:
                    got += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return answer_of(bytes(got))


def answer_of(got: bytes) -> Answer:
    head, _, body = got.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, [], b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = [(name.lower(), value.strip()) for name, _, value in pairs]
    return Answer(int(first.split()[1]), headers, body)


def error_of(answer: Answer) -> Any:
    """The error of an Anthropic error body, which has the id that its header says."""
    assert answer.header("content-type") == ["application/json"]
    told = json.loads(answer.body)
    assert told["type"] == "error"
    assert [told["request_id"]] == answer.header("request-id")
    assert told["request_id"].startswith("req_")
    return told["error"]


async def send(router: Router, case: Case) -> Answer:
    data = wire_request(case.body, *case.headers, method=case.method, path=case.path)
    return await exchange(router, data)


async def check(asked: Asked, case: Case) -> None:
    before = asked.model.received
    answer = await send(asked.router, case)
    error = error_of(answer)
    assert (answer.status, error["type"]) == (case.status, case.kind), error
    assert case.words in error["message"]
    for name, value in case.answered:
        assert answer.header(name) == [value]
    assert asked.model.received == before


@pytest.mark.parametrize("case", [*BODIES, *MESSAGES_ONLY], ids=str)
async def test_a_malformed_body_is_refused_with_what_is_wrong(asked: Asked, case: Case) -> None:
    await check(asked, case)


@pytest.mark.parametrize("case", COUNTED, ids=str)
async def test_tokens_of_a_malformed_body_are_not_counted(asked: Asked, case: Case) -> None:
    await check(asked, case)


@one_router
@pytest.mark.parametrize("case", AROUND, ids=str)
async def test_a_malformed_head_is_refused_with_what_is_wrong(asked: Asked, case: Case) -> None:
    await check(asked, case)


@one_router
@pytest.mark.parametrize("wire", WIRES, ids=str)
async def test_bytes_that_are_hardly_http_end_in_an_answer_or_a_closed_connection(
    asked: Asked, wire: Wire
) -> None:
    before = asked.model.received
    answer = await exchange(asked.router, wire.data, leaves=wire.leaves)
    assert answer.status == wire.status
    assert wire.words in answer.body
    assert asked.model.received == before
    healthy = await exchange(asked.router, wire_request(b"", method="GET", path="/health"))
    assert (healthy.status, json.loads(healthy.body)["status"]) == (200, "ok")


@one_router
@pytest.mark.parametrize("wire", WIRES_THAT_PASS, ids=str)
async def test_odd_http_that_passes(asked: Asked, wire: Wire) -> None:
    answer = await exchange(asked.router, wire.data, leaves=wire.leaves)
    assert answer.status == wire.status, answer
    assert wire.words in answer.body


@one_router
async def test_a_client_that_waits_for_100_continue_gets_it_and_then_its_answer(
    asked: Asked,
) -> None:
    answer = await exchange(asked.router, wire_request(PASSES["blanks around"], *KEYED, EXPECT))
    assert answer.status == 100
    assert answer_of(answer.body).status == 200


@pytest.mark.parametrize("title", PASSES)
async def test_an_odd_body_that_passes_reaches_the_upstream_with_every_value(
    asked: Asked, title: str
) -> None:
    body = PASSES[title]
    answer = await exchange(asked.router, wire_request(body, *KEYED))
    assert answer.status == 200, answer
    assert json.loads(answer.body)["type"] == "message"
    sent = json.loads(asked.model.requests[-1])
    wanted = json.loads(body)
    if b"mcp_tool_use" not in body:  # which goes up as the call that it stands for
        kept = wanted.keys() - OURS_TO_CHANGE
        assert {name: sent[name] for name in kept} == {name: wanted[name] for name in kept}
    counted = await exchange(asked.router, wire_request(body, *KEYED, path=COUNT))
    assert counted.status == 200, counted
    assert json.loads(counted.body)["input_tokens"] > 0
