"""Bounds what a JSON Schema can cost, before any library compiles it.

One job: refuse a schema that is too large, too deep, refers to something outside itself, or whose
references multiply, so that one value would be judged thousands of times ("billion laughs").
It must not know the validating libraries, tools or calls; ``referencing`` only looks names up in
the document it is given and fetches nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from referencing import Registry, Specification
from referencing.exceptions import Unresolvable

from auxot_tools.types import JSON

MAX_SCHEMA_BYTES = 256 * 2**10  # as JSON; the largest published tool schemas have some tens of KiB
MAX_SCHEMA_DEPTH = 64  # as of an input; far from every library's recursion limit
MAX_SCHEMA_ITEMS = 1000  # of one array: the metaschema's `uniqueItems` takes quadratic time
MAX_JUDGEMENTS = 1000  # times that references may have one value judged: about 20 us of a call
_MAX_STEPS = 300_000  # of this analysis, about 1 s; a schema that needs more is too intricate

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keyword -> how it holds schemas that judge the same value.
_SAME_ONE = ("not", "if", "then", "else")
_SAME_LIST = ("allOf", "anyOf", "oneOf")
_SAME_NAMED = ("dependentSchemas", "dependencies")
# Keyword -> schemas that judge a part of the value: any field, or any item.
_EVERY_FIELD = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_EVERY_ITEM = ("items", "additionalItems", "unevaluatedItems", "contains", "prefixItems")

# How often each schema (by identity) judges one value.
_State = dict[int, int]


def size_fault(schema: JSON) -> str:
    """Why ``schema`` is too large or too deep to look at, or an empty string."""
    for depth, one in _walk(schema):
        if depth > MAX_SCHEMA_DEPTH:
            return f"the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels"
        if isinstance(one, list) and len(one) > MAX_SCHEMA_ITEMS:
            return f"the schema has a list of {len(one)} entries; at most {MAX_SCHEMA_ITEMS} fit"
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        return f"the schema is larger than {MAX_SCHEMA_BYTES} bytes"
    return ""


def reference_fault(schema: JSON, dialect: Specification[Any]) -> str:
    """Which reference leads out of ``schema``, or why the references multiply; else empty."""
    if not any(_references(one) for _depth, one in _walk(schema)):
        return ""
    try:
        return _Judgements(schema, dialect).fault()
    except Unresolvable as error:
        return (
            f"the reference {json.dumps(str(error.ref))[:200]} points to nothing inside the "
            "schema, and nothing is ever fetched"
        )


def _walk(schema: object) -> Iterator[tuple[int, object]]:
    """Every container with its depth, the root first; stops descending beyond the limit."""
    waiting: list[tuple[int, object]] = [(1, schema)]
    while waiting:
        depth, one = waiting.pop()
        if not isinstance(one, dict | list):
            continue
        yield depth, one
        if depth <= MAX_SCHEMA_DEPTH:
            inner = one.values() if isinstance(one, dict) else one
            waiting += [(depth + 1, value) for value in inner]


def _references(one: object) -> list[str]:
    if not isinstance(one, dict):
        return []
    return [key for key in _REFERENCES if isinstance(one.get(key), str)]


@dataclass(slots=True)
class _Node:
    """A schema object and where references written in it are looked up."""

    schema: JSON
    resolver: Any


@dataclass(slots=True)
class _Judgements:
    """Counts, for every kind of value the schema can meet, how often references have it judged."""

    root: JSON
    dialect: Specification[Any]
    nodes: dict[int, _Node] = field(default_factory=dict)
    steps: int = 0

    def fault(self) -> str:
        resource = self.dialect.create_resource(self.root)
        uri = resource.id() or ""
        resolver = Registry().with_resource(uri, resource).resolver(uri)
        waiting: list[_State] = [{self._add(self.root, resolver): 1}]
        seen: set[frozenset[tuple[int, int]]] = set()
        while waiting:
            state = self._same_value(waiting.pop())
            if sum(state.values()) > MAX_JUDGEMENTS + len(self.nodes):
                return (
                    "the schema's references multiply: one value would be judged more than "
                    f"{MAX_JUDGEMENTS} times"
                )
            key = frozenset(state.items())
            if key in seen:
                continue
            seen.add(key)
            for part in self._parts(state):
                self.steps += len(part)
                if self.steps > _MAX_STEPS:
                    return "the schema's references are too intricate to bound what they cost"
                waiting.append(part)
        return ""

    def _add(self, schema: JSON, resolver: Any) -> int:
        inside = resolver.in_subresource(self.dialect.create_resource(schema))
        self.nodes.setdefault(id(schema), _Node(schema, inside))
        return id(schema)

    def _same_value(self, state: _State) -> _State:
        """All schemas that judge the value when those of ``state`` do, references followed."""
        total: _State = {}
        steps = 0
        for start, times in state.items():
            waiting: list[tuple[int, tuple[int, ...]]] = [(start, ())]
            while waiting:
                node, above = waiting.pop()
                if node in above:  # a loop on one value; the library stops it
                    continue
                total[node] = total.get(node, 0) + times
                steps += 1
                self.steps += 1
                if steps > MAX_JUDGEMENTS + len(self.nodes):
                    return total
                waiting += [(inner, (*above, node)) for inner in self._alongside(self.nodes[node])]
        return total

    def _alongside(self, node: _Node) -> list[int]:
        schema = node.schema
        found = [schema.get(key) for key in _SAME_ONE]
        found += [one for key in _SAME_LIST for one in _listed(schema.get(key))]
        found += [one for key in _SAME_NAMED for one in _named(schema.get(key)).values()]
        same = [self._add(one, node.resolver) for one in found if isinstance(one, dict)]
        for key in _references(schema):
            try:
                resolved = node.resolver.lookup(schema[key])
            except Unresolvable:
                raise Unresolvable(ref=schema[key]) from None  # as it was written
            if isinstance(resolved.contents, dict):
                same.append(self._add(resolved.contents, resolved.resolver))
        return same

    def _parts(self, state: _State) -> Iterator[_State]:
        """What judges each kind of part: one named field, any other field, or an item."""
        fields: dict[str, _State] = {}
        every_field: _State = {}
        items: _State = {}
        for key, times in state.items():
            node = self.nodes[key]
            for name, one in _named(node.schema.get("properties")).items():
                self._count(fields.setdefault(name, {}), one, node, times)
            for one in _named(node.schema.get("patternProperties")).values():
                self._count(every_field, one, node, times)
            for keyword in _EVERY_FIELD:
                self._count(every_field, node.schema.get(keyword), node, times)
            for keyword in _EVERY_ITEM:
                for one in _listed(node.schema.get(keyword)):
                    self._count(items, one, node, times)
        for named in fields.values():
            yield {key: named.get(key, 0) + every_field.get(key, 0) for key in named | every_field}
        yield from (state for state in (every_field, items) if state)

    def _count(self, state: _State, schema: object, node: _Node, times: int) -> None:
        if isinstance(schema, dict):
            key = self._add(schema, node.resolver)
            state[key] = state.get(key, 0) + times


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
