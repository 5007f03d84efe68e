"""Samples fit the schemas they are made for."""

import pytest

from auxot_tools.doctor.sample import sample_of
from auxot_tools.share import share_dir
from auxot_tools.types import JSON
from auxot_tools.worker.registry import Registry
from auxot_tools.worker.validation import compile_any_schema

SHIPPED = Registry.load([share_dir("tools")], hosted=["memory", "read_output", "web_fetch",
                                                      "web_search", "web_answers"])  # fmt: skip

SCHEMAS: list[JSON] = [
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    {"type": "object", "properties": {"first": {"type": "integer", "minimum": 5}}},
    {"type": "object", "properties": {}},
    {"type": "object", "required": ["n"], "properties": {"n": {"type": "number", "maximum": -3}}},
    {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"type": "integer", "exclusiveMinimum": 7}},
    },
    {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "array", "minItems": 2, "items": {"enum": ["x", "y"]}}},
    },
    {
        "type": "object",
        "required": ["when", "id"],
        "properties": {
            "when": {"type": "string", "format": "date-time"},
            "id": {"type": "string", "format": "uuid"},
        },
    },
    {
        "type": "object",
        "required": ["place"],
        "properties": {"place": {"$ref": "#/$defs/place"}},
        "$defs": {
            "place": {
                "type": "object",
                "required": ["lat"],
                "properties": {"lat": {"type": "number", "minimum": -90, "maximum": 90}},
            }
        },
    },
    {
        "type": "object",
        "required": ["one"],
        "properties": {"one": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}},
    },
    {
        "type": "object",
        "required": ["s"],
        "properties": {"s": {"type": "string", "minLength": 20, "maxLength": 30}},
    },
    {
        "allOf": [
            {"properties": {"a": {"const": 3}}, "required": ["a"]},
            {"properties": {"b": {"type": ["null", "string"]}}, "required": ["b"]},
        ],
        "type": "object",
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_a_sample_fits_its_schema(schema: JSON) -> None:
    assert compile_any_schema(schema).violations(sample_of(schema)) is None


@pytest.mark.parametrize("name", SHIPPED.tools)
def test_every_tool_that_we_ship_has_a_fitting_sample(name: str) -> None:
    schema = SHIPPED.tools[name].spec.input_schema
    sample = sample_of(schema)
    assert sample
    assert compile_any_schema(schema).violations(sample) is None


@pytest.mark.parametrize("schema", [
    True, None, [], {"$ref": "#/$defs/none"}, {"type": "object", "required": ["x"]},
    {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
    {"type": "array", "minItems": 10**9}, {"type": "string", "minLength": 10**9},
    {"type": "integer", "multipleOf": 7}, {"type": 5}, {"enum": []},
])  # fmt: skip
def test_odd_schemas_give_some_value_and_no_error(schema: object) -> None:
    sample_of(schema)
