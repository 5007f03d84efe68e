"""The tool `web_search` against stand-ins for Brave and SearXNG that note what they are asked."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.ports import HostedAnswer
from auxot_tools.types import Status
from tests.support.raw_server import Answer, Asked, RawServer, reply
from tests.support.web_calls import Web, schema_mistakes, text_of, web

pytestmark = pytest.mark.anyio
KEY = "BSA-very-secret"
KEYS = {"BRAVE_SEARCH_API_KEY": KEY}
JSON_TYPE = "application/json"
BRAVE_RESULTS = [
    {
        "title": "Lake &amp; <strong>ferry</strong>",
        "url": "https://a.example/lake",
        "description": "The <strong>ferry</strong>\ncrosses &quot;it&quot; if a &lt; b.",
        "age": "2 days ago",
        "page_age": "2026-11-20T00:00:00",
    },
    {"title": "", "url": "https://b.example/", "page_age": "2026-01-02T03:04:05"},
    {"title": "no address", "description": "x"},
    {"title": "not a page", "url": "javascript:alert(1)"},
    "nonsense",
    {"title": "Third", "url": "http://c.example/", "description": None, "age": 5},
]
BRAVE_REPLY = {"type": "search", "query": {"original": "q"}, "web": {"results": BRAVE_RESULTS}}


def json_reply(value: Any, status: str = "200 OK", **headers: str) -> Answer:
    return reply(json.dumps(value).encode(), status, Content_Type=JSON_TYPE, **headers)


def brave(answer: Answer, **settings: Any) -> Any:
    return web(answer, brave_url="here", **settings)


def searxng(answer: Answer) -> Any:
    return web(answer, search_provider="searxng", searxng_url="here")


async def search(tools: Web, **arguments: Any) -> HostedAnswer:
    keys = arguments.pop("credentials", KEYS)
    more = {"request_id": arguments.pop("request_id", "")}
    return await tools.answer(
        "web_search", {"query": "lake ferry"} | arguments, credentials=keys, **more
    )


def query_of(server: RawServer) -> dict[str, str]:
    (asked,) = server.asked
    return {name: value for name, (value,) in parse_qs(urlsplit(asked.path).query).items()}


async def test_brave_is_asked_as_its_api_wants_it() -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        await search(tools, query="  käse & <b> \n 50% ", count=10, freshness="week")
        (asked,) = tools.server.asked
        assert query_of(tools.server) == {"q": "käse & <b> 50%", "count": "10", "freshness": "pw"}
    assert asked.method == "GET"
    assert urlsplit(asked.path).path == "/res/v1/web/search"
    assert asked.headers["x-subscription-token"] == KEY
    assert asked.headers["accept"] == JSON_TYPE
    assert KEY not in asked.path


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        *(("day", "pd"), ("Week", "pw"), ("month", "pm"), ("YEAR", "py"), ("pd", "pd")),
        *(("", None), (None, None)),
    ],
)
async def test_freshness_is_sent_as_brave_wants_it(given: str | None, sent: str | None) -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        await search(tools, freshness=given)
        assert query_of(tools.server).get("freshness") == sent


async def test_the_defaults_are_five_results_of_all_times() -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        await search(tools)
        assert query_of(tools.server) == {"q": "lake ferry", "count": "5"}


async def test_a_later_page_is_asked_for_by_braves_offset() -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        text = text_of(await search(tools, page=3, count=4))
        assert query_of(tools.server)["offset"] == "2"
    assert text.startswith("9. Lake")


async def test_results_are_a_numbered_list_in_plain_text() -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        text = text_of(await search(tools))
    assert text == (
        "1. Lake & ferry\n"
        "   https://a.example/lake\n"
        "   2 days ago\n"
        '   The ferry crosses "it" if a < b.\n\n'
        "2. https://b.example/\n"
        "   https://b.example/\n"
        "   2026-01-02T03:04:05\n\n"
        "3. Third\n"
        "   http://c.example/\n\n"
        "To read one of these pages, use web_fetch with its URL."
    )


async def test_no_more_results_are_shown_than_were_asked_for_and_each_is_bounded() -> None:
    entry = {"title": "t" * 5000, "url": "https://a.example/", "description": "d" * 50_000}
    async with brave(json_reply({"type": "search", "web": {"results": [entry] * 20}})) as tools:
        text = text_of(await search(tools, count=2))
    assert "3." not in text
    assert len(text) < 3500


@pytest.mark.parametrize(
    "found", [{"type": "search"}, {"query": {}, "web": {"results": []}}, {"web": {"results": []}}]
)
async def test_finding_nothing_says_what_to_try(found: Any) -> None:
    async with brave(json_reply(found)) as tools:
        answer = await search(tools, freshness="day")
    assert answer.status is Status.COMPLETED
    assert text_of(answer) == (
        "No results for: lake ferry\n"
        "To find something, use fewer or more general words or leave freshness out."
    )


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ({"BRAVE_API_KEY": "other"}, "other"),
        ({"BRAVE_API_KEY": "other", "BRAVE_SEARCH_API_KEY": "first"}, "first"),
        ({"BRAVE_API_KEY": "other", "BRAVE_SEARCH_API_KEY": " "}, "other"),
    ],
)
async def test_the_search_key_comes_before_the_general_one(
    credentials: dict[str, str], sent: str
) -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        await search(tools, credentials=credentials)
        assert tools.server.asked[0].headers["x-subscription-token"] == sent


async def test_without_a_key_the_operator_is_told_its_name_and_nothing_is_sent() -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        answer = await search(tools, credentials={"BRAVE_ANSWERS_API_KEY": KEY})
        assert tools.server.asked == []
    assert answer.status is Status.UNAVAILABLE
    assert "AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY" in text_of(answer)
    assert "For the operator" in text_of(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(KEY.encode(), "401 Unauthorized"), "Brave does not accept the API key"),
        (reply(KEY.encode(), "403 Forbidden"), "Brave does not accept the API key"),
        (reply(KEY.encode(), "429 Too Many Requests"), "Try again later."),
        (reply(KEY.encode(), "429 Slow", Retry_After="7"), "Try again in 7 s."),
        (reply(KEY.encode(), "429 Slow", Retry_After="<b>"), "Try again later."),
        (reply(KEY.encode(), "422 Unprocessable"), "does not accept this query"),
        (reply(KEY.encode(), "500 Oops"), "(HTTP status 500)"),
        (reply(KEY.encode(), "302 Found", Location="http://x.example/"), "it redirects"),
        (reply(KEY.encode()), "cannot be understood"),
        (reply(b"\xff\xfe{"), "cannot be understood"),
        (reply(b"[" * 200_000), "cannot be understood"),
        (reply(b'{"a": "' + b"x" * 2**20 + b'"}'), "cannot be understood"),
        (json_reply([KEY]), "cannot be understood"),
        (json_reply({"error": KEY}), "sent no list of results"),
        (json_reply({"web": {"results": KEY}}), "sent no list of results"),
        (json_reply({"web": KEY}), "sent no list of results"),
    ],
)
async def test_a_failing_provider_is_told_without_key_and_without_its_words(
    answer: Answer, words: str
) -> None:
    async with brave(answer) as tools:
        found = await search(tools)
        assert len(tools.server.asked) == 1
    assert found.status is Status.UNAVAILABLE
    assert words in text_of(found)
    assert KEY not in text_of(found)


async def test_a_provider_that_does_not_answer_in_time_or_is_not_there_is_told() -> None:
    async def silent(_asked: Asked, _stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async with brave(silent) as tools:
        arguments = {"query": "x"}
        slow = await tools.answer("web_search", arguments, credentials=KEYS, seconds=0.3)
    assert slow.status is Status.TIMED_OUT
    assert text_of(slow).startswith("Brave Search did not answer in time.")
    async with web(silent, brave_url="http://127.0.0.1:9") as tools:
        gone = await search(tools)
    assert gone.status is Status.UNAVAILABLE
    assert text_of(gone).startswith("Brave Search could not be reached.")


async def test_uses_are_bounded_for_each_request() -> None:
    async with brave(json_reply(BRAVE_REPLY), max_uses=1) as tools:
        statuses = [(await search(tools, request_id=one)).status for one in ("a", "a", "b", "")]
        assert len(tools.server.asked) == 3
    assert [status is Status.DENIED for status in statuses] == [False, True, False, False]


async def test_searxng_is_asked_as_its_api_wants_it_without_any_key() -> None:
    found = {
        "results": [
            {
                "title": "Lake",
                "url": "https://a.example/",
                "content": "A lake.",
                "publishedDate": "2026-11-01T00:00:00",
                "engine": "x",
            }
        ]
        * 12
    }
    async with searxng(json_reply(found)) as tools:
        text = text_of(await search(tools, count=3, freshness="year", page=2))
        assert query_of(tools.server) == {
            "q": "lake ferry",
            "format": "json",
            "pageno": "2",
            "time_range": "year",
        }
        (asked,) = tools.server.asked
    assert urlsplit(asked.path).path == "/search"
    assert KEY not in str(asked)
    assert text.startswith(
        "4. Lake\n   https://a.example/\n   2026-11-01T00:00:00\n   A lake.\n\n5. Lake"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b"<h1>Forbidden</h1>", "403 Forbidden"), "add `json` to `search.formats`"),
        (reply(b"", "429 Too Many Requests"), "the limiter of SearXNG"),
        (reply(b"<html>a page", Content_Type="text/html"), "cannot be understood"),
        (json_reply({"results": {}}), "sent no list of results"),
    ],
)
async def test_searxng_that_is_not_set_up_gets_words_for_the_operator(
    answer: Answer, words: str
) -> None:
    async with searxng(answer) as tools:
        found = await search(tools, credentials={})
    assert found.status is Status.UNAVAILABLE
    assert words in text_of(found)


async def test_searxng_without_an_address_is_not_configured() -> None:
    async with web(reply(), search_provider="searxng") as tools:
        found = await search(tools)
    assert found.status is Status.UNAVAILABLE
    assert "set web.searxng_url" in text_of(found)


async def test_wrong_values_are_explained_and_nothing_is_sent() -> None:
    async with brave(json_reply(BRAVE_REPLY)) as tools:
        blank = await search(tools, query=" \n ")
        stale = await search(tools, freshness="century")
        assert tools.server.asked == []
    assert blank.status is stale.status is Status.INVALID_ARGUMENTS
    assert "`query` is empty" in text_of(blank)
    assert "day, week, month or year" in text_of(stale)


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({}, "missing required field `query`"),
        ({"query": ""}, "/query"),
        ({"query": ["a"]}, "/query"),
        ({"query": "x" * 401}, "/query"),
        ({"query": "x", "count": 0}, "/count"),
        ({"query": "x", "count": 11}, "/count"),
        ({"query": "x", "count": "5"}, "/count"),
        ({"query": "x", "page": 11}, "/page"),
        ({"query": "x", "freshness": 7}, "/freshness"),
        ({"query": "x", "q": "x"}, "/q"),
    ],
)
def test_the_schema_refuses_what_has_the_wrong_form(arguments: Any, pointer: str) -> None:
    assert pointer in schema_mistakes("web_search", arguments)
    assert schema_mistakes("web_search", arguments) != ""
