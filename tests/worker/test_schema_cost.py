"""Schemas whose cost must be bounded before anybody compiles them."""

import json
from typing import Any

import pytest
import referencing.jsonschema

from auxot_tools.worker.schema_cost import reference_fault, size_fault

BOUND_S = 60  # for one test on a loaded machine
DRAFT = referencing.jsonschema.DRAFT202012


def chain(length: int, link: Any) -> dict[str, Any]:
    """Definitions of which each refers to the next one, as ``link`` of its reference says."""
    defs = {f"l{i}": link({"$ref": f"#/$defs/l{i + 1}"}) for i in range(length)}
    return {"$defs": {**defs, f"l{length}": {"type": "string"}}, "$ref": "#/$defs/l0"}


MULTIPLYING: dict[str, dict[str, Any]] = {
    "twice_on_one_value": chain(40, lambda ref: {"allOf": [ref, ref]}),
    "twice_by_any_of": chain(40, lambda ref: {"anyOf": [ref, {"not": ref}]}),
    "twice_on_a_field": chain(40, lambda ref: {"properties": {"a": {"allOf": [ref, ref]}}}),
    "by_name_and_by_pattern": chain(
        40, lambda ref: {"properties": {"a": ref}, "patternProperties": {"a": ref}}
    ),
    "by_items_and_contains": chain(40, lambda ref: {"items": ref, "contains": ref}),
    "recursion_twice": {"properties": {"a": {"oneOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
    "recursion_apart": {
        "properties": {"a": {"$ref": "#"}},
        "anyOf": [{"properties": {"a": {"$ref": "#"}}}, {}],
    },
}

HARMLESS: dict[str, dict[str, Any]] = {
    "a_loop_on_one_value": {"$ref": "#"},
    "a_tree": {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
    "filters": {
        "anyOf": [
            {"properties": {"and": {"type": "array", "items": {"$ref": "#"}}}},
            {"properties": {"or": {"type": "array", "items": {"$ref": "#"}}}},
            {"properties": {"not": {"$ref": "#"}}},
        ]
    },
    "a_long_chain": chain(200, lambda ref: {"allOf": [ref]}),
    "an_anchor": {"$defs": {"a": {"$anchor": "x"}}, "properties": {"p": {"$ref": "#x"}}},
    "an_id": {
        "$id": "https://example.com/a",
        "$defs": {"n": {"type": "integer"}},
        "properties": {"p": {"$ref": "https://example.com/a#/$defs/n"}},
    },
    "shared_by_many_fields": {
        "$defs": {"n": {"type": "integer"}},
        "properties": {f"p{i}": {"$ref": "#/$defs/n"} for i in range(500)},
    },
}


@pytest.mark.parametrize("case", MULTIPLYING)
def test_references_that_multiply_are_refused(case: str) -> None:
    assert "multiply" in reference_fault(MULTIPLYING[case], DRAFT)


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_references_are_taken(case: str) -> None:
    assert reference_fault(HARMLESS[case], DRAFT) == ""


@pytest.mark.timeout(BOUND_S)
def test_an_intricate_schema_is_refused_in_bounded_time() -> None:
    names = [f"p{number}" for number in range(300)]
    part = {"allOf": [{"properties": {n: {"$ref": f"#/$defs/{n}"}}} for n in names]}
    rest = {"additionalProperties": {"not": {"$ref": "#/$defs/p0"}}}
    schema = {"$defs": dict.fromkeys(names, part | rest), "$ref": "#/$defs/p0"}
    assert reference_fault(json.loads(json.dumps(schema)), DRAFT)


@pytest.mark.parametrize("ref", ["#/$defs/none", "other.json", "https://example.com/x", "#nowhere"])
def test_a_reference_that_leads_out_is_refused_by_name(ref: str) -> None:
    fault = reference_fault({"properties": {"a": {"$ref": ref}}}, DRAFT)
    assert "points to nothing inside the schema" in fault
    assert ref.lstrip("#") in fault


def test_a_schema_that_is_too_deep_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"not": deep}
    assert "nested deeper than 64" in size_fault(deep)


def test_a_schema_that_is_too_large_is_refused() -> None:
    assert "larger than" in size_fault({"description": "x" * 300_000})


def test_a_list_that_is_too_long_is_refused() -> None:
    assert "a list of 1001 entries" in size_fault({"enum": list(range(1001))})
