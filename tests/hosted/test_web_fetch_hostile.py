"""The tool `web_fetch` against servers and pages that mean harm, or do it."""

import gzip
import random
import zlib
from dataclasses import replace

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.hosted.web_fetch import SEPARATOR
from auxot_tools.hosted.web_html import PAGE_LIMITS, HtmlReader
from auxot_tools.hosted.web_reading import Reading
from auxot_tools.net.outbound import OutboundLimits
from auxot_tools.types import Status
from tests.support.raw_server import Asked, reply
from tests.support.web_calls import text_of, web

pytestmark = pytest.mark.anyio
HTML = "text/html"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


async def test_a_server_that_says_nothing_ends_at_the_time_that_was_given() -> None:
    async def silent(_asked: Asked, _stream: ByteStream) -> None:
        await anyio.sleep_forever()

    async with web(silent) as tools:
        text = await tools.refused(Status.TIMED_OUT, timeout_seconds=1)
    assert text == (
        "Not fetched: no whole answer within 1 s. "
        "More time can be given with timeout_seconds, up to 60."
    )


async def test_a_body_that_drips_for_ever_ends_at_the_time_that_was_given() -> None:
    async def dripping(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send(b"1\r\nx\r\n")
            await anyio.sleep(0.05)

    async with web(dripping) as tools:
        await tools.refused(Status.TIMED_OUT, timeout_seconds=1)


async def test_an_endless_body_is_cut_and_shown() -> None:
    async def endless(_asked: Asked, stream: ByteStream) -> None:
        await stream.send(HEAD + b"Connection: close\r\n\r\n")
        while True:
            await stream.send(b"all work and no play\n" * 1000)

    async with web(endless, OutboundLimits(body_bytes=100_000)) as tools:
        text = await tools.fetched()
    assert "only the first 100,000 bytes were fetched" in text
    assert "characters 0 to 17997 of 100000" in text


async def test_a_body_that_is_cut_within_a_character_ends_before_it() -> None:
    answer = reply("é".encode() * 5000, Content_Type="text/plain; charset=utf-8")
    async with web(answer, OutboundLimits(body_bytes=1001)) as tools:
        text = await tools.fetched()
    assert text.endswith(f"\n{SEPARATOR}\n" + "é" * 500)


async def test_a_zip_bomb_is_cut_after_decompression() -> None:
    bomb = gzip.compress(bytes(0) + b"bomb " * 20_000_000, compresslevel=9)
    answer = reply(bomb, Content_Type="text/plain", Content_Encoding="gzip")
    async with web(answer, OutboundLimits(body_bytes=2**20)) as tools:
        text = await tools.fetched(limit=100)
    assert len(bomb) < 200_000
    assert "only the first 1,048,576 bytes were fetched" in text


async def test_a_broken_encoding_is_an_error_in_words() -> None:
    broken = zlib.compress(b"x" * 1000)[:-30] + b"garbage" * 10
    async with web(reply(broken, Content_Type=HTML, Content_Encoding="gzip")) as tools:
        text = await tools.refused(Status.UNAVAILABLE)
    assert text.startswith("Not fetched: The server `127.0.0.1`")


@pytest.mark.parametrize(
    "inner", [b"<div>", b"<b>", b"<table><tr><td>", b"<ul><li>", b"<a href=x>", b"<blockquote>"]
)
async def test_nesting_of_100000_tags_still_gives_the_text(inner: bytes) -> None:
    html = b"<title>Deep</title><p>before</p>" + inner * 100_000 + b"the very inside " * 30
    async with web(reply(html, Content_Type=HTML)) as tools:
        for mode in ("article", "full"):
            text = await tools.fetched(mode=mode)
            assert "Title: Deep" in text
            assert "the very inside" in text


async def test_links_below_deep_nesting_are_found_or_the_text_is_given() -> None:
    html = b"<div>" * 100_000 + b'<a href="/x">in there</a>'
    async with web(reply(html, Content_Type=HTML)) as tools:
        text = await tools.fetched(mode="links")
    assert "in there" in text or text == "The page has no links."


async def test_markup_that_takes_quadratic_time_ends_as_plain_text() -> None:
    attributes = " ".join(f"a{number}=1" for number in range(150_000))
    html = f"<title>Slow</title><p {attributes}>hidden in there</p>".encode()
    reader = HtmlReader(replace(PAGE_LIMITS, job_s=3))
    async with web(reply(html, Content_Type=HTML), html=reader) as tools:
        text = await tools.fetched()
    assert text == (
        "Title: Slow\n"
        "Note: The page's HTML takes too much time or memory to read; "
        "this is its plain text, without links.\n"
        f"{SEPARATOR}\nhidden in there"
    )


async def test_a_search_that_would_take_long_is_stopped_and_told() -> None:
    body = bytes(random.Random(1).choices(b"ab", k=3 * 2**20))
    reader = HtmlReader(replace(PAGE_LIMITS, job_s=2))
    for named in ("text/plain", HTML):
        async with web(reply(body, Content_Type=named), html=reader) as tools:
            text = await tools.refused(Status.TIMED_OUT, search="a[ab]{900}c")
        assert "Simplify `search`" in text


async def test_a_search_finds_only_so_many_lines_and_says_so() -> None:
    async with web(reply(b"a\n" * 20_000, Content_Type="text/plain")) as tools:
        text = await tools.fetched(search="a", limit=50_000)
    assert "Note: More lines match; the search stopped after 10,000." in text
    assert text.count("\na") <= 10_003  # with those around the last


@pytest.mark.parametrize("piece", ["&#" + "9" * 5000 + ";", "&#x" + "f" * 5000])
async def test_a_number_of_5000_digits_is_part_of_an_ordinary_page(piece: str) -> None:
    html = f"<title>T {piece}</title><p>hello world {piece}</p>".encode()
    async with web(reply(html, Content_Type=HTML)) as tools:
        for mode in ("article", "full"):
            assert "hello world" in await tools.fetched(mode=mode)
        assert "Title: T \ufffd\nThe page has no links." in await tools.fetched(mode="links")


async def test_text_in_an_encoding_that_does_not_fit_is_read() -> None:
    body = b"\xff\xfa\xc3\x28 hello " * 10
    async with web(reply(body, Content_Type="text/plain; charset=utf-32")) as tools:
        assert "hello" in await tools.fetched()


async def test_whatever_reading_trips_over_is_told_and_logged_without_the_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(HtmlReader):
        async def read(self, *_task: object) -> Reading | None:
            raise ValueError("the page's own words")

    async with web(reply(b"<p>x", Content_Type=HTML), html=Broken()) as tools:
        text = await tools.refused(Status.TIMED_OUT)
    assert text.startswith("This page cannot be read")
    assert "ValueError" in caplog.text
    assert "own words" not in caplog.text


@pytest.mark.parametrize(
    "html",
    [
        b"<" * 1_000_000,
        b"<!--" * 250_000,
        b"<script>" * 120_000,
        b"<title>" * 140_000,
        b"&" * 1_000_000,
        b"<p" * 500_000,
        b"<![CDATA[" * 100_000,
        b'<a href="' * 100_000,
        b"\x00" * 2 + b"<p>a</p>" * 10,
        b"<?xml version='1.0' encoding='utf-32'?><html><p>text</p></html>",
        b"",
        b" ",
    ],
)
async def test_any_garbage_gets_a_clear_answer(html: bytes) -> None:
    async with web(reply(html, Content_Type=HTML)) as tools:
        for mode in ("article", "links"):
            assert await tools.fetched(mode=mode, limit=100)


async def test_an_answer_that_lies_about_its_type_is_read_as_what_it_is() -> None:
    async with web(reply(b"just some text, no tags", Content_Type=HTML)) as tools:
        assert (await tools.fetched()).endswith("just some text, no tags")
    async with web(reply(b"<p>not rendered</p>", Content_Type="text/plain")) as tools:
        assert (await tools.fetched()).endswith("<p>not rendered</p>")


async def test_header_values_of_the_server_are_shown_without_control_characters() -> None:
    answer = reply(b"x", Content_Type="te\txt/" + "y" * 3000)
    async with web(answer) as tools:
        text = await tools.fetched()
    assert "\t" not in text
    assert len(text) < 1000


async def test_what_may_not_be_reached_is_denied_in_words() -> None:
    async with web(reply()) as tools:
        for url in ("http://10.0.0.1/", "http://[::1]:80/", "http://169.254.169.254/latest/"):
            answer = await tools.answer("web_fetch", {"url": url})
            assert answer.status is Status.DENIED
            assert "only public addresses can be" in text_of(answer)
        answer = await tools.answer("web_fetch", {"url": "http://nowhere.invalid/"})
    assert answer.status is Status.UNAVAILABLE
    assert "has no address: check the name" in text_of(answer)
