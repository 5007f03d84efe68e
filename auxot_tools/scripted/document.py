"""A YAML document that a person wrote, as JSON values that know their lines.

One job: text to values, with every mistake told at its line. It takes what JSON can say: no tags,
anchors, aliases or second document, and a key comes once. What is bare is read as YAML 1.2 reads
it (`yes` and `12:30` are texts), and a line ends where it does there and in editors: at LF, CR LF
and CR. JSON is read too. It must not know what a document is for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_DEPTH = 64  # a tool's input is rarely deeper than 10
MAX_NODES = 200_000  # a hundred turns are some thousands
_MAX_DIGITS = 300  # of a number: more than any machine counts with
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_BARE: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# JSON writes what is beyond 16 bits as two escapes, and may be indented by tabs; YAML has neither.
_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
_TABS = re.compile(r"^[\t ]+", re.MULTILINE)
_LINE_END = re.compile(r"\r\n?|\n")
# The parser, which reads YAML 1.1, ends a line at these too. It gets others in their place, one for
# one: characters for private use, of which a text hardly has any.
_NO_LINE_ENDS = "\x85\u2028\u2029"
_PRIVATE_USE = range(0xE000, 0xF900)

# A word of the parser's complaint -> ours. Where something stays open, it is told where it begins.
_UNCLOSED = "a quote, bracket or brace that begins here is not closed"
_TAB = "a tab is used to indent; YAML takes only spaces"
_COMPLAINTS: Mapping[str, str] = {
    "end of stream": _UNCLOSED,
    "stream end": _UNCLOSED,
    "tab": _TAB,
    "mapping values": "a colon stands where no key can be; put the text in quotes",
    "node content": "a value is missing here, or a bracket above is not closed",
    "expected ':'": "there is a key without its colon",
    "expected ','": "a comma or a closing bracket is missing",
    "expected key": "this is indented otherwise than what it belongs to",
    "block end": "this is indented otherwise than what it belongs to",
    "'-' indicator": "this is indented otherwise than what it belongs to",
    "nesting depth": f"the document has more than {MAX_DEPTH} levels",
    "start any token": "a text that begins with this character must be in quotes",
    "escape": "there is an escape in this text that YAML does not have",
}
_OTHER_COMPLAINT = "this is not YAML; look at the indentation, quotes and brackets here and above"

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, and in which line (the first is 1)."""

    line: int
    text: str


class DocumentError(Exception):
    """The text is no document; ``mistakes`` says why, in the order of the lines. ``root`` is what
    was read all the same, with ``None`` for what was not taken; without it, nothing was.
    """

    def __init__(self, mistakes: Sequence[Mistake], root: "Node | None" = None) -> None:
        super().__init__(f"{len(mistakes)} mistakes")
        self.mistakes = tuple(mistakes)
        self.root = root


@dataclass(slots=True)
class Node:
    """A value with everything under it, and the line where it begins."""

    value: Any
    line: int
    items: dict[str | int, "Node"] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)

    def at(self, place: Place) -> tuple[Place, int]:
        """As far as ``place`` leads into the document: the part of it that is there, its line.

        What has no counterpart is passed over, so that a place may say more than the document does.
        """
        node, line, found = self, self.line, list[str | int]()
        for part in place:
            if part in node.items:
                line = node.key_lines.get(str(part), node.items[part].line)
                node = node.items[part]
                found.append(part)
        return tuple(found), line


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read; ``key`` waits for its value."""

    node: Node
    key: str | None = None
    key_line: int = 0


def read_document(text: str) -> Node:
    """The document's root. Raises `DocumentError`."""
    mistakes: list[Mistake] = []
    root: Node | None = None
    given = _as_yaml(text)
    stand_ins = _stand_ins(given)
    given = given.translate(stand_ins)
    try:
        root = _tree(_events(given, stand_ins), mistakes)
    except yaml.MarkedYAMLError as error:
        mistakes.append(_complaint(error, _LINE_END.split(given)))
    except yaml.reader.ReaderError as error:
        line = len(_LINE_END.findall(_before(given, error.position))) + 1
        mistakes.append(Mistake(line, "there is a character that YAML does not allow"))
    if root is None or mistakes:
        raise DocumentError(mistakes or [Mistake(1, "there is nothing in it")], root)
    return root


def _stand_ins(text: str) -> dict[int, int]:
    """What the parser gets in place of what is no line end: nothing that the text has, or writes
    as an escape.
    """
    found = [ord(char) for char in _NO_LINE_ENDS if char in text]
    if not found:
        return {}
    lowered = text.lower()
    unused = (
        code for code in _PRIVATE_USE if chr(code) not in text and f"{code:04x}" not in lowered
    )
    return dict(zip(found, unused, strict=False))


def _events(text: str, stand_ins: Mapping[int, int]) -> Iterator[Any]:
    """The parser's events, with the characters that the text has."""
    back = {other: code for code, other in stand_ins.items()}
    for event in yaml.parse(text, _LOADER):
        if back and isinstance(event, yaml.ScalarEvent):
            event.value = event.value.translate(back)
        yield event


def _before(text: str, position: int) -> str:
    """The text before a position, which libyaml counts in bytes, its twin in Python does not."""
    if not yaml.__with_libyaml__:
        return text[:position]
    return text.encode()[:position].decode(errors="ignore")


def _complaint(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> Mistake:
    problem = error.problem or ""
    text = next((ours for word, ours in _COMPLAINTS.items() if word in problem), _OTHER_COMPLAINT)
    marks = (error.problem_mark, error.context_mark)
    first, second = reversed(marks) if text is _UNCLOSED else marks
    mark = first or second
    number = min(mark.line, len(lines) - 1) if mark else 0
    if lines[number].lstrip(" ").startswith("\t"):
        text = _TAB
    return Mistake(number + 1, text)


def _as_yaml(text: str) -> str:
    """The text, with what only JSON has written as YAML has it. Lines stay where they are."""
    if not text.lstrip().startswith("{"):
        return text
    spaced = _TABS.sub(lambda found: found[0].replace("\t", " "), text)
    return _PAIR.sub(_one_escape, spaced)


def _one_escape(found: re.Match[str]) -> str:
    high, low = int(found[2], 16), int(found[3], 16)
    return f"{found[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _tree(events: Iterator[Any], mistakes: list[Mistake]) -> Node | None:
    """The root. What is not taken becomes a mistake and ``None``; reading goes on behind it."""
    root: Node | None = None
    stack: list[_Open] = []
    count = documents = 0
    for event in events:
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    mistakes.append(Mistake(line, "a second document begins; one is allowed"))
                    return root
                continue
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                stack.pop()
                continue
            case yaml.ScalarEvent() | yaml.AliasEvent() | yaml.CollectionStartEvent():
                count += 1
            case _:
                continue
        if count > MAX_NODES or len(stack) > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if count > MAX_NODES else f"{MAX_DEPTH} levels"
            mistakes.append(Mistake(line, f"the document has more than {limit}"))
            return None
        node = _node(event, line, mistakes)
        if stack:
            _put(stack[-1], node, event, mistakes)
        else:
            root = node
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(node))
    return root


def _node(event: Any, line: int, mistakes: list[Mistake]) -> Node:
    if isinstance(event, yaml.AliasEvent):
        mistakes.append(Mistake(line, f"*{event.anchor}: aliases are not allowed; write it out"))
        return Node(None, line)
    if event.anchor is not None:
        mistakes.append(Mistake(line, f"&{event.anchor}: anchors are not allowed"))
    if event.tag is not None:
        mistakes.append(Mistake(line, f"{_short_tag(event.tag)}: tags are not allowed"))
    if isinstance(event, yaml.MappingStartEvent):
        return Node({}, line)
    if isinstance(event, yaml.SequenceStartEvent):
        return Node([], line)
    return Node(_scalar(event, line, mistakes), line)


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")[:100]


def _scalar(event: Any, line: int, mistakes: list[Mistake]) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # it is in quotes, or a block of text
        return text
    if text in _BARE:
        return _BARE[text]
    if not _NUMBER.fullmatch(text):
        return text
    if len(text) > _MAX_DIGITS:
        mistakes.append(Mistake(line, f"a number has more than {_MAX_DIGITS} characters"))
        return 0
    number = int(text) if _WHOLE.fullmatch(text) else float(text)
    if number in (float("inf"), float("-inf")):
        mistakes.append(Mistake(line, f"{text} is larger than any number"))
    return number


def _put(within: _Open, node: Node, event: Any, mistakes: list[Mistake]) -> None:
    """The node into the mapping or list that is open; in a mapping every other one is a key."""
    parent = within.node
    if isinstance(parent.value, list):
        parent.items[len(parent.value)] = node
        parent.value.append(node.value)
        return
    if within.key is None:
        is_text = isinstance(event, yaml.ScalarEvent)
        within.key, within.key_line = event.value if is_text else "", node.line
        if not is_text:
            mistakes.append(Mistake(node.line, "a key must be a text"))
        elif within.key == "<<" and event.implicit[0]:
            mistakes.append(Mistake(node.line, "<<: merging is not allowed; write it out"))
        elif within.key in parent.value:
            first = parent.key_lines[within.key]
            told = f"the key `{within.key[:40]}` is there already, in line {first}"
            mistakes.append(Mistake(node.line, told))
        return
    parent.value[within.key] = node.value
    parent.items[within.key] = node
    parent.key_lines.setdefault(within.key, within.key_line)
    within.key = None
