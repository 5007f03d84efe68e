"""From observations to findings, by tables of rules.

One job: go through the tables in order, and fill their sentences with facts. A rule is data: an id,
when it holds, what is wrong, and the fix in one line. Must not make a request, nor know the clock.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from auxot_tools.doctor.base_url import ROOT, BaseUrl, likely_root
from auxot_tools.doctor.key import KINDS, Redactor
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.reading import Kind, model_ids
from auxot_tools.doctor.words import plain_name, printable, shell_safe_url, shortened

When = Callable[[Observations], bool]
_SHOWN_MODELS = 5
_NAME_CHARS = 60  # of what a server calls itself
NOWHERE = BaseUrl("http://HOST:8080/api/anthropic")  # where a paste does not say which server
_FORMS = {
    "x-api-key": "`x-api-key: KEY`",
    "bearer": "`Authorization: Bearer KEY`",
}


class Place(StrEnum):
    """What a rule is about. Of each place the first rule that holds counts; notes all count.

    ``OTHER`` counts only where no fault was found: it is said last.
    """

    ADDRESS = "address"
    REACH = "reach"
    PROXY = "proxy"
    PATH = "path"
    KEY = "key"
    REQUEST = "request"
    SERVER = "server"
    STREAM = "stream"
    OTHER = "other"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Rule:
    """``says`` and ``fix`` are templates for `facts`. A rule of `Place.NOTE` is no fault."""

    id: str
    place: Place
    when: When
    says: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that held, in words."""

    id: str
    place: Place
    says: str
    fix: str

    @property
    def is_note(self) -> bool:
        return self.place is Place.NOTE


def diagnose(seen: Observations, rules: Sequence[Rule]) -> tuple[Finding, ...]:
    """Faults in the order of the places, then notes. Empty: nothing is wrong."""
    found: list[Finding] = []
    told = facts(seen)
    if seen.base is None:  # the host of a URL is shown in small letters, but this is none
        told = {name: text.replace("//host:", "//HOST:") for name, text in told.items()}
        told |= {"host": "HOST", "port": "PORT"}
    for rule in rules:
        is_settled = any(one.place is rule.place for one in found) and rule.place is not Place.NOTE
        if rule.place is Place.OTHER:
            is_settled = any(not one.is_note for one in found)
        if not is_settled and rule.when(seen):
            says, fix = rule.says.format_map(told), rule.fix.format_map(told)
            found.append(Finding(rule.id, rule.place, says, fix))
    order = list(Place)
    return tuple(sorted(found, key=lambda one: order.index(one.place)))


def facts(seen: Observations) -> dict[str, str]:
    """What the sentences may name. No key is in a text that is shortened here, and nothing in a
    URL or a name that a shell would obey: people copy these lines.
    """
    told = _texts(seen)
    redactor = Redactor([seen.key])
    for name in _URLS:
        told[name] = shell_safe_url(told[name])
    for name in _NAMES:
        told[name] = plain_name(shortened(redactor.clean(told[name]), _NAME_CHARS))
    for name in ("message", "there"):
        told[name] = shortened(redactor.clean(told[name]))
    return told


_URLS = ("given", "clean", "host", "origin", "good_base", "other_base", "port_base", "moved_base",
         "moved_host", "moved_origin")  # fmt: skip
_NAMES = ("server", "content_type", "which_request", "retry_after")


def _texts(seen: Observations) -> dict[str, str]:
    base, asked = seen.base or NOWHERE, seen.asked
    headers = asked.headers if asked else {}
    reading = seen.reading
    return {
        "variable": base.client.variable,
        "problem": base.problem,
        "given": base.shown,
        "clean": base.clean,
        "host": base.host,
        "port": str(base.port),
        "scheme": base.scheme,
        "origin": base.origin(),
        "suffix": base.client.suffix,
        "good_base": good_base(seen),
        "other_base": _base_elsewhere(seen, "scheme"),
        "port_base": _base_elsewhere(seen, "port"),
        "moved_base": moved_base(seen),
        "moved_host": urlsplit(moved_to(seen)).hostname or "another host",
        "moved_origin": _origin_of(moved_to(seen)),
        "status": str(seen.status),
        "reason": (asked.failure_text if asked else "").rpartition(": ")[2],
        "failure": asked.failure_text if asked else "",
        "message": reading.message or "nothing",
        "server": headers.get("server", "") or "an unnamed server",
        "content_type": (asked.content_type if asked else "") or "none",
        "there": _in_words(next(reversed(seen.of("there")), None)),
        "which_request": f"request {headers['request-id']}"
        if headers.get("request-id")
        else "this request (by its time)",
        "retry_after": headers.get("retry-after", "") or "some",
        "key": seen.key.shown,
        "which_key": f"this key ({seen.key.shown})" if seen.key.is_there else "the key that it got",
        "kind": KINDS.get(seen.key.kind, "of a kind that Auxot does not make"),
        "key_chars": str(len(seen.key.clean)),
        "good_form": _good_form(seen),
        "version": seen.sent_headers.get("anthropic-version", "none"),
        "model": shlex.quote(shortened(seen.model, _NAME_CHARS)) if seen.model else "the model",
        "models": _models(seen),
        "proxies": ", ".join(f"{name}={value}" for name, value in seen.proxies.items()),
        "stream": _stream_in_words(seen.first("stream")),
    }


def good_base(seen: Observations) -> str:
    """The base URL that works, or, where nothing was tried, the one that should."""
    base = seen.base or NOWHERE
    root = seen.good_root
    if root is None:
        root = likely_root(base)
    return base.origin() + base.client.base_of(root)


def _base_elsewhere(seen: Observations, purpose: str) -> str:
    """The base at the other scheme or port where somebody answered."""
    base = seen.base or NOWHERE
    answered = [one for one in seen.of(purpose) if one.status is not None]
    found = next((one for one in answered if one.speaks_messages), next(iter(answered), None))
    if found is None:
        origin = base.origin("http" if base.scheme == "https" else "https")
        return origin + base.path.rstrip("/")
    path = urlsplit(found.url).path
    if not found.speaks_messages or base.client.suffix not in path:
        return _origin_of(found.url) + base.client.base_of(likely_root(base))
    if purpose == "port":
        return _origin_of(found.url) + base.client.base_of(ROOT)
    return _origin_of(found.url) + path.removesuffix(base.client.suffix)


def moved_to(seen: Observations) -> str:
    """Where the client's request was redirected to, as a whole URL; empty: nowhere."""
    asked = seen.asked
    if asked is None or asked.reading.kind is not Kind.REDIRECT:
        return ""
    try:
        target = urljoin(asked.url, printable(asked.headers["location"]))
        return target if urlsplit(target).hostname else ""
    except ValueError:  # brackets
        return ""


def moved_base(seen: Observations) -> str:
    """The base URL that asks there at once."""
    base, target = seen.base or NOWHERE, moved_to(seen)
    path = urlsplit(target).path.rstrip("/")
    if path.endswith(base.client.suffix):
        return _origin_of(target) + path.removesuffix(base.client.suffix)
    root = likely_root(base) if seen.good_root is None else seen.good_root
    return _origin_of(target) + base.client.base_of(root)


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _good_form(seen: Observations) -> str:
    worked = key_that_worked(seen)
    form = worked.sent if worked else "x-api-key"
    return _FORMS.get(form, form)


def _in_words(answer: Attempt | None) -> str:
    return f"{answer.status}: {answer.reading.message}" if answer else "nothing"


def key_that_worked(seen: Observations) -> Attempt | None:
    """The attempt that was let in with the key in another way."""
    no_word = {None, 404, 405, 429, 501}  # of these none says that the key was looked at
    return next(
        (one for one in seen.of("key") if one.status not in no_word and not one.refuses_key), None
    )


def _models(seen: Observations) -> str:
    listed = seen.first("models")
    ids = model_ids(listed.reading) if listed else ()
    more = ", \u2026" if len(ids) > _SHOWN_MODELS else ""
    names = [shlex.quote(shortened(name, _NAME_CHARS)) for name in ids[:_SHOWN_MODELS]]
    return ", ".join(names) + more or "ask its operator"


def _stream_in_words(stream: Attempt | None) -> str:
    if stream is None or not stream.pieces:
        return "nothing"
    size = sum(count for _, count in stream.pieces)
    first, last = stream.pieces[0][0], stream.pieces[-1][0]
    return f"{size} bytes, the first after {first:.2f} s, the last after {last:.2f} s"
