"""The router is right, and its upstream speaks no Messages: told apart from a wrong base URL."""

import json
from pathlib import Path

import pytest
from anyio.abc import ByteStream

from auxot_tools.cli.check import machine_here, text_of_line
from auxot_tools.doctor import environment_there as there
from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Observations
from auxot_tools.doctor.pasted import observe_pasted
from auxot_tools.doctor.probes import ProbeOptions, Question, observe
from auxot_tools.doctor.rules import Finding, diagnose
from auxot_tools.doctor.table import RULES
from auxot_tools.errors import UpstreamError
from auxot_tools.net.exact import ExactLimits
from auxot_tools.router.problems import problem_of
from tests.support.fake_dispatcher import FakeDispatcher, echo_tool
from tests.support.fake_model_server import FakeModelServer
from tests.support.raw_server import Answer, Asked, raw_server
from tests.support.running import KEY, running_router
from tests.support.staged_endpoint import json_reply

pytestmark = pytest.mark.anyio

LIMITS = ExactLimits(connect_s=2, first_byte_s=2, idle_s=2, max_bytes=2**18)
OPTIONS = ProbeOptions(limits=LIMITS, ports=())
OPENAI_404 = {
    "error": {"message": "Invalid URL (POST /v1/messages)", "type": "invalid_request_error"}
}
# what an upstream without a Messages endpoint says there
REFUSALS = {
    "FastAPI's": (404, b'{"detail":"Not Found"}'),
    "OpenAI's": (404, json.dumps(OPENAI_404).encode()),
    "a page": (405, b"<html><title>405</title></html>"),
}


def faults(seen: Observations) -> list[Finding]:
    return [one for one in diagnose(seen, RULES) if not one.is_note]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("path", ["/api/anthropic", "/api/anthropic/v1"])
async def test_a_right_router_before_an_upstream_without_messages_is_not_called_wrong(
    tmp_path: Path, refusal: str, path: str
) -> None:
    model = FakeModelServer(error=UpstreamError(*REFUSALS[refusal]))
    async with running_router(tmp_path, model, FakeDispatcher([echo_tool()])) as router:
        question = Question(BaseUrl(router.origin + path), KeyFacts(KEY))
        (fault,) = faults(await observe(question, OPTIONS))
    assert fault.id == "upstream_speaks_no_messages"
    assert "The router is right" in fault.says
    assert "auxot-tools check" in fault.fix
    assert "ANTHROPIC_BASE_URL" not in fault.fix


async def test_a_wrong_path_at_our_router_is_still_a_wrong_path(tmp_path: Path) -> None:
    router_of = running_router(tmp_path, FakeModelServer(), FakeDispatcher([echo_tool()]))
    async with router_of as router:
        question = Question(BaseUrl(f"{router.origin}/api/openai"), KeyFacts(KEY))
        (fault, *_) = faults(await observe(question, OPTIONS))
    assert fault.fix == f"Set ANTHROPIC_BASE_URL={router.origin}/api/anthropic"


def test_a_pasted_answer_of_such_a_router_is_known_by_its_words() -> None:
    told = problem_of(UpstreamError(404, b'{"detail":"Not Found"}'), "req_1").body
    pasted = f"HTTP/1.1 404 Not Found\ncontent-type: application/json\n\n{json.dumps(told)}"
    (fault,) = faults(observe_pasted(pasted, "http://h:8080/api/anthropic"))
    assert fault.id == "upstream_speaks_no_messages"


def chat_only(status: str, told: object) -> Answer:
    """A server with `/v1/chat/completions` alone, which answers an empty body so."""

    async def answer(asked: Asked, stream: ByteStream) -> None:
        is_chat = asked.path == "/v1/chat/completions"
        there = json_reply(status, json.dumps(told).encode())
        missing = json_reply("404 Not Found", {"detail": "Not Found"})
        await (there if is_chat else missing)(asked, stream)

    return answer


CHATS: dict[str, object] = {
    "400 Bad Request": {"error": {"message": "messages missing", "type": "x", "code": 400}},
    "422 Unprocessable Entity": {"detail": [{"msg": "Field required", "loc": ["body"]}]},
}


@pytest.mark.parametrize("status", CHATS)
async def test_check_says_of_an_upstream_that_it_speaks_openai_only(
    tmp_path: Path, status: str
) -> None:
    async with raw_server(chat_only(status, CHATS[status])) as server:
        environ = {"AUXOT_UPSTREAM__URL": server.url("")}
        (line,) = await there.look_at_upstreams(machine_here(None, environ, tmp_path))
    told = text_of_line(line)
    assert told.startswith("FAIL")
    assert "speaks OpenAI's API only" in told
    assert "LiteLLM" in told


async def test_check_calls_no_server_openais_that_has_neither_endpoint(tmp_path: Path) -> None:
    async with raw_server(json_reply("404 Not Found", {"detail": "Not Found"})) as server:
        environ = {"AUXOT_UPSTREAM__URL": server.url("")}
        (line,) = await there.look_at_upstreams(machine_here(None, environ, tmp_path))
    assert "is no Messages endpoint" in line.says
    assert "OpenAI" not in text_of_line(line)
