"""Says in plain English what does not fit: one bounded sentence for each violation.

One job: wording. It takes neutral findings (keyword, place, what the schema says, what came) and
gives violations with a JSON Pointer and the nearest valid name. It must not know the JSON Schema
libraries, tools or calls: ``validation.py`` translates for it.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MAX_LISTED = 20  # a model corrects a handful at a time; more would fill its context
MAX_SHOWN_CHARS = 80  # of any one value or name out of the input
MAX_NAMES = 12  # listed of an enum or of the known fields
MAX_POINTER_CHARS = 200  # a pointer is made of names that the caller chose
MAX_COMPARED = 200  # names compared to find the nearest; each comparison is quadratic
MAX_MESSAGE_CHARS = 1000  # a last ceiling, whatever the schema or the input holds

PathPart = str | int


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that does not fit.

    ``pointer`` is a JSON Pointer (RFC 6901, shortened beyond 200 characters), empty for the whole
    document. ``message`` is at most 1000 characters.
    """

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a validator found: ``keyword`` failed at ``path``; it says ``limit``, ``value`` came.

    ``names`` are the offending field names, ``known`` the valid ones. ``branches`` holds what each
    alternative of an ``anyOf`` or ``oneOf`` found.
    """

    keyword: str
    path: tuple[PathPart, ...]
    limit: object = None
    value: object = None
    names: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    branches: tuple[tuple["Finding", ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Violations:
    """The first violations, at most ``MAX_LISTED``, and how many more there are.

    ``exact`` is False when the rest was not counted, because the input is large.
    """

    listed: tuple[Violation, ...]
    more: int = 0
    exact: bool = True

    def render(self, subject: str = "The input does not fit the tool's input_schema") -> str:
        """The text for the model: what is wrong, where, and what to do. At most 25 KB."""
        total = len(self.listed) + self.more
        count = "1 problem" if total == 1 else f"{total} problems"
        at_least = "" if self.exact else "at least "
        lines = [f"{subject}: {at_least}{count}; nothing was run."]
        lines += [f"- {one.pointer or '(top level)'}: {one.message}" for one in self.listed]
        if self.more:
            lines.append(f"- and {self.more} more.")
        if not self.exact:
            lines.append("- the input is too large to list every problem; there may be more.")
        lines.append("Correct this and call the tool again.")
        return "\n".join(lines)


def pointer(path: Iterable[PathPart]) -> str:
    """The JSON Pointer of ``path``."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return _shorten(_plain("".join(f"/{part}" for part in parts)), MAX_POINTER_CHARS)


def show(value: object) -> str:
    """``value`` as a person writes it, shortened; containers only by kind and size."""
    if isinstance(value, str):
        return json.dumps(_shorten(value, MAX_SHOWN_CHARS), ensure_ascii=False)
    if isinstance(value, dict):
        return f"an object with {_count(len(value), 'field')}"
    if isinstance(value, list):
        return f"an array with {_count(len(value), 'item')}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _shorten(str(value), MAX_SHOWN_CHARS)


def kind_of(value: object) -> str:
    """The JSON type of ``value`` with its article, for "got …"."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "null"


def nearest(name: str, known: Sequence[str]) -> str:
    """The entry of ``known`` that ``name`` was probably meant to be, or an empty string."""
    if len(name) > MAX_SHOWN_CHARS:
        return ""
    candidates = [one for one in known if len(one) <= MAX_SHOWN_CHARS][:MAX_COMPARED]
    folded = {one.casefold(): one for one in candidates}
    if name.casefold() in folded:
        return folded[name.casefold()]
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return close[0] if close else ""


def describe(finding: Finding) -> list[Violation]:
    """The violations of one finding: one for each unknown field, otherwise one."""
    if finding.names:
        wanted = finding.names[:MAX_LISTED]
        return [_unknown_field(finding, name) for name in wanted]
    wording = _WORDING.get(finding.keyword, _other)
    message = wording(finding)
    if suggestion := _nearest_enum(finding):
        message += f"; did you mean {show(suggestion)}?"
    return [Violation(pointer(finding.path), _shorten(message, MAX_MESSAGE_CHARS))]


def _unknown_field(finding: Finding, name: str) -> Violation:
    close = nearest(name, finding.known)
    message = f"unknown field `{_name(name)}`"
    if close:
        message += f"; did you mean `{close}`?"
    elif finding.known:
        message += f"; known fields: {_names(finding.known)}"
    else:
        message += "; no fields are taken here"
    place = (*finding.path, name)
    return Violation(pointer(place), _shorten(message, MAX_MESSAGE_CHARS))


def _nearest_enum(finding: Finding) -> str:
    if finding.keyword not in {"enum", "const"} or not isinstance(finding.value, str):
        return ""
    options = finding.limit if isinstance(finding.limit, list) else [finding.limit]
    return nearest(finding.value, [one for one in options if isinstance(one, str)])


def _type(finding: Finding) -> str:
    wanted = finding.limit if isinstance(finding.limit, list) else [finding.limit]
    got = kind_of(finding.value)
    if not isinstance(finding.value, dict | list | None):
        got += f" {show(finding.value)}"
    return f"expected {_either([str(one) for one in wanted])}; got {got}"


def _enum(finding: Finding) -> str:
    options = finding.limit if isinstance(finding.limit, list) else [finding.limit]
    shown = [show(one) for one in options[:MAX_NAMES]]
    more = f" (and {len(options) - MAX_NAMES} more)" if len(options) > MAX_NAMES else ""
    return f"expected one of {', '.join(shown)}{more}; got {show(finding.value)}"


def _required(finding: Finding) -> str:
    return f"missing required field `{_name(str(finding.limit))}`"


def _alternatives(finding: Finding) -> str:
    if not finding.branches:
        return "fits none of the allowed forms"
    if finding.keyword == "oneOf" and any(not branch for branch in finding.branches):
        return "fits more than one of the forms of which exactly one is allowed"
    reasons = []
    for number, branch in enumerate(finding.branches[:MAX_NAMES], start=1):
        texts = [_within(one, len(finding.path)) for found in branch[:3] for one in describe(found)]
        reasons.append(f"form {number}: {', '.join(texts[:3])}")
    return f"fits none of the {len(finding.branches)} allowed forms ({'; '.join(reasons)})"


def _within(violation: Violation, depth: int) -> str:
    """A violation inside an alternative, told without the part of the pointer that is known."""
    inner = "".join(f"/{part}" for part in violation.pointer.split("/")[depth + 1 :])
    return f"{inner} {violation.message}".strip()


def _limit(sentence: str, got: Callable[[object], str]) -> Callable[[Finding], str]:
    def wording(finding: Finding) -> str:
        limit = show(finding.limit)
        expected = sentence.format(limit=limit, s="" if limit == "1" else "s")
        return f"expected {expected}; got {got(finding.value)}"

    return wording


def _fixed(sentence: str) -> Callable[[Finding], str]:
    return lambda _finding: sentence


def _size(value: object) -> str:
    return str(len(value)) if isinstance(value, str | list | dict) else show(value)


def _other(finding: Finding) -> str:
    return f"does not satisfy `{_name(finding.keyword)}`; got {show(finding.value)}"


def _pattern(finding: Finding) -> str:
    return f"expected text matching the pattern {show(finding.limit)}; got {show(finding.value)}"


def _format(finding: Finding) -> str:
    return f"expected text in the format `{_name(str(finding.limit))}`; got {show(finding.value)}"


def _property_name(finding: Finding) -> str:
    return f"the field name {show(finding.value)} is not allowed here"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _either(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{_name(one)}`" for one in names[:MAX_NAMES])
    return shown if len(names) <= MAX_NAMES else f"{shown} and {len(names) - MAX_NAMES} more"


def _name(name: str) -> str:
    return _plain(_shorten(name, MAX_SHOWN_CHARS))


def _plain(text: str) -> str:
    """Control characters escaped as JSON escapes them, so that a name cannot forge a line."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (dict, "an object"),
    (list, "an array"),
    (str, "a string"),
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
)

# JSON Schema keyword -> how its failure is said.
_WORDING: dict[str, Callable[[Finding], str]] = {
    "type": _type,
    "enum": _enum,
    "const": _enum,
    "required": _required,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "pattern": _pattern,
    "format": _format,
    "propertyNames": _property_name,
    "minimum": _limit("at least {limit}", show),
    "maximum": _limit("at most {limit}", show),
    "exclusiveMinimum": _limit("more than {limit}", show),
    "exclusiveMaximum": _limit("less than {limit}", show),
    "multipleOf": _limit("a multiple of {limit}", show),
    "minLength": _limit("at least {limit} character{s}", _size),
    "maxLength": _limit("at most {limit} character{s}", _size),
    "minItems": _limit("at least {limit} item{s}", _size),
    "maxItems": _limit("at most {limit} item{s}", _size),
    "additionalItems": _limit("at most {limit} item{s}", _size),
    "minProperties": _limit("at least {limit} field{s}", _size),
    "maxProperties": _limit("at most {limit} field{s}", _size),
    "uniqueItems": _fixed("the items must differ from one another"),
    "contains": _fixed("too few or too many items of the required form"),
    "unevaluatedItems": _fixed("has more items than are allowed here"),
    "falseSchema": _fixed("nothing is allowed here; leave it out"),
    "not": _fixed("has a form that is not allowed here"),
}
