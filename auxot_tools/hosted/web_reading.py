"""What a fetched text says to a model: Markdown, its article, its links, one page of it.

One job: bytes in, a page of text out. Pure, and slow or worse on a hostile page or with a hostile
search: it is run by `web_html_process.py`, where it can be stopped. It must not know HTTP, tools or
processes.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urldefrag, urljoin

import lxml.html  # type: ignore[import-untyped]
from html_to_markdown import ConversionOptions, convert
from readability import Document  # type: ignore[import-untyped]

from auxot_tools.hosted.web_charsets import decode
from auxot_tools.hosted.web_pages import MAX_MATCHES, Part, found_in, matching_links, page_of
from auxot_tools.hosted.web_plain import ascii_lower, plain_text, unescape

Mode = Literal["article", "links", "full", "plain"]
SHORT_ARTICLE_WORDS = 100  # fewer are more likely a teaser or a menu than the article
TITLE_CHARS = 300
LINK_CHARS = 200  # of a link's text; more is a whole teaser
URL_CHARS = 2000  # longer ones do not work in most browsers
# Beside a page that has so few words in its elements there is text that the parser gave up on.
LOST_FACTOR, LOST_WORDS = 3, 20

NO_ARTICLE = "No article of 100 words or more was found; this is the whole page."
MANY_MATCHES = f"More lines match; the search stopped after {MAX_MATCHES:,}."
LOST_STRUCTURE = "The page is nested too deeply to keep its structure; this is its plain text."

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,400}\?>")
_WORD = re.compile(r"\w+")
# Around an icon, say: they tell nothing, and mode links lists them.
_EMPTY_LINK = re.compile(r"(?<!!)\[\]\(<?https?://[^\s()<>]*>?\)")
_BASE = re.compile(r"""<base\s[^>]{0,400}?href\s*=\s*["']?([^"'\s>]{1,2000})""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReadingTask:
    """What to read out of a body. `offset` and `limit` count characters, links in mode links.

    `mode` is of HTML; what is no HTML (`is_html`) is taken as it is. `search` is an RE2 pattern
    that compiles, or empty.
    """

    url: str
    content_type: str
    is_html: bool
    mode: Mode = "article"
    offset: int = 0
    limit: int = 18_000
    search: str = ""
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read. `unit`: what `offset` counts."""

    part: Part
    title: str = ""
    unit: Literal["characters", "links"] = "characters"
    notes: tuple[str, ...] = ()
    is_binary: bool = False


def read(task: ReadingTask, body: bytes) -> Reading:
    """Read `body` as `task` says. May take long and may raise anything for HTML, except in mode
    `plain`, which takes time linear in the size and never raises. A search may take long in any
    mode: linear in the size, times that of the pattern.
    """
    decoded = decode(body, task.content_type, is_cut=task.is_cut)
    if decoded.is_binary:
        return Reading(Part(""), is_binary=True)
    if not task.is_html:
        return _reading(decoded.text, task)
    page = _XML_DECLARATION.sub("", decoded.text).replace("\x00", "\ufffd")
    title = _title(page)
    if task.mode == "links":
        links = matching_links(_links(page, task.url), task.search)
        return Reading(page_of(links, task.offset, task.limit), title, "links")
    text, notes = _text(page, task)
    return _reading(text, task, title, notes)


def _reading(text: str, task: ReadingTask, title: str = "", notes: tuple[str, ...] = ()) -> Reading:
    if not task.search:
        return Reading(page_of(text, task.offset, task.limit), title, notes=notes)
    found = found_in(text, task.search)
    part = page_of(found.text, task.offset, task.limit).with_matches(found.count)
    return Reading(part, title, notes=(*notes, MANY_MATCHES) if found.is_cut else notes)


def _text(page: str, task: ReadingTask) -> tuple[str, tuple[str, ...]]:
    if task.mode == "plain":
        return plain_text(page), ()
    notes: tuple[str, ...] = ()
    if task.mode == "article":
        article = _article(page, task.url)
        if _words(article) >= SHORT_ARTICLE_WORDS:
            return article, ()
        notes = (NO_ARTICLE,)
    whole = _markdown(page, task.url)
    plain = plain_text(page)
    if _words(plain) > LOST_FACTOR * _words(whole) + LOST_WORDS:
        return plain, (LOST_STRUCTURE,)
    return whole, notes


def _article(page: str, url: str) -> str:
    try:
        found = Document(page, url=url).summary(html_partial=True)
    except Exception:  # whatever the library trips over, the whole page is still there
        return ""
    return _markdown(found, url)


def _markdown(page: str, url: str) -> str:
    options = ConversionOptions(
        base_url=_base_url(page, url),
        extract_metadata=False,
        inline_data_media="alt_text_only",
        compact_tables=True,
    )
    text = convert(page, options).content or ""
    return _EMPTY_LINK.sub("", text).strip()


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _base_url(page: str, url: str) -> str:
    """What relative addresses count from."""
    found = _BASE.search(page[:20_000])
    return _joined(url, unescape(found[1])) or url if found else url


def _title(page: str) -> str:
    """The text of the first `<title>`; found without a parser, so that it is there in any case."""
    head = ascii_lower(page[:200_000])
    begin = head.find("<title")
    opened = head.find(">", begin)
    closed = head.find("</title", opened)
    if min(begin, opened, closed) < 0:
        return ""
    return " ".join(unescape(page[opened + 1 : closed]).split())[:TITLE_CHARS]


def _links(page: str, url: str) -> list[str]:
    """Every address that the page links to, once, as `[text](url)`, in order."""
    # Limits on depth are not needed where the process can be stopped.
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        root = lxml.html.document_fromstring(page.encode(), parser=parser)
    except lxml.etree.ParserError:  # a page without any element
        return []
    base = _base_url(page, url)
    here = urldefrag(url).url
    links: dict[str, str] = {}
    for element in root.iter("a", "area"):
        target = _joined(base, element.get("href") or "")
        if not target or (urldefrag(target).url == here and "#" in target):
            continue
        text = element.text_content() or element.get("title") or element.get("alt") or ""
        text = " ".join(text.split())[:LINK_CHARS].replace("[", "(").replace("]", ")")
        links[target] = links.get(target) or text
    return [f"[{text}]({target})" if text else target for target, text in links.items()]


def _joined(base: str, reference: str) -> str:
    """The absolute http(s) address of `reference`; empty when it is none."""
    reference = "".join(reference.split()) if "\n" in reference else reference.strip()
    if not reference or len(reference) > URL_CHARS:
        return ""
    try:
        target = urljoin(base, reference)
    except ValueError:
        return ""
    return target.replace(" ", "%20") if target.startswith(("http://", "https://")) else ""
