"""Auxot's `web_fetch`, `web_search` and `web_answers`, arguments and results, run by ours.

One job: their arguments as ours, our results as theirs. Pure. What went wrong on the web is told
within a result, as `error`; arguments that cannot be used are an error instead of a result.
"""

from collections.abc import Callable

from auxot_tools.connect.calls import Prepared, Ran, Usage
from auxot_tools.connect.folded import Fields
from auxot_tools.connect.frames import JobAnswer
from auxot_tools.connect.web_texts import read_page, read_search
from auxot_tools.types import JSON, Status

FETCH, SEARCH, ANSWERS = "web_fetch", "web_search", "web_answers"
_MODES = ("article", "links", "full")
_DEFAULT_CHARS, _MAX_CHARS = 18_000, 100_000
_DEFAULT_S, _MAX_S = 30, 60
_DEFAULT_COUNT, _MAX_COUNT = 5, 10
# What is told within the result; anything else never came to the web.
_TOLD_INSIDE = frozenset({Status.DENIED, Status.TIMED_OUT, Status.UNAVAILABLE})


def prepare_fetch(fields: Fields) -> Prepared:
    """The call for these arguments. Raises `Usage`."""
    url, mode = fields.text("url").strip(), fields.text("mode").strip().lower() or "article"
    if not url:
        raise Usage(f"{FETCH}: url is required")
    if not url.startswith(("http://", "https://")):
        raise Usage(f"{FETCH}: url must start with http:// or https://")
    if mode not in _MODES:
        raise Usage(f"{FETCH}: mode must be 'article', 'links', or 'full'")
    limit, offset = fields.whole("limit"), fields.whole("offset")
    seconds = _within(fields.whole("timeout_seconds"), _MAX_S, _DEFAULT_S)
    call: JSON = {
        "url": url,
        "mode": mode,
        "offset": max(0, offset or 0),
        "method": fields.text("method").strip().upper() or "GET",
        "headers": fields.text_map("headers"),
        "timeout_seconds": seconds,
    }
    if mode != "links":
        call["limit"] = _within(limit, _MAX_CHARS, _DEFAULT_CHARS)
    elif limit is not None and limit > 0:
        call["limit"] = min(limit, _MAX_CHARS)  # ours shows at most 2,000 links
    call |= {name: fields.any(name) for name in ("body",) if name in fields}
    call |= {"search": fields.text("search")} if fields.text("search") else {}

    def answer(ran: Ran) -> JobAnswer:
        base: JSON = {"url": url, "mode": mode}
        if ran.result.status is Status.TIMED_OUT:
            return _failed(ran, base | {"status": 0}, f"request timed out after {seconds}s")
        if ran.result.is_error:
            return _failed(ran, base | {"status": 0}, ran.text)
        return JobAnswer(_page(ran, base, call["offset"]), images=ran.images)

    return Prepared.of(FETCH, call, answer)


def _page(ran: Ran, base: JSON, offset: int) -> JSON:
    page = read_page(ran.text)
    is_list = base["mode"] == "links" and page.content_type == "text/html"
    told: JSON = base | {"status": page.status}
    content = "" if is_list else page.content
    links = page.links if is_list else []
    optional: JSON = {
        "final_url": page.final_url,
        "content_type": page.content_type,
        "headers": page.headers,
        "title": page.title,
        "content": content,
        "links": links,
        "word_count": len(links) if is_list else len(content.split()),
        "total_chars": _total(page.total, offset + (len(links) if is_list else len(content))),
        "truncated": page.more,
        "note": " ".join(page.notes),
    }
    told |= {name: value for name, value in optional.items() if value}
    return told | {"duration_ms": ran.duration_ms}


def _total(told: int | None, seen: int) -> int:
    return seen if told is None else told


def prepare_search(fields: Fields) -> Prepared:
    """The call for these arguments. Raises `Usage`."""
    query = fields.text("query").strip()
    if not query:
        raise Usage(f"{SEARCH}: query is required")
    call: JSON = {
        "query": query,
        "count": _within(fields.whole("count"), _MAX_COUNT, _DEFAULT_COUNT),
    }
    if fields.text("freshness"):
        call["freshness"] = fields.text("freshness")

    def answer(ran: Ran) -> JobAnswer:
        if ran.result.is_error:
            return _failed(ran, {"query": query, "results": [], "result_count": 0}, ran.text)
        results = read_search(ran.text)
        return JobAnswer({"query": query, "results": results, "result_count": len(results)})

    return Prepared.of(SEARCH, call, answer)


def prepare_answers(fields: Fields) -> Prepared:
    """The call for these arguments. Raises `Usage`."""
    query = fields.text("query").strip()
    if not query:
        raise Usage(f"{ANSWERS}: query is required")

    def answer(ran: Ran) -> JobAnswer:
        if ran.result.is_error:
            return _failed(ran, {"query": query, "answer": ""}, ran.text)
        return JobAnswer({"query": query, "answer": ran.text})

    return Prepared.of(ANSWERS, {"query": query}, answer)


def _failed(ran: Ran, told: JSON, error: str) -> JobAnswer:
    if ran.result.status not in _TOLD_INSIDE:
        return JobAnswer(error=ran.text)
    more = {"duration_ms": ran.duration_ms} if "status" in told else {}
    return JobAnswer(told | {"error": error} | more)


def _within(value: int | None, most: int, default: int) -> int:
    """The value, where Auxot takes it; its default otherwise, as it does not clamp."""
    return value if value is not None and 1 <= value <= most else default


BUILT_INS: dict[str, Callable[[Fields], Prepared]] = {
    FETCH: prepare_fetch,
    SEARCH: prepare_search,
    ANSWERS: prepare_answers,
}
