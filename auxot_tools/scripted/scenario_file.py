"""Scenarios that people wrote: loading one, and telling every mistake with its place or line.

One job: from a path to a `Scenario` or to sentences, `file:line: place what is wrong; allowed: …`.
What is allowed is read off the models' own JSON Schema. It must not know what is played.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from auxot_tools.errors import ConfigError
from auxot_tools.scripted.conditions import TOLD
from auxot_tools.scripted.document import DocumentError, Node, Place, read_document
from auxot_tools.scripted.oddities import oddities
from auxot_tools.scripted.scenario import JSON, Scenario, dotted, shown

FILE_LIMIT_BYTES = 16 * 2**20  # a scenario with an image or two; more is the wrong file
_Line = tuple[int, str]  # of a document, and what is wrong in it
MISTAKES_TOLD = 20  # of one file: a wrong file has thousands
_LINE_END = re.compile(rb"\r\n?|\n")

# JSON Schema's type -> the word for it
_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}


def scenario_schema() -> JSON:
    """The JSON Schema of a scenario file."""
    schema = Scenario.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def load_scenario(path: Path) -> Scenario:
    """The scenario in a YAML or JSON file; its parts know their lines. Blocking.

    Raises ``ConfigError`` with at most 20 mistakes, each with its line, and how many more there
    are.
    """
    text = _text_of(path)
    lines: list[_Line] = []
    try:
        root = read_document(text)
    except DocumentError as error:
        lines = [(one.line, f"{path}:{one.line}: {one.text}.") for one in error.mistakes]
        if error.root is None:
            raise ConfigError(_bounded(path, lines)) from None
        root = error.root
    if not isinstance(root.value, dict):
        lines.append((root.line, f"{path}:{root.line}: a scenario is a mapping that has `turns`."))
        raise ConfigError(_bounded(path, lines))
    scenario, more = _read(root.value, (path, root))
    has_told = {line for line, _ in lines}  # what could not be read is no second mistake
    lines += [one for one in more if one[0] not in has_told]
    if scenario is None or lines:
        raise ConfigError(_bounded(path, lines))

    def where(place: tuple[str | int, ...]) -> str:
        found, line = root.at(place)
        return f"{path}:{line}: {dotted(found)}" if found else f"{path}"

    return scenario.located(where)


def scenario_of(value: JSON) -> Scenario:
    """The scenario that a program made. Raises ``ConfigError`` as for a file, without lines."""
    scenario, lines = _read(value)
    if scenario is None or lines:
        raise ConfigError(_bounded("the scenario", lines))
    return scenario


def _read(
    value: JSON, document: tuple[Path, Node] | None = None
) -> tuple[Scenario | None, list[_Line]]:
    """The scenario, if it is one, and its mistakes."""
    try:
        scenario = Scenario.model_validate(value)
    except ValidationError as error:
        return None, list(_told(error.errors(include_url=False), document))
    return scenario, [_line(place, told, document) for place, told in oddities(scenario)]


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError([f"The scenario {path} cannot be read: {reason}."]) from None
    if len(data) > FILE_LIMIT_BYTES:
        raise ConfigError([f"The scenario {path} is larger than {FILE_LIMIT_BYTES} bytes."])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(data, 0, error.start)) + 1
        raise ConfigError([f"{path}:{line}: this is not UTF-8 text."]) from None


def _bounded(what: Path | str, lines: Sequence[_Line]) -> list[str]:
    """In the order of the lines, not too many."""
    told = [text for _, text in sorted(lines, key=lambda one: one[0])]
    more = len(told) - MISTAKES_TOLD
    return [*told[:MISTAKES_TOLD], f"{what}: {more} more mistakes."] if more > 0 else told


def _told(details: Sequence[ErrorDetails], document: tuple[Path, Node] | None) -> Iterator[_Line]:
    """A sentence for each mistake, with its line in the document it is in."""
    schema = Scenario.model_json_schema(mode="validation")
    misspelled = {
        (*_without_tags(detail["loc"])[:-1], near)
        for detail in details
        if (near := _nearest(detail, _schema_at(schema, _without_tags(detail["loc"])[:-1])))
    }
    for detail in details:
        place = _without_tags(detail["loc"])
        if detail["type"] == "missing" and place in misspelled:
            continue  # told as what it was written like
        text = _sentence(detail, _schema_at(schema, place), _schema_at(schema, place[:-1]))
        yield _line(place, text, document, is_missing=detail["type"] == "missing")


def _line(
    place: Place,
    text: str,
    document: tuple[Path, Node] | None,
    *,
    is_missing: bool = False,
) -> _Line:
    found, line = document[1].at(place) if document is not None else (place, 0)
    missing = place[len(found) :] if is_missing else ()
    named = dotted((*found, *missing[-1:])) or "the scenario"
    where = f"{document[0]}:{line}: " if document is not None else ""
    return line, f"{where}{named} {text}."


def _without_tags(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The place without pydantic's word for the kind of a block, which comes after its index."""
    parts = list(location)
    for index in range(len(parts) - 1, 1, -1):
        if parts[index - 2] == "blocks" and isinstance(parts[index - 1], int):
            del parts[index]
    return tuple(parts)


def _sentence(detail: ErrorDetails, schemas: list[JSON], parents: list[JSON]) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == TOLD:
        return detail["msg"]
    if kind == "missing":
        return f"is missing; it is {_allowed(schemas)}"
    if kind == "extra_forbidden":
        near = _nearest(detail, parents)
        hint = f"did you mean `{near}`? " if near else ""
        return f"is not a known field; {hint}allowed: {', '.join(_names(parents))}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [tag for schema in schemas for tag in _tags(schema)]
        given = value.get("type") if isinstance(value, dict) else None
        what = f"has the type {_value(given)}" if given is not None else "has no `type`"
        return f"{what}; allowed: {', '.join(tags)}"
    hint = "; put it in quotes" if kind == "string_type" and _is_bare(value) else ""
    return f"is {_value(value)}; allowed: {_allowed(schemas)}{hint}"


def _names(parents: Sequence[JSON]) -> list[str]:
    return [name for parent in parents for name in parent.get("properties") or ()]


def _nearest(detail: ErrorDetails, parents: Sequence[JSON]) -> str:
    """The field that an unknown one was probably meant to be; empty for other mistakes."""
    if detail["type"] != "extra_forbidden":
        return ""
    near = get_close_matches(shown(str(detail["loc"][-1])), _names(parents), n=1)
    return near[0] if near else ""


def _tags(schema: JSON) -> Sequence[str]:
    """The kinds that a block may be of."""
    return tuple(schema.get("discriminator", {}).get("mapping", ()))


def _is_bare(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _value(value: Any) -> str:
    """A wrong value as its writer knows it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"`{shown(str(value))}`"


def _schema_at(root: JSON, place: tuple[str | int, ...]) -> list[JSON]:
    """The alternatives that the schema has for this place; none for one it does not know."""
    found = _alternatives(root, root)
    for part in place:
        below: list[JSON] = []
        for schema in found:
            if isinstance(part, int):
                below += [schema["items"]] if "items" in schema else []
            elif part in schema.get("properties", {}):
                below.append(schema["properties"][part])
        found = [one for schema in below for one in _alternatives(root, schema)]
    return found


def _alternatives(root: JSON, schema: JSON) -> list[JSON]:
    """The schema with its references followed, as alternatives that hold none."""
    if "$ref" in schema:
        return _alternatives(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    choices: Sequence[JSON] = schema.get("anyOf") or schema.get("oneOf") or ()
    if "discriminator" in schema:  # of blocks: what may be said of all of them, then each
        inner = [one for choice in choices for one in _alternatives(root, choice)]
        return [{"discriminator": schema["discriminator"]}, *inner]
    if choices:
        return [one for choice in choices for one in _alternatives(root, choice)]
    return [schema]


def _allowed(schemas: Sequence[JSON]) -> str:
    return " or ".join(dict.fromkeys(_words(schema) for schema in schemas)) or "another value"


def _words(schema: JSON) -> str:
    """What a schema allows, in words."""
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    bounds = [
        f"{word} {schema[name]:g}"
        for name, word in (("minimum", "at least"), ("maximum", "at most"))
        if name in schema
    ]
    kind = _TYPES.get(schema.get("type", ""), "a block")
    return f"{kind}, {' and '.join(bounds)}" if bounds else kind
