"""What `web_fetch` sends, and what it says to arguments that it cannot take."""

import json
from typing import Any

import pytest

from auxot_tools.types import Status
from tests.support.raw_server import Asked, reply
from tests.support.web_calls import declared, schema_mistakes, schema_of, text_of, web

pytestmark = pytest.mark.anyio
OK = reply(b"ok", Content_Type="text/plain")
URL = "https://a.example/"


async def sent(**arguments: Any) -> Asked:
    """The request that arrives."""
    async with web(OK) as tools:
        await tools.fetched("/p?q=1", **arguments)
        (asked,) = tools.server.asked
        return asked


async def test_a_plain_fetch_is_a_get_that_names_us_and_what_we_read() -> None:
    asked = await sent()
    assert (asked.method, asked.path, asked.body) == ("GET", "/p?q=1", b"")
    assert asked.headers["user-agent"] == "auxot-tools"
    assert asked.headers["accept"].startswith("text/html, ")
    assert "content-type" not in asked.headers


@pytest.mark.parametrize("method", ["GET", "post", "Put", "DELETE", "patch", "OPTIONS"])
async def test_a_method_is_sent_in_capitals_whatever_its_case(method: str) -> None:
    assert (await sent(method=method)).method == method.upper()


@pytest.mark.parametrize(
    ("body", "arrives", "content_type"),
    [
        ("as it is é", "as it is é".encode(), None),
        ({"a": [1, "é"]}, '{"a":[1,"é"]}'.encode(), "application/json"),
        ([1, 2], b"[1,2]", "application/json"),
        (5, b"5", None),
        (False, b"false", None),
    ],
)
async def test_a_body_is_sent_as_text_or_as_compact_json(
    body: Any, arrives: bytes, content_type: str | None
) -> None:
    asked = await sent(method="POST", body=body)
    assert asked.body == arrives
    assert asked.headers.get("content-type") == content_type


async def test_the_callers_headers_win_and_are_text() -> None:
    headers = {"Content-Type": "text/x", "ACCEPT": "a/b", "X-N": 5, "X-B": True, "User-Agent": "me"}
    asked = await sent(method="POST", body={"a": 1}, headers=headers)
    assert asked.headers["content-type"] == "text/x"
    assert asked.headers["accept"] == "a/b"
    assert (asked.headers["x-n"], asked.headers["x-b"]) == ("5", "true")
    assert asked.headers["user-agent"] == "me"


async def test_an_empty_body_of_a_get_is_no_body() -> None:
    assert "content-length" not in (await sent(body={})).headers


async def test_null_is_as_good_as_left_out() -> None:
    names = set(declared("web_fetch")["input_schema"]["properties"]) - {"url"}
    asked = await sent(**dict.fromkeys(names))
    assert (asked.method, asked.body) == ("GET", b"")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "a.example/x"}, "Did you mean https://a.example/x?"),
        ({"url": "ftp://a.example/"}, "begins with http:// or https://."),
        ({"url": "http://"}, "begins with http:// or https://."),
        ({"url": "   "}, "begins with http:// or https://."),
        ({"url": "file:///etc/passwd"}, "begins with http:// or https://."),
        ({"url": URL, "mode": "text"}, "`mode` must be article, links or full."),
        ({"url": URL, "method": "TRACE"}, "`method` must be one of DELETE, GET, HEAD,"),
        ({"url": URL, "method": "HEAD", "body": "x"}, "A HEAD request has no `body`"),
        ({"url": URL, "search": "(?<=a)b"}, "`search` is not a valid RE2 pattern."),
        ({"url": URL, "search": "("}, "`search` is not a valid RE2 pattern."),
        ({"url": URL, "search": "((a{1,100}){1,100}){1,9}"}, "not a valid RE2 pattern."),
        ({"url": URL, "headers": {"Host": "b.example"}}, "The header Host cannot be set"),
        ({"url": URL, "headers": {"content-length": "1"}}, "content-length cannot be set"),
        ({"url": URL, "headers": {"Transfer-Encoding": "x"}}, "cannot be set"),
        ({"url": URL, "headers": {"X-A": "1\r\nX-B: 2"}}, "value of the header X-A is not valid"),
        ({"url": URL, "headers": {"X-A": "é"}}, "value of the header X-A is not valid"),
        ({"url": URL, "headers": {"X A": "1"}}, '"X A" in `headers` is not a valid header name'),
        ({"url": URL, "headers": {"X\r\nA": "1"}}, '"X??A" in `headers`'),
        ({"url": URL, "headers": {"": "1"}}, "is not a valid header name"),
    ],
)
async def test_wrong_arguments_are_explained_and_nothing_is_sent(
    arguments: dict[str, Any], words: str
) -> None:
    async with web(OK) as tools:
        answer = await tools.answer("web_fetch", arguments)
        assert tools.server.asked == []
    assert answer.status is Status.INVALID_ARGUMENTS
    assert words in text_of(answer)


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({}, "missing required field `url`"),
        ({"url": 5}, "/url"),
        ({"url": ""}, "/url"),
        ({"url": None}, "/url"),
        ({"url": "https://a.example/" + "x" * 8200}, "/url"),
        ({"url": URL, "limit": 0}, "/limit"),
        ({"url": URL, "limit": 100_001}, "/limit"),
        ({"url": URL, "limit": "5"}, "/limit"),
        ({"url": URL, "offset": -1}, "/offset"),
        ({"url": URL, "offset": 1.5}, "/offset"),
        ({"url": URL, "timeout_seconds": 61}, "/timeout_seconds"),
        ({"url": URL, "mode": ["full"]}, "/mode"),
        ({"url": URL, "headers": "X: 1"}, "/headers"),
        ({"url": URL, "headers": {"X": None}}, "/headers/X"),
        ({"url": URL, "headers": {f"x{n}": "1" for n in range(61)}}, "/headers"),
        ({"url": URL, "search": "x" * 1001}, "/search"),
        ({"url": URL, "uri": URL}, "/uri"),
        ([URL], ""),
    ],
)
def test_the_schema_refuses_what_has_the_wrong_form(arguments: Any, pointer: str) -> None:
    assert pointer in schema_mistakes("web_fetch", arguments)
    assert schema_mistakes("web_fetch", arguments) != ""


def test_whole_numbers_may_be_written_as_fractions() -> None:
    assert schema_of("web_fetch").violations({"url": URL, "limit": 5.0}) is None


async def test_a_whole_number_written_as_a_fraction_counts() -> None:
    async with web(reply(b"0123456789", Content_Type="text/plain")) as tools:
        text = await tools.fetched(offset=2.0, limit=5.0)
    assert text.endswith("\n23456")


@pytest.mark.parametrize("tool_name", ["web_fetch", "web_search", "web_answers"])
def test_the_declaration_fits_the_schema_of_declarations(tool_name: str) -> None:
    described = declared(tool_name)
    assert described["runs"] == "host"
    assert "command" not in described
    assert described["idempotent"] is (tool_name != "web_fetch")
    assert len(json.dumps(described)) < 6000
