"""The settings of the tools that reach the web: `web_fetch`, `web_search`, `web_answers`.

One job: declare, as `settings.py` does for everything else. Keys of providers are credentials of
the tools and are no settings.
"""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic import Field as Setting

from auxot_tools.config.kinds import Allowed, Count, Section, lower


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    has_more = "@" in parts.netloc or bool(parts.query or parts.fragment) or parts.port == 0
    is_base = parts.scheme in {"http", "https"} and bool(parts.hostname) and not has_more
    if not is_base or re.search(r"[^!-~]", url):
        raise ValueError(url)
    return url.rstrip("/")


def _base_url_or_none(url: str) -> str:
    return _base_url(url) if url else ""


class WebSettings(Section):
    """Where the web tools search, and how often one request may use them."""

    max_uses: Count = Setting(
        default=20,
        ge=1,
        le=10_000,
        description="Calls of each web tool that one request may make; more are denied.",
    )
    search_provider: Annotated[Literal["brave", "searxng"], BeforeValidator(lower)] = Setting(
        default="brave", description="Who answers `web_search`."
    )
    brave_url: Annotated[
        str,
        AfterValidator(_base_url),
        Allowed("an http(s) base address without user name, password, query"),
    ] = Setting(
        default="https://api.search.brave.com",
        description="Base address of Brave's API, for `web_search` and `web_answers`.",
    )
    searxng_url: Annotated[
        str,
        AfterValidator(_base_url_or_none),
        Allowed("an http(s) base address without user name, password, query; or empty"),
    ] = Setting(
        default="",
        description="Base address of your SearXNG, whose `search.formats` must include `json`.",
    )
