"""The tool `web_answers` against a stand-in for Brave's API, and what it makes of its tags."""

import json
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.hosted.web_answers import cleaned
from auxot_tools.types import Status
from tests.support.raw_server import Answer, Asked, reply
from tests.support.web_calls import schema_mistakes, text_of, web

pytestmark = pytest.mark.anyio
KEY = "BSA-very-secret"


def saying(content: Any) -> Answer:
    message = {"role": "assistant", "content": content}
    body = {"id": "1", "model": "brave", "choices": [{"index": 0, "message": message}]}
    return reply(json.dumps(body).encode(), Content_Type="application/json")


async def asked_with(
    answer: Answer, credentials: dict[str, str] | None = None, query: str = "How deep is it?"
) -> tuple[Status, str, list[Asked]]:
    keys = {"BRAVE_ANSWERS_API_KEY": KEY} if credentials is None else credentials
    async with web(answer, brave_url="here") as tools:
        found = await tools.answer("web_answers", {"query": query}, credentials=keys)
        return found.status, text_of(found), tools.server.asked


async def test_brave_is_asked_as_its_api_wants_it() -> None:
    status, text, (asked,) = await asked_with(saying("254 m."), query=" Wie tief\nist er? ")
    assert (status, text) == (Status.COMPLETED, "254 m.")
    assert (asked.method, asked.path) == ("POST", "/res/v1/chat/completions")
    assert json.loads(asked.body) == {
        "model": "brave",
        "stream": False,
        "messages": [{"role": "user", "content": "Wie tief\nist er?"}],
    }
    assert asked.headers["x-subscription-token"] == KEY
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ({"BRAVE_API_KEY": "c"}, "c"),
        ({"BRAVE_API_KEY": "c", "BRAVE_SEARCH_API_KEY": "b"}, "b"),
        ({"BRAVE_API_KEY": "c", "BRAVE_SEARCH_API_KEY": "b", "BRAVE_ANSWERS_API_KEY": "a"}, "a"),
    ],
)
async def test_the_most_special_key_is_used(credentials: dict[str, str], sent: str) -> None:
    _status, _text, (asked,) = await asked_with(saying("x"), credentials)
    assert asked.headers["x-subscription-token"] == sent


async def test_without_a_key_the_operator_is_told_its_name() -> None:
    status, text, asked = await asked_with(saying("x"), {})
    assert (status, asked) == (Status.UNAVAILABLE, [])
    assert "AUXOT_TOOLS_WEB_ANSWERS__BRAVE_ANSWERS_API_KEY" in text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        (
            'Deep.<citation>{"number": 2,\n "url": "https://a.example/x?y=1"}</citation> Yes.',
            "Deep. [2](https://a.example/x?y=1) Yes.",
        ),
        ('A<citation>{"url": "https://a.example/"}</citation>', "A [source](https://a.example/)"),
        ('A<citation>{"url": "javascript:x"}</citation>.', "A."),
        ('A<citation>{"url": "https://a.example/) [x](y"}</citation>.', "A."),
        ("A<citation>no json</citation>.", "A."),
        ("A<citation>[1]</citation>.", "A."),
        ('A\n<enum_item>{"a":\n1}</enum_item>\n<usage>{"b":\n2}</usage>', "A"),
        ("<usage>1</usage>", ""),
        ("a <usage> b", "a  b"),
        ("a<b and <i>c</i>", "a<b and <i>c</i>"),
        ("one\n\n<usage>\n</usage>\n\ntwo", "one\n\ntwo"),
    ],
)
def test_tags_are_left_out_and_citations_become_links(given: str, shown: str) -> None:
    assert cleaned(given) == shown


def test_tags_that_never_end_take_no_quadratic_time() -> None:
    # The file's time limit is the judge: a quadratic search takes minutes for this.
    assert cleaned("<usage>a" * 120_000) == "a" * 120_000


async def test_an_answer_that_is_only_tags_says_that_there_is_none() -> None:
    status, text, _asked = await asked_with(saying("<usage>{}</usage>"))
    assert (status, text) == (
        Status.COMPLETED,
        "There is no answer to that. Try web_search instead.",
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (saying(None), "sent no answer"),
        (reply(b'{"choices": []}'), "sent no answer"),
        (reply(b'{"choices": {"0": 1}}'), "sent no answer"),
        (reply(KEY.encode()), "cannot be understood"),
        (reply(KEY.encode(), "403 Forbidden"), "it needs the Answers plan"),
        (reply(KEY.encode(), "429 Too Many Requests"), "refuses more requests for now"),
        (reply(KEY.encode(), "503 Gone"), "(HTTP status 503)"),
    ],
)
async def test_a_failing_provider_is_told_without_key_and_without_its_words(
    answer: Answer, words: str
) -> None:
    status, text, _asked = await asked_with(answer)
    assert status is Status.UNAVAILABLE
    assert words in text
    assert KEY not in text


async def test_a_provider_that_does_not_answer_in_time_is_told() -> None:
    async def silent(_asked: Asked, _stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async with web(silent, brave_url="here") as tools:
        keys = {"BRAVE_API_KEY": KEY}
        slow = await tools.answer("web_answers", {"query": "x"}, credentials=keys, seconds=0.3)
    assert slow.status is Status.TIMED_OUT


async def test_an_empty_question_is_refused() -> None:
    status, text, asked = await asked_with(saying("x"), query="  ")
    assert (status, asked) == (Status.INVALID_ARGUMENTS, [])
    assert "`query` is empty" in text


@pytest.mark.parametrize(
    "arguments", [{}, {"query": 1}, {"query": ""}, {"query": "x" * 4001}, {"query": "x", "n": 1}]
)
def test_the_schema_refuses_what_has_the_wrong_form(arguments: Any) -> None:
    assert schema_mistakes("web_answers", arguments) != ""
