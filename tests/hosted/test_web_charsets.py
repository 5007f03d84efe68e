"""Bytes as text: encodings by mark, header, page and guess, and lies about all of them."""

import resource
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.hosted.web_charsets import _CODECS, Decoded, decode

GERMAN = "Größe und Maß, für Übermut „schön“. " * 20
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 20
JAPANESE = "いろはにほへと ちりぬるを 我が世誰ぞ 常ならむ 漢字も少し。" * 20
CHINESE = "天地玄黄、宇宙洪荒。日月盈昃、辰宿列张。" * 20


@pytest.mark.parametrize(
    ("text", "encoding", "header"),
    [
        (GERMAN, "utf-8", "text/html; charset=utf-8"),
        (GERMAN, "cp1252", "text/html; charset=windows-1252"),
        (GERMAN, "cp1252", "text/html; charset=ISO-8859-1"),
        (GERMAN, "cp1252", 'text/html;charset="latin1"; x=y'),
        (GERMAN, "utf-16-le", "text/plain; charset=UTF-16LE"),
        (GERMAN, "utf-16-be", "text/plain; charset=utf-16be"),
        (JAPANESE, "cp932", "text/html; charset=Shift_JIS"),
        (JAPANESE, "euc_jp", "text/html; charset=euc-jp"),
        (JAPANESE, "iso2022_jp", "text/html; charset=iso-2022-jp"),
        (CHINESE, "gb18030", "text/html; charset=gb2312"),
        ("天地玄黃、宇宙洪荒。" * 20, "big5", "text/html; charset=Big5"),
        (RUSSIAN, "koi8_r", "text/html; charset=koi8-r"),
        (RUSSIAN, "cp1251", "text/html; charset=windows-1251"),
        (GERMAN, "utf-8-sig", "text/html; charset=shift_jis"),
        (GERMAN, "utf-16", ""),
        (GERMAN, "utf-32", ""),
        (GERMAN, "utf-8", ""),
        (JAPANESE, "utf-8", "text/plain; charset=nonsense"),
    ],
)
def test_the_named_encoding_or_the_mark_counts(text: str, encoding: str, header: str) -> None:
    assert decode(text.encode(encoding), header) == Decoded(text)


@pytest.mark.parametrize(
    ("head", "encoding", "text"),
    [
        ('<meta charset="shift_jis">', "cp932", JAPANESE),
        ("<META charset=windows-1251>", "cp1251", RUSSIAN),
        (
            '<meta http-equiv="Content-Type" content="text/html; charset=euc-jp">',
            "euc_jp",
            JAPANESE,
        ),
        ('<?xml version="1.0" encoding="windows-1251"?>', "cp1251", RUSSIAN),
        ('<meta charset="utf-16">', "utf-8", GERMAN),
    ],
)
def test_a_page_may_name_its_encoding_itself(head: str, encoding: str, text: str) -> None:
    page = f"{head}<p>{text}"
    assert decode(page.encode(encoding), "text/html").text == page


@pytest.mark.parametrize(
    ("text", "encoding", "header"),
    [
        (GERMAN, "utf-8", "text/html; charset=iso-8859-1"),  # servers' default for everything
        (RUSSIAN, "utf-8", "text/html; charset=ascii"),
        (RUSSIAN, "cp1251", "text/html; charset=utf-8"),
        (RUSSIAN, "cp1251", ""),
        (JAPANESE, "cp932", "text/html; charset=utf-8"),
        (GERMAN, "cp1252", ""),
        (GERMAN, "cp1252", "text/html; charset=utf-8"),
    ],
)
def test_a_wrong_or_missing_name_is_seen_through(text: str, encoding: str, header: str) -> None:
    assert decode(text.encode(encoding), header).text == text


def test_the_page_is_believed_when_the_header_does_not_fit() -> None:
    page = f"<meta charset=windows-1251>{RUSSIAN}"
    assert decode(page.encode("cp1251"), "text/html; charset=utf-8").text == page


def test_single_wrong_bytes_are_replaced_and_the_rest_is_kept() -> None:
    body = GERMAN.encode() + b"\xff" + GERMAN.encode()
    assert decode(body, "text/html; charset=utf-8").text == f"{GERMAN}\ufffd{GERMAN}"


def test_a_body_that_was_cut_within_a_character_ends_before_it() -> None:
    body = JAPANESE.encode()[:-1]
    assert decode(body, "text/plain; charset=utf-8", is_cut=True).text == JAPANESE[:-1]
    assert decode(body, "text/plain; charset=utf-8").text == f"{JAPANESE[:-1]}\ufffd"


@pytest.mark.parametrize("header", ["", "text/plain", "text/plain; charset=latin1"])
def test_what_is_no_text_is_said_to_be_binary(header: str) -> None:
    for body in (bytes(1000), bytes(range(256)) * 8, b"\x7fELF\x02\x01\x01" + bytes(60)):
        assert decode(body, header) == Decoded("", is_binary=True)


@pytest.mark.parametrize(
    "name", ["punycode", "idna", "unicode_escape", "utf-7", "undefined", "rot13"]
)
def test_codecs_that_are_no_encodings_of_text_are_never_used(name: str) -> None:
    body = b"a-\\u0041-+AEE- " * 60_000
    begun_at = time.monotonic()
    assert decode(body, f"text/plain; charset={name}").text == body.decode()
    assert time.monotonic() - begun_at < 2


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ("b'<meta ' * 66 + b'charset=' + b' ' * 3600 + b'!x'", "''"),
        ("b'<meta charset' * 300", "''"),
        ("b' ' * 2000 + b'<?xml ' + b'encoding=' * 200", "''"),
        ("b'x'", "'charset=' + ' ' * 60_000 + '!'"),
        ("b'x'", "'charset' * 60_000"),
    ],
)
def test_naming_an_encoding_cannot_take_long(body: str, header: str) -> None:
    # In a process that the kernel ends after two seconds of CPU: this took six and more.
    code = f"from auxot_tools.hosted.web_charsets import decode\ndecode({body}, {header})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (2, 2)),
        check=False,
        timeout=60,
    )
    assert done.returncode == 0


@given(st.sampled_from(sorted(_CODECS)), st.binary(max_size=300), st.booleans())
def test_no_encoding_that_is_named_fails(name: str, body: bytes, is_cut: bool) -> None:
    for header in (f"text/plain; charset={name}", ""):
        page = body if header else f"<meta charset={name}>".encode() + body
        assert isinstance(decode(page, header, is_cut=is_cut).text, str)


def test_utf_32_without_a_mark_is_read_or_replaced() -> None:
    assert decode(GERMAN.encode("utf-32-le"), "text/plain; charset=utf-32") == Decoded(GERMAN)
    decode(b"\xff\xfa\xc3\x28 hello " * 10, "text/plain; charset=utf-32")


@given(st.binary(max_size=300), st.text(max_size=40), st.booleans())
def test_any_bytes_give_text_or_are_binary(body: bytes, header: str, is_cut: bool) -> None:
    decoded = decode(body, header, is_cut=is_cut)
    assert isinstance(decoded.text, str)
    assert decoded.text.encode("utf-8") is not None
