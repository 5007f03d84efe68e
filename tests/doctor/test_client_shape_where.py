"""Which client shape is advised for a server whose endpoint is elsewhere, or that is not there."""

import pytest
from anyio.abc import ByteStream

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.client_shape import Advice, Shape, advise
from auxot_tools.doctor.probes import ProbeOptions
from auxot_tools.doctor.shape_probes import ask_dialects
from tests.support.raw_server import Answer, Asked, raw_server
from tests.support.staged_endpoint import error, html_reply, json_reply

pytestmark = pytest.mark.anyio

NOTHING = html_reply("404 Not Found", "<html>404</html>")
MESSAGES_401 = json_reply("401 Unauthorized", error("authentication_error", "no key"))
OPENAI_400 = json_reply("400 Bad Request", {"error": {"message": "model", "type": "invalid"}})


def at(path: str, answer: Answer) -> Answer:
    """A server with this one endpoint."""

    async def answers(asked: Asked, stream: ByteStream) -> None:
        await (answer if asked.path == path else NOTHING)(asked, stream)

    return answers


async def advised(server_answer: Answer, base_path: str) -> tuple[Advice, str]:
    """The advice, and the server's own URL."""
    async with raw_server(server_answer) as server:
        base = BaseUrl(server.url(base_path))
        attempts = await ask_dialects(base, "the-key-of-this-test", ProbeOptions())
        return advise([], {}, base, attempts), server.url("")


async def test_an_endpoint_at_a_path_of_its_own_is_found_where_the_url_says() -> None:
    for path in ("/anthropic", "/anthropic/v1/messages"):
        advice, origin = await advised(at("/anthropic/v1/messages", MESSAGES_401), path)
        assert (advice.shape, advice.fits) == (Shape.ANTHROPIC, True)
        assert f"ANTHROPIC_BASE_URL={origin}/anthropic  " in "\n".join(advice.lines)
    advice, origin = await advised(at("/gate/v1/chat/completions", OPENAI_400), "/gate/v1")
    assert (advice.shape, advice.fits) == (Shape.OPENAI, True)
    assert f"base_url={origin}/gate/v1\n" in "\n".join(advice.lines)


async def test_the_base_url_that_is_advised_is_the_one_that_answered() -> None:
    advice, origin = await advised(at("/v1/messages", MESSAGES_401), "")
    assert f"ANTHROPIC_BASE_URL={origin}  " in "\n".join(advice.lines)


async def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    async with raw_server(NOTHING) as server:
        base = BaseUrl(server.url(""))
    attempts = await ask_dialects(base, "", ProbeOptions())
    advice = advise([], {}, base, attempts)
    assert (advice.shape, advice.fits) == (None, False)
    assert advice.lines[0] == (
        f"Nobody answers at {base.origin()}: nobody listens at this address."
    )
    assert "doctor url" in advice.lines[1]
    wanted = advise(["claude code"], {}, base, attempts)
    assert (wanted.shape, wanted.fits) == (Shape.ANTHROPIC, False)
    assert wanted.lines == advice.lines
