"""Which client shape is advised, and the facts that decide."""

import pytest
from anyio.abc import ByteStream

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.client_shape import Shape, advise, spoken_by
from auxot_tools.doctor.observations import Attempt
from auxot_tools.doctor.probes import ProbeOptions
from auxot_tools.doctor.shape_probes import ask_dialects
from tests.support.raw_server import Answer, Asked, by_path, raw_server
from tests.support.staged_endpoint import Endpoint, html_reply, json_reply

pytestmark = pytest.mark.anyio

HAVE = {
    "claude code": Shape.ANTHROPIC,
    "the anthropic SDK": Shape.ANTHROPIC,
    "@ai-sdk/anthropic": Shape.ANTHROPIC,
    "import anthropic\nclient.messages.create(max_tokens=5)": Shape.ANTHROPIC,
    "curl https://h/v1/messages -H 'x-api-key: $K'": Shape.ANTHROPIC,
    "openai sdk": Shape.OPENAI,
    "from openai import OpenAI\nclient.chat.completions.create()": Shape.OPENAI,
    "curl https://h/v1/chat/completions -H 'Authorization: Bearer $K'": Shape.OPENAI,
    "message.tool_calls[0].function": Shape.OPENAI,
    "langchain_openai": Shape.OPENAI,
    "curl": None,
    "": None,
    "openai and anthropic": None,
}


@pytest.mark.parametrize("text", HAVE)
def test_words_and_snippets_decide(text: str) -> None:
    advice = advise([text])
    assert advice.shape is HAVE[text]
    assert advice.fits is (HAVE[text] is not None)
    assert bool(advice.facts) or HAVE[text] is None


def test_variables_and_paths_decide() -> None:
    assert advise([], {"OPENAI_BASE_URL": ""}).shape is Shape.OPENAI
    assert advise([], {"ANTHROPIC_BASE_URL": ""}).shape is Shape.ANTHROPIC
    assert advise([], {}, BaseUrl("http://h:8080/api/openai")).shape is Shape.OPENAI
    advice = advise([], {}, BaseUrl("http://h:8080/api/anthropic"))
    assert advice.shape is Shape.ANTHROPIC
    assert "ANTHROPIC_BASE_URL=http://h:8080/api/anthropic" in "\n".join(advice.lines)


def test_where_nothing_decides_it_says_what_to_say() -> None:
    assert "--have" in "\n".join(advise([]).lines)


NOTHING = html_reply("404 Not Found", "<html>404</html>")
OPENAI_401 = json_reply("401 Unauthorized", {"error": {"message": "no key", "type": "auth"}})


async def asked(answer: Answer, *have: str) -> tuple[Shape | None, bool, str]:
    async with raw_server(answer) as server:
        base = BaseUrl(server.url(""))
        attempts = await ask_dialects(base, "the-key-of-this-test", ProbeOptions())
    advice = advise(have, {}, base, attempts)
    assert "the-key-of-this-test" not in str(advice)
    return advice.shape, advice.fits, "\n".join(advice.lines)


async def only_chat(asked: Asked, stream: ByteStream) -> None:
    answer = OPENAI_401 if asked.path == "/v1/chat/completions" else NOTHING
    await answer(asked, stream)


async def test_what_answers_decides_where_nothing_else_does() -> None:
    assert (await asked(Endpoint()))[0] is Shape.ANTHROPIC
    assert (await asked(by_path(v1=OPENAI_401, api=NOTHING)))[0] is None
    assert (await asked(only_chat))[0] is Shape.OPENAI


async def test_a_client_that_the_server_does_not_speak_to_is_told() -> None:
    shape, fits, told = await asked(Endpoint(), "openai sdk")
    assert (shape, fits) == (Shape.OPENAI, False)
    assert "speaks anthropic only" in told


async def test_a_server_that_speaks_neither_leads_to_the_other_diagnosis() -> None:
    shape, fits, told = await asked(NOTHING, "claude code")
    assert (shape, fits) == (Shape.ANTHROPIC, False)
    assert "doctor url" in told


async def test_a_server_that_speaks_both_leaves_the_choice_to_the_client() -> None:
    both = Endpoint(key="another", missing=OPENAI_401)
    assert (await asked(both, "openai sdk"))[:2] == (Shape.OPENAI, True)
    assert (await asked(both, "claude code"))[:2] == (Shape.ANTHROPIC, True)
    assert (await asked(both))[0] is None


def test_a_refused_key_in_openais_words_shows_no_dialect_and_a_refused_body_shows_the_path() -> (
    None
):
    for status, spoken in ((401, set()), (400, {Shape.ANTHROPIC, Shape.OPENAI})):
        body = b'{"error": {"message": "no", "type": "x"}}'
        attempts = [
            Attempt("dialect", f"http://h/v1/{path}", subject=shape, status=status, body=body)
            for shape, path in ((Shape.ANTHROPIC, "messages"), (Shape.OPENAI, "chat/completions"))
        ]
        assert spoken_by(attempts) == spoken
