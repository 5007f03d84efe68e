"""What kind of document a body is, by its named type and its first bytes."""

import pytest

from auxot_tools.hosted.web_kinds import Kind, image_mark, kind_of, media_type


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/html", Kind.HTML),
        ("Text/HTML; charset=x", Kind.HTML),
        ("application/xhtml+xml", Kind.HTML),
        ("text/plain", Kind.TEXT),
        ("text/markdown", Kind.TEXT),
        ("application/json", Kind.TEXT),
        ("application/ld+json", Kind.TEXT),
        ("application/problem+json; charset=utf-8", Kind.TEXT),
        ("application/atom+xml", Kind.TEXT),
        ("image/svg+xml", Kind.TEXT),
        ("application/javascript", Kind.TEXT),
        ("application/x-yaml", Kind.TEXT),
        ("application/x-ndjson", Kind.TEXT),
        ("", Kind.MAYBE_TEXT),
        ("application/octet-stream", Kind.MAYBE_TEXT),
        ("application/pdf", Kind.PDF),
        ("image/tiff", Kind.BINARY),
        ("application/zip", Kind.BINARY),
        ("video/mp4", Kind.BINARY),
        ("nonsense", Kind.BINARY),
    ],
)
def test_the_named_type_says_what_it_is(content_type: str, kind: Kind) -> None:
    assert kind_of(content_type, b"body") is kind


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF1234WEBPVP8", "image/webp"),
        (b"RIFF1234WAVE", ""),
        (b"\x89PNG", ""),
    ],
)
def test_an_image_is_known_by_its_first_bytes(body: bytes, named: str) -> None:
    assert image_mark(body) == named
    assert (kind_of("text/html", body) is Kind.IMAGE) is bool(named)


def test_without_a_type_a_page_is_known_by_its_beginning() -> None:
    for start in (b"<!DOCTYPE html>", b" \n<html lang=x>", b"\xef\xbb\xbf<!-- a -->\n<head>"):
        assert kind_of("", start) is Kind.HTML
        assert kind_of("text/plain", start) is Kind.TEXT
    assert kind_of("", b"<htmlx>") is Kind.MAYBE_TEXT


def test_parameters_are_no_part_of_the_type() -> None:
    assert media_type(" Text/HTML ;charset=x; y=z") == "text/html"
    assert media_type("") == ""
