"""Reads the texts of our web tools, as facts.

One job: from what `web_fetch` and `web_search` write for a model to what stands in it. Pure. It is
the one place outside of `hosted` that knows those texts: a result holds text alone, here and
through gRPC, and its shape is a promise (`tests/connect/test_web_texts.py` holds the two together).
Above the first separator line everything is our tools' own, whatever a page says.
"""

import re
from dataclasses import dataclass, field

_SEPARATOR = "\n----- content of the page -----\n"
_STATUS = re.compile(r"HTTP status: (\d{3})")
_URL = re.compile(r"URL: (\S+) \(redirected\)")
_PART = re.compile(r"\[These are (?:characters|links) (\d+) to (\d+) of (\d+)\. To go on, .*\]")
_BEYOND = re.compile(r"offset \d+ is beyond the end: there are (\d+) (?:characters|links)\.")
_LINK = re.compile(r"\[(.*)\]\((.*)\)")
_IMAGE = re.compile(r"(?:An image|It is an image) \((image/[a-z]+)")
_HEADERS = ("Content-Type", "Content-Length", "Last-Modified", "Etag", "Location")
_ENTRY = re.compile(r"(\d+)\. (.*)")
_AGE_CHARS = 60


@dataclass(slots=True)
class Page:
    """What `web_fetch` told. ``more``: how to go on; ``notes``: all else that it says itself."""

    status: int = 200
    final_url: str = ""
    content_type: str = "text/html"
    title: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    more: str = ""
    total: int | None = None
    content: str = ""

    @property
    def links(self) -> list[dict[str, str]]:
        """The content as links, as mode `links` writes them."""
        return [_link(line) for line in self.content.splitlines() if line]


def read_page(text: str) -> Page:
    """The facts in a text of `web_fetch`."""
    page = Page()
    told, _, page.content = f"\n{text}".partition(_SEPARATOR)
    for line in filter(None, told.split("\n")):
        _read_line(page, line)
    return page


def _read_line(page: Page, line: str) -> None:
    name, _, value = line.partition(": ")
    if found := _STATUS.match(line):
        page.status = int(found[1])
    elif found := _URL.fullmatch(line):
        page.final_url = found[1]
    elif found := _PART.fullmatch(line):
        page.total, page.more = int(found[3]), line.strip("[]")
    elif found := _BEYOND.fullmatch(line):
        page.total = int(found[1])
        page.notes.append(line)
    elif name == "Content type":
        page.content_type = "" if value == "not named by the server" else value
    elif name == "Title":
        page.title = value
    elif name in _HEADERS:
        page.headers["ETag" if name == "Etag" else name] = value
        page.content_type = value if name == "Content-Type" else page.content_type
    else:
        found = _IMAGE.match(line)
        page.content_type = found[1] if found else page.content_type
        page.notes.append(line.removeprefix("Note: "))


def _link(line: str) -> dict[str, str]:
    found = _LINK.fullmatch(line)
    return {"url": found[2], "text": found[1]} if found else {"url": line, "text": ""}


def read_search(text: str) -> list[dict[str, str]]:
    """The results in a text of `web_search`, in order; none when it lists none."""
    found = []
    for block in text.split("\n\n"):
        first, *rest = [line.strip() for line in block.split("\n")]
        entry = _ENTRY.fullmatch(first)
        if entry is None or not rest or not rest[0].startswith(("http://", "https://")):
            continue
        result = {"title": entry[2], "url": rest[0], "snippet": rest[-1] if len(rest) > 1 else ""}
        if len(rest) > 2 and len(rest[1]) <= _AGE_CHARS:
            result["age"] = rest[1]
        found.append(result)
    return found
