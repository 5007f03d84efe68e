"""The tool `web_search`: what a search engine finds, as a short list for a model.

One job: from a call's arguments to the list. It must not know any provider's API.
"""

from collections.abc import Sequence

from auxot_tools.hosted.web_asking import ask_json, credential, not_configured, unavailable
from auxot_tools.hosted.web_providers import Freshness, Search, SearchProvider, SearchResult
from auxot_tools.hosted.web_uses import Uses
from auxot_tools.net.outbound import Outbound
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import JSON, Deadline, Status

SEARCH_S = 15.0  # a search engine that takes longer does not answer at all
DEFAULT_COUNT = 5
_FRESHNESS: dict[str, Freshness] = {
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "year",
    "pd": "day",  # as Brave writes them, which models know
    "pw": "week",
    "pm": "month",
    "py": "year",
}


class WebSearch:
    """The tool. `uses` bounds the searches of one request."""

    def __init__(self, outbound: Outbound, uses: Uses, provider: SearchProvider) -> None:
        self._outbound = outbound
        self._uses = uses
        self._provider = provider

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        """Search, and list what was found."""
        search = _search(call.arguments)
        if isinstance(search, str):
            return HostedAnswer.of(search, Status.INVALID_ARGUMENTS)
        key = credential(call.credentials, "BRAVE_SEARCH_API_KEY", "BRAVE_API_KEY")
        provider = self._provider
        missing = provider.missing(key)
        if missing:
            return not_configured("web_search", missing)
        refusal = self._uses.refusal(call)
        if refusal is not None:
            return refusal
        reply = await ask_json(
            self._outbound,
            provider.request(search, key),
            Deadline.after(SEARCH_S).sooner(deadline),
            provider.name,
            provider.refusal,
        )
        if isinstance(reply, HostedAnswer):
            return reply
        results = provider.results(reply)
        if results is None:
            return unavailable(f"{provider.name} sent no list of results. Try again later.")
        return HostedAnswer.of(_listed(search, results[: search.count]))


def _search(arguments: JSON) -> Search | str:
    given = {name: value for name, value in arguments.items() if value is not None}
    query = " ".join(given["query"].split())
    wanted = given.get("freshness", "").strip().lower()
    if not query:
        return "`query` is empty: say what to search for."
    if wanted and wanted not in _FRESHNESS:
        return "`freshness` must be day, week, month or year; leave it out to search all times."
    return Search(
        query=query,
        count=int(given.get("count", DEFAULT_COUNT)),
        freshness=_FRESHNESS[wanted] if wanted else "",
        page=int(given.get("page", 1)),
    )


def _listed(search: Search, results: Sequence[SearchResult]) -> str:
    if not results:
        return _nothing(search)
    first = (search.page - 1) * search.count + 1
    entries = [_entry(number, result) for number, result in enumerate(results, first)]
    return "\n\n".join([*entries, "To read one of these pages, use web_fetch with its URL."])


def _entry(number: int, result: SearchResult) -> str:
    lines = (f"{number}. {result.title}", result.url, result.age, result.snippet)
    return "\n   ".join(line for line in lines if line)


def _nothing(search: Search) -> str:
    hints = ["use fewer or more general words"]
    if search.freshness:
        hints.append("leave freshness out")
    if search.page > 1:
        hints.append("ask for an earlier page")
    return f"No results for: {search.query}\nTo find something, {' or '.join(hints)}."
