"""Bytes from the web as text.

One job: find the encoding and decode; say when it is no text at all. It must not know HTML beyond
where a page names its encoding, nor where the bytes came from.
"""

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

# The names of the WHATWG Encoding Standard that are met, and Python's names for what they mean
# there. Only these: Python also has codecs that are no encodings of text, or take quadratic time.
_ENCODINGS: dict[str, tuple[str, ...]] = {
    "utf-8": ("utf-8", "utf8", "unicode-1-1-utf-8", "x-unicode20utf8"),
    "utf-16-le": ("utf-16", "utf-16le", "ucs-2", "unicode", "iso-10646-ucs-2"),
    "utf-16-be": ("utf-16be", "unicodefffe"),
    # Python's own "utf-32" raises without a mark, whatever it is told of errors.
    "utf-32-le": ("utf-32", "utf-32le"),
    "utf-32-be": ("utf-32be",),
    "cp1252": (
        *("windows-1252", "cp1252", "x-cp1252", "iso-8859-1", "iso8859-1", "iso_8859-1"),
        *("latin1", "latin-1", "l1", "ascii", "us-ascii"),
    ),
    "iso8859-15": ("iso-8859-15", "iso8859-15", "latin-9", "latin9", "l9"),
    "cp932": ("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j", "cp932"),
    "euc_jp": ("euc-jp", "x-euc-jp"),
    "iso2022_jp": ("iso-2022-jp", "csiso2022jp"),
    "gb18030": ("gb18030", "gb2312", "gbk", "x-gbk", "cp936", "gb_2312-80", "chinese"),
    "big5hkscs": ("big5", "big5-hkscs", "x-x-big5", "cn-big5"),
    "cp949": ("euc-kr", "ks_c_5601-1987", "korean", "windows-949", "ksc5601", "cp949"),
    "koi8_r": ("koi8-r", "koi8", "koi"),
    "koi8_u": ("koi8-u",),
    "cp866": ("ibm866", "cp866", "866"),
    "mac_roman": ("macintosh", "mac", "x-mac-roman"),
    "cp874": ("windows-874", "tis-620", "iso-8859-11", "cp874"),
    "cp1254": ("windows-1254", "cp1254", "iso-8859-9", "latin5"),
    **{f"cp125{n}": (f"windows-125{n}", f"cp125{n}", f"x-cp125{n}") for n in (0, 1, 3, 5, 6, 7, 8)},
    **{f"iso8859-{n}": (f"iso-8859-{n}", f"iso8859-{n}", f"iso_8859-{n}") for n in range(2, 9)},
    **{f"iso8859-{n}": (f"iso-8859-{n}", f"iso8859-{n}") for n in (10, 13, 14, 16)},
}
_CODECS = {name: codec for codec, names in _ENCODINGS.items() for name in names}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META_BYTES = 4096  # a page must name its encoding in its first 1,024 bytes; some do it later
_HEADER_CHARS = 200  # of a media type with its parameters; real ones have some 40
# Every repetition is bounded: this engine goes back over all of them, and nothing can stop it.
_META = re.compile(
    rb"""<meta\s[^>]{0,400}?charset\s{0,9}=\s{0,9}["']?([\w:.-]{1,40})""", re.IGNORECASE
)
_XML = re.compile(
    rb"""\A\s{0,99}<\?xml\s[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([\w:.-]{1,40})""", re.IGNORECASE
)
_HEADER = re.compile(r"""charset\s{0,9}=\s{0,9}["']?([\w:.-]{1,40})""", re.IGNORECASE)
_SAMPLE_BYTES = 64 * 1024  # for guessing, which is slow: about 0.2 s for so much
# A text with one wrong byte in a hundred is still that text; with more the name was wrong.
_WRONG_SHARE = 0.01
# Characters that no text has. In a binary file one character in ten or more is of these.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BINARY_SHARE = 0.01
_JUDGED_CHARS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, or what cannot be read as text (`is_binary`)."""

    text: str
    is_binary: bool = False


def decode(body: bytes, content_type: str, *, is_cut: bool = False) -> Decoded:
    """The text that `body` holds: by its mark, the header, the page itself, else by a guess.

    What does not fit the encoding becomes U+FFFD. `is_cut`: the last character may be incomplete.
    Never raises for what the bytes hold.
    """
    for mark, codec in _BOMS:
        if body.startswith(mark):
            return _judged(_decoded(body[len(mark) :], codec, "replace", is_cut))
    named = _named(body, content_type)
    for codec in (*named, "utf-8"):
        try:
            text = _decoded(body, codec, "strict", is_cut)
        except UnicodeError:
            continue
        if not _is_binary(text):
            return Decoded(text)
    return _judged(_best(body, named, is_cut))


def _named(body: bytes, content_type: str) -> list[str]:
    """The encodings that the header and the page name, in the order in which they count."""
    codec_names = []
    header = _HEADER.search(content_type[:_HEADER_CHARS])
    if header:
        codec_names.append(_CODECS.get(header[1].lower(), ""))
    for pattern in (_META, _XML):
        found = pattern.search(body[:_META_BYTES])
        inside = _CODECS.get(found[1].decode("ascii", "replace").lower(), "") if found else ""
        # A page whose ASCII could be read so far is not in UTF-16, whatever it says.
        codec_names.append("utf-8" if inside.startswith("utf-") else inside)
    # Servers name Latin-1 for everything; no real text of it happens to be correct UTF-8.
    ordered = sorted(codec_names, key=lambda name: name == "cp1252")
    if "cp1252" in ordered:
        ordered.insert(ordered.index("cp1252"), "utf-8")
    return [name for name in dict.fromkeys(ordered) if name]


def _best(body: bytes, named: list[str], is_cut: bool) -> str:
    """Of texts that all have wrong bytes, the one to take."""
    for codec in named[:1]:
        text = _decoded(body, codec, "replace", is_cut)
        if text.count("\ufffd") <= len(text) * _WRONG_SHARE:
            return text
    utf8 = _decoded(body, "utf-8", "replace", is_cut)
    if utf8.count("\ufffd") <= len(utf8) * _WRONG_SHARE:
        return utf8
    guess = from_bytes(body[:_SAMPLE_BYTES]).best()
    codec = guess.encoding if guess else ""
    return _decoded(body, codec if _is_known(codec) else "cp1252", "replace", is_cut)


def _is_known(codec: str) -> bool:
    known = {codecs.lookup(name).name for name in _ENCODINGS}
    return bool(codec) and codecs.lookup(codec).name in known


def _decoded(body: bytes, codec: str, errors: str, is_cut: bool) -> str:
    return codecs.getincrementaldecoder(codec)(errors).decode(body, final=not is_cut)


def _judged(text: str) -> Decoded:
    return Decoded("", is_binary=True) if _is_binary(text) else Decoded(text)


def _is_binary(text: str) -> bool:
    judged = text[:_JUDGED_CHARS]
    wrong = len(_CONTROL.findall(judged)) + judged.count("\ufffd") // 4
    return wrong > max(2, len(judged) * _BINARY_SHARE)
