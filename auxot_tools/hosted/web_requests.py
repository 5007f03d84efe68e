"""What a model asks `web_fetch` for, as a request that may be sent.

One job: arguments in, a plan or words about what is wrong with them out. Pure. It must not know how
anything is sent, nor what is done with the answer.
"""

import json
import re
from dataclasses import dataclass

from auxot_tools.hosted.web_pages import pattern_fault
from auxot_tools.hosted.web_reading import Mode
from auxot_tools.net.redirects import METHODS, OUR_HEADERS
from auxot_tools.types import JSON

_MODES: dict[str, Mode] = {"article": "article", "links": "links", "full": "full"}
DEFAULT_CHARS, DEFAULT_LINKS, MAX_LINKS = 18_000, 200, 2_000
DEFAULT_TIMEOUT_S = 30.0
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")
_ACCEPT = ("Accept", "text/html, application/xhtml+xml, text/*;q=0.9, */*;q=0.5")


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """One fetch: what is sent, how long it may take, and what is read out of the answer."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout_s: float
    mode: Mode
    offset: int
    limit: int
    search: str


def fetch_plan(arguments: JSON) -> FetchPlan | str:
    """The plan, or what is wrong with the arguments, for the model.

    `arguments` fit the schema of `tools/web_fetch`; null is as good as left out.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    url = given["url"].strip()
    method = given.get("method", "GET").strip().upper()
    mode = _MODES.get(given.get("mode", "article").strip().lower())
    search = given.get("search", "")
    body, body_type = _body(given.get("body"), method)
    headers = _headers(given.get("headers", {}), body_type)
    fault = _url_fault(url) or (pattern_fault(search) if search else "")
    if fault:
        return fault
    if mode is None:
        return "`mode` must be article, links or full."
    if method not in METHODS:
        return f"`method` must be one of {', '.join(sorted(METHODS))}."
    if body is not None and method == "HEAD":
        return "A HEAD request has no `body`; leave it out, or use another `method`."
    if isinstance(headers, str):
        return headers
    return FetchPlan(
        url=url,
        method=method,
        headers=headers,
        body=body,
        timeout_s=float(given.get("timeout_seconds", DEFAULT_TIMEOUT_S)),
        mode=mode,
        offset=int(given.get("offset", 0)),
        limit=_limit(given.get("limit"), mode),
        search=search,
    )


def _url_fault(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in {"http", "https"} and rest.strip("/"):
        return ""
    proposed = f" Did you mean https://{url}?" if re.fullmatch(r"[\w-]+(\.[\w-]+)+\S*", url) else ""
    return f"`url` must be a whole address that begins with http:// or https://.{proposed}"


def _limit(limit: float | None, mode: Mode) -> int:
    if mode == "links":
        return min(int(limit or DEFAULT_LINKS), MAX_LINKS)
    return int(limit or DEFAULT_CHARS)


def _body(body: object, method: str) -> tuple[bytes | None, str]:
    """The bytes to send, and their type when the body was not a text."""
    if body is None or (body in ("", {}, []) and method in {"GET", "HEAD"}):
        return None, ""
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), ""
    compact = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    is_document = isinstance(body, dict | list)
    return compact.encode("utf-8", "replace"), "application/json" if is_document else ""


def _headers(wanted: dict[str, object], body_type: str) -> tuple[tuple[str, str], ...] | str:
    headers = {"accept": _ACCEPT}
    if body_type:
        headers["content-type"] = ("Content-Type", body_type)
    for name, value in wanted.items():
        text = value if isinstance(value, str) else json.dumps(value)
        fault = _header_fault(name, text)
        if fault:
            return fault
        headers[name.lower()] = (name, text)
    return tuple(headers.values())


def _header_fault(name: str, value: str) -> str:
    if _HEADER_NAME.fullmatch(name) is None:
        shown = re.sub(r"[^\x20-\x7e]", "?", name)[:60]
        return f'"{shown}" in `headers` is not a valid header name.'
    if name.lower() in OUR_HEADERS:
        return f"The header {name} cannot be set; leave it out of `headers`, it is set for you."
    if _HEADER_VALUE.fullmatch(value) is None:
        return (
            f"The value of the header {name} is not valid: at most 8,192 ASCII characters, "
            "no line ends."
        )
    return ""
