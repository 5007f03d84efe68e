"""What happened at an endpoint, as values and as a file: everything that the checks look at.

One job: the data, and its way to JSON and back. Keys are not in it: what records puts `KEY_MARK`
in their place. It must not know exchanges, rules or HTTP clients.
"""

import base64
import binascii
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.wire import DEEPEST, is_deep
from auxot_tools.types import JSON

FORMAT = "auxot-roundtrip-recording"
VERSION = 1
KEY_MARK = "[the-key]"
_OWNER = 0o600
FILE_LIMIT_BYTES = 64 * 2**20  # some fifty answers of a few kilobytes: more is the wrong file


@dataclass(frozen=True, slots=True)
class Sent:
    """A request. ``body`` is a JSON value, or the text that was sent in place of one."""

    method: str
    path: str  # after the endpoint's base URL
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an answer and when they came: seconds after the request was sent."""

    data: bytes
    at_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``broke_off`` says how the connection ended before the body's end, and
    ``ended_at_s`` when the end was seen.
    """

    status: int
    at_s: float  # when the status was known
    headers: Mapping[str, str]  # names in lower case
    pieces: Sequence[Piece] = ()
    broke_off: str = ""
    ended_at_s: float = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the scripted upstream received for an exchange.

    ``said`` is the scripted turn that answered it. ``ended``: `whole`, `broken` (as scripted), or
    `left` when the endpoint dropped the connection before the end.
    """

    body: Any
    headers: Mapping[str, str]
    said: JSON
    at_s: float  # after the exchange's request was sent
    ended: str = "whole"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One exchange: what was sent and what came of it.

    Exactly one of ``answer``, ``failure`` (no HTTP answer came; the reason) and ``skipped`` (it was
    not sent; the reason) is there. ``left_at_s``: we dropped the connection then. ``asked`` is
    `None` when the upstream is not ours.
    """

    name: str
    sent: Sent | None = None
    answer: Answer | None = None
    failure: str = ""
    skipped: str = ""
    left_at_s: float | None = None
    asked: Sequence[Asked] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks need to know of a run. No secret, and no address but the endpoint's."""

    url: str
    model: str
    run_id: str
    has_upstream: bool
    runs_tools: bool
    tool: str
    quiet_s: float
    made_at: str = ""
    made_by: str = ""
    inputs: JSON = field(default_factory=dict)
    is_cut_short: bool = False  # the run's time was over before all was sent and answered


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole run."""

    facts: Facts
    exchanges: Mapping[str, Exchanged]


# -- to a file ---------------------------------------------------------------------------------


def as_json(recording: Recording) -> JSON:
    """The recording as the file holds it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "facts": {name: getattr(recording.facts, name) for name in Facts.__slots__},
        "exchanges": [_exchanged(each) for each in recording.exchanges.values()],
    }


def save(recording: Recording, path: Path) -> None:
    """Write the file, readable by its owner alone, also when it was there and was not.

    Raises ``ConfigError`` when it cannot be.
    """
    text = json.dumps(as_json(recording), indent=1)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER)
        with os.fdopen(descriptor, "wb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fchmod(file.fileno(), _OWNER)
            file.write(text.encode() + b"\n")
    except OSError as error:
        raise ConfigError([f"{path} cannot be written: {_reason(error)}."]) from None


def _exchanged(each: Exchanged) -> JSON:
    made: JSON = {"name": each.name}
    if each.sent is not None:
        made["sent"] = {name: getattr(each.sent, name) for name in Sent.__slots__}
        made["sent"]["headers"] = dict(each.sent.headers)
    if each.answer is not None:
        made["answer"] = _answer(each.answer)
    made |= {name: getattr(each, name) for name in ("failure", "skipped") if getattr(each, name)}
    if each.left_at_s is not None:
        made["left_at_s"] = each.left_at_s
    if each.asked is not None:
        members = Asked.__slots__
        made["asked"] = [{name: getattr(asked, name) for name in members} for asked in each.asked]
    return made


def _answer(answer: Answer) -> JSON:
    made = {name: getattr(answer, name) for name in Answer.__slots__ if name != "pieces"}
    return made | {"headers": dict(answer.headers), "pieces": [_piece(p) for p in answer.pieces]}


def _piece(piece: Piece) -> JSON:
    at_s = round(piece.at_s, 4)
    try:
        return {"at_s": at_s, "text": piece.data.decode()}
    except UnicodeDecodeError:
        return {"at_s": at_s, "base64": base64.b64encode(piece.data).decode()}


# -- from a file -------------------------------------------------------------------------------


def load(path: Path) -> Recording:
    """The recording in a file. Raises ``ConfigError`` that says why it is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise ConfigError([f"{path} is no file: name one that --record made."])
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {_reason(error)}."]) from None
    if len(data) > FILE_LIMIT_BYTES:
        text = f"{path} is larger than {FILE_LIMIT_BYTES} bytes: no recording."
        raise ConfigError([text])
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError([f"{path} is no JSON: make it with --record."]) from None
    if is_deep(content, 2 * DEEPEST):
        raise ConfigError([f"{path} is damaged: it is nested too deep."])
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError([f"{path} is no recording of a round trip: make it with --record."])
    if content.get("version") != VERSION:
        found = content.get("version")
        text = f"{path} has version {found!r:.20}, this program reads {VERSION}: record it anew."
        raise ConfigError([text])
    return _recording(path, content)


def _recording(path: Path, content: JSON) -> Recording:
    place = "facts"
    try:
        facts = Facts(**content["facts"])
        _check(facts, _FACT_TYPES)
        _check_time(facts.quiet_s)
        if not 0 < facts.quiet_s <= _MOST_QUIET_S:
            raise ValueError("quiet_s")
        exchanges = {}
        for number, each in enumerate(content["exchanges"]):
            place = f"exchanges.{number}"
            made = _read_exchanged(each)
            exchanges[made.name] = made
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise ConfigError([f"{path} is damaged at {place}: record it anew."]) from None
    return Recording(facts, exchanges)


_NUMBER = (int, float)
_FACT_TYPES: dict[str, Any] = {
    **dict.fromkeys(("url", "model", "run_id", "tool", "made_at", "made_by"), str),
    **dict.fromkeys(("has_upstream", "runs_tools", "is_cut_short"), bool),
    "inputs": dict,
}
_ANSWER_TYPES: dict[str, Any] = {"status": int, "headers": dict, "broke_off": str}
_ASKED_TYPES: dict[str, Any] = {"headers": dict, "said": dict, "ended": str}
_SENT_TYPES: dict[str, Any] = {"method": str, "path": str, "headers": dict}
_MOST_S = 1e6  # of any time: beyond every run
_MOST_STATUS = 999
_MOST_QUIET_S = 3600  # of a run's own: far more than --quiet-s takes
# A replay sends a recording's requests with the user's own key: nothing but what a run sends.
_METHODS = frozenset({"POST", "GET", "HEAD"})
_PATH = re.compile(r"/v1(/[A-Za-z0-9_-]+)+")
_HEADER = re.compile(r"anthropic-[a-z-]+")
_HEADER_TEXT = re.compile(r"[\x20-\x7e]*")


def _check(made: object, types: Mapping[str, Any]) -> None:
    for name, kind in types.items():
        if not isinstance(getattr(made, name), kind):
            raise TypeError(name)


def _check_time(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, _NUMBER) or not abs(value) <= _MOST_S:
        raise ValueError("a time")


def _check_texts(headers: Mapping[str, Any]) -> None:
    if not all(isinstance(value, str) for value in headers.values()):
        raise TypeError("headers")


def _check_sent(sent: Sent) -> None:
    _check(sent, _SENT_TYPES)
    _check_texts(sent.headers)
    if sent.method not in _METHODS or not _PATH.fullmatch(sent.path):
        raise ValueError("a request that no run sends")
    for name, value in sent.headers.items():
        if not _HEADER.fullmatch(name) or not _HEADER_TEXT.fullmatch(value):
            raise ValueError("a header that no run sends")


def _read_exchanged(each: JSON) -> Exchanged:
    sent, answer, asked = each.get("sent"), each.get("answer"), each.get("asked")
    made = Exchanged(
        name=each["name"],
        sent=None if sent is None else Sent(**sent),
        answer=None if answer is None else _read_answer(answer),
        failure=each.get("failure", ""),
        skipped=each.get("skipped", ""),
        left_at_s=each.get("left_at_s"),
        asked=None if asked is None else tuple(_read_asked(one) for one in asked),
    )
    _check(made, {"name": str, "failure": str, "skipped": str})
    if made.sent is not None:
        _check_sent(made.sent)
    if made.left_at_s is not None:
        _check_time(made.left_at_s)
    if sum((made.answer is not None, bool(made.failure), bool(made.skipped))) != 1:
        raise ValueError("an exchange has one end")
    return made


def _read_answer(answer: JSON) -> Answer:
    made = Answer(**(answer | {"pieces": tuple(_read_piece(p) for p in answer["pieces"])}))
    _check(made, _ANSWER_TYPES)
    _check_texts(made.headers)
    if not 0 <= made.status <= _MOST_STATUS:
        raise ValueError("status")
    for at_s in (made.at_s, made.ended_at_s):
        _check_time(at_s)
    return made


def _read_piece(piece: JSON) -> Piece:
    at_s = piece["at_s"]
    _check_time(at_s)
    if "text" in piece:
        return Piece(piece["text"].encode(), at_s)
    return Piece(base64.b64decode(piece["base64"], validate=True), at_s)


def _read_asked(asked: JSON) -> Asked:
    made = Asked(**asked)
    _check(made, _ASKED_TYPES)
    _check_texts(made.headers)
    _check_time(made.at_s)
    return made


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown reason").lower()
