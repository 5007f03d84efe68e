"""Who answers searches: Brave and SearXNG, each with its own request and reply.

One job: a search in our terms as a provider's request, and its reply as results in our terms. Pure.
It must not know how requests are sent, nor what a model is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlencode

from auxot_tools.hosted.web_plain import one_line
from auxot_tools.net.outbound import OutboundRequest
from auxot_tools.types import JSON

Freshness = Literal["", "day", "week", "month", "year"]
MAX_REPLY_BYTES = 2**20  # ten results take some 50 KB
# Of one result: enough to judge it by, and ten of them are no long text.
TITLE_CHARS, SNIPPET_CHARS, URL_CHARS, AGE_CHARS = 300, 1000, 2000, 60
_BRAVE_FRESHNESS = {"day": "pd", "week": "pw", "month": "pm", "year": "py"}


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for. `page` counts from 1."""

    query: str
    count: int
    freshness: Freshness = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page that was found, in plain text. `age`: when it was published, if that is known."""

    title: str
    url: str
    snippet: str = ""
    age: str = ""


class SearchProvider(Protocol):
    """Somebody who answers searches."""

    @property
    def name(self) -> str:
        """As people call it."""
        ...

    def missing(self, key: str) -> str:
        """What the operator has yet to set, in words; empty when all is there."""
        ...

    def request(self, search: Search, key: str) -> OutboundRequest:
        """The request for `search`."""
        ...

    def results(self, reply: JSON) -> Sequence[SearchResult] | None:
        """What a reply holds; None when it is not one of this provider's."""
        ...

    def refusal(self, status: int) -> str:
        """What a status other than 200 means for the operator; empty when nothing special."""
        ...


class Brave:
    """The Brave Search API."""

    name = "Brave Search"

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def missing(self, key: str) -> str:
        name = "AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY"
        return "" if key else f"set {name} to a key of the Brave Search API"

    def request(self, search: Search, key: str) -> OutboundRequest:
        asked = {"q": search.query, "count": search.count}
        if search.freshness:
            asked["freshness"] = _BRAVE_FRESHNESS[search.freshness]
        if search.page > 1:
            asked["offset"] = search.page - 1  # counts pages
        return OutboundRequest(
            f"{self._base_url}/res/v1/web/search?{urlencode(asked)}",
            headers=(("Accept", "application/json"), ("X-Subscription-Token", key)),
            operator_chosen=True,
            max_bytes=MAX_REPLY_BYTES,
        )

    def results(self, reply: JSON) -> Sequence[SearchResult] | None:
        web = reply.get("web", {"results": []})  # left out when nothing was found
        found = web.get("results") if isinstance(web, dict) else None
        if not isinstance(found, list) or not {"web", "query", "type"} & reply.keys():
            return None
        return tuple(_results(found, snippet="description", ages=("age", "page_age")))

    def refusal(self, status: int) -> str:
        if status in {401, 403}:
            return "Brave does not accept the API key"
        return ""


class SearXNG:
    """A SearXNG instance of the operator's own."""

    name = "SearXNG"

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def missing(self, key: str) -> str:  # noqa: ARG002 (it needs none)
        return "" if self._base_url else "set web.searxng_url to the address of your SearXNG"

    def request(self, search: Search, key: str) -> OutboundRequest:  # noqa: ARG002
        asked = {"q": search.query, "format": "json", "pageno": search.page}
        if search.freshness:
            asked["time_range"] = search.freshness
        return OutboundRequest(
            f"{self._base_url}/search?{urlencode(asked)}",
            headers=(("Accept", "application/json"),),
            operator_chosen=True,
            max_bytes=MAX_REPLY_BYTES,
        )

    def results(self, reply: JSON) -> Sequence[SearchResult] | None:
        found = reply.get("results")
        if not isinstance(found, list):
            return None
        return tuple(_results(found, snippet="content", ages=("publishedDate",)))

    def refusal(self, status: int) -> str:
        if status == 403:
            return "add `json` to `search.formats` in the settings.yml of SearXNG"
        if status == 429:
            return "the limiter of SearXNG (`server.limiter`) refuses the worker's address"
        return ""


def _results(found: list[object], snippet: str, ages: tuple[str, ...]) -> Iterator[SearchResult]:
    for entry in found:
        url = _text(entry, "url", URL_CHARS) if isinstance(entry, dict) else ""
        if not isinstance(entry, dict) or not url.startswith(("http://", "https://")):
            continue
        age = next(filter(None, (_text(entry, name, AGE_CHARS) for name in ages)), "")
        title = _text(entry, "title", TITLE_CHARS) or url
        yield SearchResult(title, url, _text(entry, snippet, SNIPPET_CHARS), age)


def _text(entry: Mapping[str, object], name: str, max_chars: int) -> str:
    value = entry.get(name)
    return one_line(value[: 4 * max_chars], max_chars) if isinstance(value, str) else ""
