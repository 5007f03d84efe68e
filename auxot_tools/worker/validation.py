"""Judges inputs by JSON Schema: compile a schema once, then name every violation of a value.

One job, and the only home of the two JSON Schema libraries. ``jsonschema_rs`` judges every call,
with its linear pattern engine and with fetching switched off; ``jsonschema`` judges a schema
against its metaschema, once, at registration. Must not know tools, files, calls or clocks.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jsonschema
import jsonschema_rs
import referencing.jsonschema
from jsonschema_specifications import (  # type: ignore[import-untyped]
    REGISTRY as METASCHEMAS,
)
from referencing import Specification

from auxot_tools.errors import ConfigError
from auxot_tools.types import JSON
from auxot_tools.worker.input_json import parse_input
from auxot_tools.worker.schema_cost import reference_fault, size_fault
from auxot_tools.worker.violations import (
    MAX_LISTED,
    Finding,
    PathPart,
    Violation,
    Violations,
    describe,
)

DEFAULT_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# The library makes all errors of a value before it gives the first (measured: 3.7 KB and 12 us
# each), and each holds a copy of the part it is about. Beyond these only the first is asked for.
_MAX_LISTED_VALUES = 10_000
_MAX_COPIED_BYTES = 32 * 2**20
# Compiled size of one pattern: what `^.{1,1000}$` needs, far from what stalls a start.
_PATTERN_BYTES = 2**20
_PATTERN_DFA_BYTES = 2 * 2**20


class _Dialect(NamedTuple):
    checks: Any  # jsonschema's validator class, for its metaschema
    compiles: Any  # jsonschema_rs's validator class
    refers: Specification[Any]


_DIALECTS: dict[str, _Dialect] = {
    DEFAULT_DIALECT: _Dialect(
        jsonschema.Draft202012Validator,
        jsonschema_rs.Draft202012Validator,
        referencing.jsonschema.DRAFT202012,
    ),
    "https://json-schema.org/draft/2019-09/schema": _Dialect(
        jsonschema.Draft201909Validator,
        jsonschema_rs.Draft201909Validator,
        referencing.jsonschema.DRAFT201909,
    ),
    "http://json-schema.org/draft-07/schema": _Dialect(
        jsonschema.Draft7Validator,
        jsonschema_rs.Draft7Validator,
        referencing.jsonschema.DRAFT7,
    ),
    "http://json-schema.org/draft-06/schema": _Dialect(
        jsonschema.Draft6Validator,
        jsonschema_rs.Draft6Validator,
        referencing.jsonschema.DRAFT6,
    ),
    "http://json-schema.org/draft-04/schema": _Dialect(
        jsonschema.Draft4Validator,
        jsonschema_rs.Draft4Validator,
        referencing.jsonschema.DRAFT4,
    ),
}


@dataclass(frozen=True, slots=True)
class InputValidator:
    """One compiled schema. Safe to use from several threads."""

    schema: JSON
    _compiled: Any

    def check(self, input_json: bytes) -> JSON | Violations:
        """The object that ``input_json`` holds when it fits, otherwise every violation.

        Never raises for what the bytes hold. Takes time linear in their size: about 20 us for a
        usual input, so large ones (see ``input_json.MAX_INPUT_BYTES``) belong in a thread.
        """
        parsed = parse_input(input_json)
        if isinstance(parsed, Violation):
            return Violations((parsed,))
        if self._compiled.is_valid(parsed):
            return parsed
        return self._violations(parsed, input_json)

    def violations(self, value: object) -> Violations | None:
        """What does not fit in an already parsed value; ``None`` when all fits.

        ``value`` holds JSON types only and at most ``MAX_DEPTH`` levels.
        """
        if self._compiled.is_valid(value):
            return None
        return self._violations(value, json.dumps(value).encode())

    def _violations(self, value: object, raw: bytes) -> Violations:
        exact = _may_list_all(raw)
        errors = self._compiled.iter_errors(value) if exact else self._first(value)
        findings = [_finding(error, self.schema, value) for error in errors]
        total = sum(max(1, len(finding.names)) for finding in findings)
        described = itertools.chain.from_iterable(map(describe, findings))
        listed = tuple(itertools.islice(described, MAX_LISTED))
        return Violations(listed, total - len(listed), exact)

    def _first(self, value: object) -> Iterator[Any]:
        try:
            self._compiled.validate(value)
        except jsonschema_rs.ValidationError as error:
            yield error


def compile_schema(schema: object) -> InputValidator:
    """Compile a tool's ``input_schema``.

    Draft 2020-12 unless ``$schema`` names 2019-09, 07, 06 or 04; ``format`` is asserted. Raises
    ``ConfigError`` with one sentence for each reason not to take it: no object with
    ``"type": "object"`` at the top, too large or deep, invalid by its metaschema, references that
    leave the schema or multiply, patterns beyond a linear engine. Fetches nothing, ever.
    """
    if not isinstance(schema, dict):
        raise ConfigError(["the schema must be an object"])
    fault = size_fault(schema)
    if fault:
        raise ConfigError([fault])
    if schema.get("type") != "object":
        raise ConfigError(['the schema must say "type": "object" at the top'])
    return compile_any_schema(schema)


def compile_any_schema(schema: JSON) -> InputValidator:
    """As ``compile_schema``, for a schema of any type of value."""
    fault = size_fault(schema)
    if fault:
        raise ConfigError([fault])
    dialect = _dialect(schema)
    mistakes = _metaschema_mistakes(schema, dialect)
    if mistakes:
        raise ConfigError(mistakes)
    fault = reference_fault(schema, dialect.refers)
    if fault:
        raise ConfigError([fault])
    try:
        compiled = dialect.compiles(
            schema,
            validate_formats=True,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(_PATTERN_BYTES, _PATTERN_DFA_BYTES),
        )
    except jsonschema_rs.ValidationError as error:
        raise ConfigError([_compile_fault(error)]) from None
    except (ValueError, UnicodeError):
        raise ConfigError(["the schema cannot be compiled"]) from None
    return InputValidator(schema, compiled)


def _dialect(schema: JSON) -> _Dialect:
    named = schema.get("$schema", DEFAULT_DIALECT)
    dialect = _DIALECTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if dialect is None:
        known = ", ".join(_DIALECTS)
        raise ConfigError([f"`$schema` must be one of {known}; no other is known or fetched"])
    return dialect


def _metaschema_mistakes(schema: JSON, dialect: _Dialect) -> list[str]:
    # No format checker: patterns are judged by the engine that will run them. The registry holds
    # the metaschemas that the library brings along, and retrieves nothing.
    validator = dialect.checks(dialect.checks.META_SCHEMA, registry=METASCHEMAS)
    errors = itertools.islice(validator.iter_errors(schema), MAX_LISTED)
    findings = (_reference_finding(error) for error in errors)
    violations = itertools.chain.from_iterable(describe(finding) for finding in findings)
    return [f"in the schema at {one.pointer or 'the top'}: {one.message}" for one in violations]


def _reference_finding(error: Any) -> Finding:
    by_branch = itertools.groupby(error.context or (), key=lambda one: one.relative_schema_path[0])
    return Finding(
        keyword=str(error.validator),
        path=tuple(error.absolute_path),
        limit=_missing(error) if error.validator == "required" else error.validator_value,
        value=error.instance,
        branches=tuple(tuple(map(_reference_finding, branch)) for _index, branch in by_branch),
    )


def _missing(error: Any) -> object:
    return next((one for one in error.validator_value if one not in error.instance), "")


def _compile_fault(error: Any) -> str:
    keyword, value = error.kind.name, error.instance
    if keyword in {"pattern", "format"} and isinstance(value, str):
        return (
            f"the pattern {json.dumps(value[:100])} is not valid for a linear pattern engine: no "
            "look-around, no back-references, no huge repetitions"
        )
    return "the schema cannot be compiled: a reference or keyword in it is not usable"


def _may_list_all(raw: bytes) -> bool:
    """Whether making all errors at once is bounded: few values, and few bytes times levels."""
    values = raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    levels = min(64, raw.count(b"[") + raw.count(b"{"))
    return values <= _MAX_LISTED_VALUES and len(raw) * levels <= _MAX_COPIED_BYTES


def _finding(error: Any, schema: JSON, value: object, depth: int = 0) -> Finding:
    """The library's error in our terms. ``depth`` bounds alternatives within alternatives."""
    keyword, limit = error.kind.name, error.kind.value
    path: tuple[PathPart, ...] = tuple(error.instance_path)
    if keyword == "propertyNames":
        return Finding(keyword, path, value=_at([*limit.instance_path], limit.instance))
    if keyword in {"anyOf", "oneOf"}:
        inner = limit if depth < 2 else ()
        branches = tuple(
            tuple(_finding(one, schema, value, depth + 1) for one in branch[:3])
            for branch in inner[:MAX_LISTED]
        )
        return Finding(keyword, path, branches=branches)
    if keyword in {"additionalProperties", "unevaluatedProperties"}:
        parent = _at(error.schema_path[:-1], schema)
        return Finding(keyword, path, names=tuple(limit), known=tuple(_known_names(parent)))
    if keyword == "falseSchema" and error.schema_path[-1:] == ["additionalProperties"]:
        names = _at(path, value)
        return Finding(keyword, path, names=tuple(names) if isinstance(names, dict) else ())
    if keyword in {"enum", "type"}:
        limit = _at(error.schema_path, schema) or limit  # in the order in which it was written
    return Finding(keyword, path, limit, error.instance)


def _known_names(schema: object, depth: int = 0) -> Iterator[str]:
    """Field names that a schema object takes, also those of schemas written inside it."""
    if not isinstance(schema, dict) or depth > 3:
        return
    properties = schema.get("properties")
    yield from properties if isinstance(properties, dict) else ()
    for keyword in ("allOf", "anyOf", "oneOf"):
        inner = schema.get(keyword)
        for one in inner if isinstance(inner, list) else ():
            yield from _known_names(one, depth + 1)


def _at(path: Iterable[PathPart], document: Any) -> Any:
    """What lies at ``path``; ``None`` where the path leads nowhere (a schema with its own id)."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document
