"""The tool `web_fetch`: a page or another document of the web, as text or an image for a model.

One job: from a call's arguments to the answer. It must not know how requests are checked and sent
(`net`), nor how a page is read (`web_reading.py`).
"""

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus

from anyio import to_thread

from auxot_tools.errors import OutboundFailed, OutboundRefused
from auxot_tools.hosted.web_html import HtmlReader
from auxot_tools.hosted.web_kinds import Kind, image_mark, kind_of, media_type
from auxot_tools.hosted.web_reading import Reading, ReadingTask, read
from auxot_tools.hosted.web_requests import FetchPlan, fetch_plan
from auxot_tools.hosted.web_uses import Uses
from auxot_tools.messages.images import MAX_IMAGE_BYTES, MAX_PIXELS, image_type
from auxot_tools.net.outbound import Outbound, OutboundAnswer, OutboundRequest
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import Deadline, Status

SMALL_BYTES = 64 * 1024  # of a text without a search: read at once, some ms
# Everything above it is ours, everything below it the page's, whatever it says.
SEPARATOR = "----- content of the page -----"
logger = logging.getLogger(__name__)

_HEAD_HEADERS = ("content-type", "content-length", "last-modified", "etag", "location")
_HEADER_CHARS = 500  # of one that is shown
_NO_TEXT = {
    Kind.PDF: "It is a PDF document, which web_fetch cannot read. Look for it as HTML or text.",
    Kind.BINARY: "It is no text and no image that can be shown, so its content is not returned.",
}
_EMPTY_PAGE = "There is no text in it. If its text is made by JavaScript: that is not run here."
_UNREADABLE = "This page cannot be read: it takes too much time or memory, or it is damaged."
_HARD_SEARCH = f"{_UNREADABLE} Simplify `search`, with smaller counts in braces, or leave it out."
_HARD_PAGE = (
    "The page's HTML takes too much time or memory to read; this is its plain text, without links."
)


class WebFetch:
    """The tool. `uses` bounds the fetches of one request."""

    def __init__(self, outbound: Outbound, uses: Uses, html: HtmlReader | None = None) -> None:
        self._outbound = outbound
        self._uses = uses
        self._html = html or HtmlReader()

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        """Fetch and read. HTTP errors are ordinary answers; what never came is an error."""
        plan = fetch_plan(call.arguments)
        if isinstance(plan, str):
            return HostedAnswer.of(plan, Status.INVALID_ARGUMENTS)
        refusal = self._uses.refusal(call)
        if refusal is not None:
            return refusal
        request = OutboundRequest(plan.url, plan.method, plan.headers, plan.body)
        try:
            fetched = await self._outbound.fetch(
                request, Deadline.after(plan.timeout_s).sooner(deadline)
            )
        except OutboundRefused as refused:
            return HostedAnswer.of(str(refused), Status.DENIED)
        except OutboundFailed as failed:
            return _failure(failed, plan)
        return await self._shown(plan, fetched, call.tenant, deadline)

    async def _shown(
        self, plan: FetchPlan, fetched: OutboundAnswer, tenant: str, deadline: Deadline
    ) -> HostedAnswer:
        if plan.method == "HEAD" or not fetched.body:
            return _without_body(plan, fetched)
        kind = kind_of(fetched.content_type, fetched.body)
        if kind is Kind.IMAGE:
            return _image(fetched)
        if kind in _NO_TEXT:
            return _no_text(fetched, kind)
        try:
            reading = await self._reading(plan, fetched, kind, tenant, deadline)
        except Exception as fault:  # whatever a page does, it is not the worker's end
            logger.warning("a page could not be read: %s", type(fault).__name__)
            reading = None
        if reading is None:
            text = _HARD_SEARCH if plan.search else _UNREADABLE
            return HostedAnswer.of(text, Status.TIMED_OUT)
        if reading.is_binary:
            return _no_text(fetched, Kind.BINARY)
        facts = [*_facts(fetched, kind), *_reading_facts(reading, plan, fetched, kind)]
        facts.append(_next_step(reading, plan))
        content = f"{SEPARATOR}\n{reading.part.content}" if reading.part.shown else ""
        parts = ("\n".join(fact for fact in facts if fact), content)
        return HostedAnswer.of("\n".join(part for part in parts if part))

    async def _reading(
        self, plan: FetchPlan, fetched: OutboundAnswer, kind: Kind, tenant: str, deadline: Deadline
    ) -> Reading | None:
        """The reading; None when the text takes too much, or there is no more time."""
        task = ReadingTask(
            url=fetched.url,
            content_type=fetched.content_type,
            is_html=kind is Kind.HTML,
            mode=plan.mode,
            offset=plan.offset,
            limit=plan.limit,
            search=plan.search,
            is_cut=fetched.is_cut,
        )
        if not task.is_html and not task.search and len(fetched.body) <= SMALL_BYTES:
            return await to_thread.run_sync(read, task, fetched.body)
        reading = await self._html.read(task, fetched.body, tenant, deadline)
        if reading is not None or not task.is_html:
            return reading
        plain_task = replace(task, mode="plain")
        plain = await self._html.read(plain_task, fetched.body, tenant, deadline)
        return plain and replace(plain, notes=(_HARD_PAGE, *plain.notes))


def _failure(failed: OutboundFailed, plan: FetchPlan) -> HostedAnswer:
    if failed.kind != "too_slow":
        return HostedAnswer.of(f"Not fetched: {failed}", Status.UNAVAILABLE)
    more = "" if plan.timeout_s >= 60 else " More time can be given with timeout_seconds, up to 60."
    text = f"Not fetched: no whole answer within {plan.timeout_s:g} s.{more}"
    return HostedAnswer.of(text, Status.TIMED_OUT)


def _facts(fetched: OutboundAnswer, kind: Kind) -> Iterator[str]:
    """What is worth knowing of the answer; nothing when it is the ordinary one."""
    if fetched.redirects:
        yield f"URL: {fetched.url} (redirected)"
    if fetched.status != HTTPStatus.OK:
        yield f"HTTP status: {_status(fetched.status)}"
    if fetched.status // 100 == 3 or fetched.status == HTTPStatus.CREATED:
        yield from _headers(fetched, ("location",))
    if kind is not Kind.HTML:
        yield f"Content type: {_content_type(fetched)}"


def _reading_facts(
    reading: Reading, plan: FetchPlan, fetched: OutboundAnswer, kind: Kind
) -> Iterator[str]:
    if reading.title:
        yield f"Title: {reading.title}"
    if plan.mode == "links" and kind is not Kind.HTML:
        yield "Note: this is not an HTML page, so it has no links to list; this is its content."
    if reading.part.matches > 0:
        yield f"Lines that match the search: {reading.part.matches}"
    yield from (f"Note: {note}" for note in reading.notes)
    if fetched.is_cut:
        yield f"Note: only the first {len(fetched.body):,} bytes were fetched; there is more."


def _next_step(reading: Reading, plan: FetchPlan) -> str:
    """Where the content goes on, or why there is none."""
    part, unit = reading.part, reading.unit
    if plan.search and not part.total:
        what = "link" if unit == "links" else "line"
        return f"No {what} matches `{plan.search}`. Try a broader pattern, or leave search out."
    if not part.total:
        return "The page has no links." if unit == "links" else _EMPTY_PAGE
    if not part.shown:
        return f"offset {part.offset} is beyond the end: there are {part.total} {unit}."
    if part.next_offset:
        of = f"{unit} {part.offset} to {part.next_offset} of {part.total}"
        return f"[These are {of}. To go on, call again with offset={part.next_offset}.]"
    return ""


def _without_body(plan: FetchPlan, fetched: OutboundAnswer) -> HostedAnswer:
    lines = [f"URL: {fetched.url} (redirected)"] if fetched.redirects else []
    lines.append(f"HTTP status: {_status(fetched.status)}")
    lines.extend(_headers(fetched, _HEAD_HEADERS))
    if plan.method != "HEAD":
        lines.append("The answer has no content.")
    return HostedAnswer.of("\n".join(lines))


def _image(fetched: OutboundAnswer) -> HostedAnswer:
    kind, size = image_mark(fetched.body), len(fetched.body)
    lines = [*_facts(fetched, Kind.HTML)]
    if fetched.is_cut or size > MAX_IMAGE_BYTES:
        lines.append(f"It is an image ({kind}) of more than 3.75 MB, which is too large to show.")
        return HostedAnswer.of("\n".join(lines))
    if not image_type(fetched.body):
        lines.append(
            f"It is an image ({kind}) that cannot be shown: it is damaged or not complete, or one "
            f"of its sides has more than {MAX_PIXELS:,} pixels."
        )
        return HostedAnswer.of("\n".join(lines))
    lines.append(f"An image ({kind}, {size:,} bytes):")
    source = {"type": "base64", "media_type": kind, "data": base64.b64encode(fetched.body).decode()}
    text = {"type": "text", "text": "\n".join(lines)}
    return HostedAnswer((text, {"type": "image", "source": source}))


def _no_text(fetched: OutboundAnswer, kind: Kind) -> HostedAnswer:
    lines = [*_facts(fetched, kind)]
    lines.append(f"{_NO_TEXT[kind]} ({len(fetched.body):,} bytes)")
    return HostedAnswer.of("\n".join(lines))


def _headers(fetched: OutboundAnswer, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = _printable(fetched.headers.get(name, ""))
        if value:
            yield f"{name.title()}: {value}"


def _content_type(fetched: OutboundAnswer) -> str:
    return _printable(media_type(fetched.content_type)) or "not named by the server"


def _printable(text: str) -> str:
    return "".join(one for one in text[:_HEADER_CHARS] if one.isprintable())


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
