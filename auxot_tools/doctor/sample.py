"""A sample input for a JSON Schema: small, and such that a person sees what goes where.

One job: from a schema to one value. It covers what tools' schemas commonly have; whether the
value fits is for `worker.validation` to say. Never raises.
"""

from typing import Any

from auxot_tools.types import JSON

_DEEP = 12  # levels; a schema may refer to itself
# name of a property -> a value that shows what it is for
_WORDS = {
    "code": "print(6 * 7)",
    "command": "echo hello",
    "url": "https://example.com/",
    "query": "weather in Paris",
    "path": "notes.txt",
    "city": "Paris",
    "location": "Paris",
    "language": "python",
}
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "hostname": "example.com",
}


def sample_of(schema: Any) -> Any:
    """One value for the schema."""
    return _value(schema, schema if isinstance(schema, dict) else {}, "", 0)


def _value(schema: Any, root: JSON, name: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEP:
        return _WORDS.get(name, name or "text")
    schema = _resolved(schema, root)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    for word in ("enum", "examples"):
        if isinstance(schema.get(word), list) and schema[word]:
            return schema[word][0]
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and schema[word] and "type" not in schema:
            return _value(schema[word][0], root, name, depth + 1)
    return _MAKERS.get(_type_of(schema), _text)(schema, root, name, depth)


def _resolved(schema: JSON, root: JSON) -> JSON:
    """With a local reference, and the parts of `allOf`, put in."""
    merged = dict(schema)
    parts = [_target(schema.get("$ref"), root), *_list(schema.get("allOf"))]
    for part in (one for one in parts if isinstance(one, dict)):
        given = _dict(merged.get("properties")) | _dict(part.get("properties"))
        needed = [*_list(merged.get("required")), *_list(part.get("required"))]
        merged = part | merged
        if given:
            merged |= {"properties": given, "required": list(dict.fromkeys(needed))}
    return merged


def _target(reference: Any, root: JSON) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    found: Any = root
    for step in reference[2:].split("/"):
        found = found.get(step.replace("~1", "/")) if isinstance(found, dict) else None
    return found


def _type_of(schema: JSON) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "string"


def _object(schema: JSON, root: JSON, _name: str, depth: int) -> JSON:
    known = _dict(schema.get("properties"))
    needed = _list(schema.get("required"))
    if not needed and depth == 0:  # an empty input shows nothing
        needed = list(known)[:1]
    return {one: _value(known.get(one), root, one, depth + 1) for one in needed}


def _array(schema: JSON, root: JSON, name: str, depth: int) -> list[Any]:
    least = schema.get("minItems")
    count = least if isinstance(least, int) and 0 < least <= _DEEP else 1
    prefix = _list(schema.get("prefixItems"))
    items = [_value(one, root, name, depth + 1) for one in prefix[:count]]
    return items + [_value(schema.get("items"), root, name, depth + 1)] * (count - len(items))


def _number(schema: JSON, _root: JSON, _name: str, _depth: int) -> Any:
    step = schema.get("multipleOf", 1)
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(least, int | float):
        return least
    if isinstance(above, int | float):
        return above + step
    if isinstance(most, int | float) and most < 1:
        return most
    if isinstance(below, int | float) and below <= 1:
        return below - step
    return step


def _text(schema: JSON, _root: JSON, name: str, _depth: int) -> str:
    text = _FORMATS.get(str(schema.get("format")), _WORDS.get(name, name or "text"))
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least <= 10_000:
        text = text.ljust(least, "x")
    return text[:most] if isinstance(most, int) and most > 0 else text


def _true(_schema: JSON, _root: JSON, _name: str, _depth: int) -> bool:
    return True


def _null(_schema: JSON, _root: JSON, _name: str, _depth: int) -> None:
    return None


_MAKERS = {
    "object": _object,
    "array": _array,
    "integer": _number,
    "number": _number,
    "string": _text,
    "boolean": _true,
    "null": _null,
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}
