"""Finds words in a JSON Schema that no dialect knows.

One job: that search. The standard lets unknown words be, as annotations; where a person wrote the
schema to forbid something, an unknown word is a misspelled one. Pure.
"""

from collections.abc import Iterator
from typing import Any

from auxot_tools.types import JSON
from auxot_tools.worker.violations import nearest

_ONE = ("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
        "additionalItems")  # fmt: skip
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_PLAIN = ("$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema",
          "$vocabulary", "const", "contentEncoding", "contentMediaType", "default", "dependencies",
          "dependentRequired", "deprecated", "description", "enum", "examples", "exclusiveMaximum",
          "exclusiveMinimum", "format", "maxContains", "maxItems", "maxLength", "maxProperties",
          "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum",
          "multipleOf", "pattern", "readOnly", "required", "title", "type", "uniqueItems",
          "writeOnly")  # fmt: skip
_KNOWN = (*_ONE, *_MANY, *_NAMED, *_PLAIN)
MAX_DEPTH = 64  # as a tool's own schema may have


def unknown_words(schema: JSON) -> list[str]:
    """A sentence for each unknown word, with its place."""
    return list(_unknown(schema, "", 0))


def _unknown(schema: Any, place: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return
    for word, value in schema.items():
        here = f"{place}/{word}"
        if word not in _KNOWN:
            close = nearest(word, list(_KNOWN))
            hint = f"; did you mean `{close}`?" if close else ""
            yield f"{here} is no word of JSON Schema{hint}"
        elif word in _NAMED and isinstance(value, dict):
            for name, one in value.items():
                yield from _unknown(one, f"{here}/{name}", depth + 1)
        elif word in _MANY and isinstance(value, list):
            for number, one in enumerate(value):
                yield from _unknown(one, f"{here}/{number}", depth + 1)
        elif word in _ONE:
            yield from _unknown(value, here, depth + 1)
