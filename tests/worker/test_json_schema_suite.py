"""Our judgement against the official test suite and against the reference library.

Every known difference is listed here with its reason; an entry that no longer differs fails.
"""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

from auxot_tools.errors import ConfigError
from auxot_tools.worker.validation import compile_any_schema
from tests.support.json_schema_suite import SuiteCase, cases

# The suite's folder -> `$schema`, the reference's class, how many cases are judged and refused.
DIALECTS: dict[str, tuple[str, Any, tuple[int, int]]] = {
    "draft2020-12": (
        "https://json-schema.org/draft/2020-12/schema",
        jsonschema.Draft202012Validator,
        (1697, 58),
    ),
    "draft2019-09": (
        "https://json-schema.org/draft/2019-09/schema",
        jsonschema.Draft201909Validator,
        (1803, 43),
    ),
    "draft7": (
        "http://json-schema.org/draft-07/schema#",
        jsonschema.Draft7Validator,
        (1418, 29),
    ),
    "draft6": ("http://json-schema.org/draft-06/schema#", jsonschema.Draft6Validator, (1104, 27)),
    "draft4": ("http://json-schema.org/draft-04/schema#", jsonschema.Draft4Validator, (842, 21)),
}

# File -> why schemas of it are not taken at registration.
_OUTSIDE = "refers to a document outside the schema, and nothing is ever fetched"
_CUSTOM = "names a dialect of its own, and nothing is ever fetched"
REFUSED = {
    "definitions.json": _OUTSIDE,
    "defs.json": _OUTSIDE,
    "dynamicRef.json": _OUTSIDE,
    "ref.json": _OUTSIDE,
    "refRemote.json": _OUTSIDE,
    "optional/cross-draft.json": _OUTSIDE,
    "optional/format-assertion.json": _CUSTOM,
    "vocabulary.json": _CUSTOM,
}

# Dialect and file -> why we judge otherwise than the suite's required part.
STRICTER = {
    ("draft2020-12", "format.json"): "the suite wants `format` to be a remark only; we assert it"
}

# File -> why the reference library judges otherwise than we do; the suite agrees with us.
REFERENCE_DIFFERS = {
    "optional/ecmascript-regex.json": "the reference uses Python's pattern engine",
    "optional/format/ecmascript-regex.json": "the reference uses Python's pattern engine",
    "optional/format/email.json": "the reference only looks for an @",
    "optional/format/date-time.json": "the reference takes no leap second",
    "optional/format/time.json": "the reference takes no leap second",
    "optional/dependencies-compatibility.json": "the reference leaves the optional keyword out",
    "optional/content.json": "the reference does not look into content",
}
# Formats that the reference library knows only with its optional packages, which we do without:
# one of them takes seconds to import.
_NEEDS_EXTRAS = "the reference does not check this format without optional packages"
FORMATS_NOT_IN_REFERENCE = {
    f"optional/format/{name}.json": _NEEDS_EXTRAS
    for name in (
        "duration",
        "hostname",
        "iri",
        "iri-reference",
        "json-pointer",
        "relative-json-pointer",
        "uri",
        "uri-reference",
        "uri-template",
    )
}


def judged(case: SuiteCase, uri: str) -> tuple[dict[str, Any], bool] | ConfigError:
    schema = {"$schema": uri, **case.schema}
    try:
        return schema, compile_any_schema(schema).violations(case.value) is None
    except ConfigError as error:
        return error


@pytest.mark.timeout(420)  # the first run fetches the suite
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_case_of_the_official_suite_is_judged_as_the_suite_says(dialect: str) -> None:
    uri, _reference, expected = DIALECTS[dialect]
    checked, refused, wrong = 0, 0, []
    for case in cases(dialect):
        if not isinstance(case.schema, dict):
            continue  # `true` and `false`: a tool's schema is an object
        outcome = judged(case, uri)
        if isinstance(outcome, ConfigError):
            refused += 1
            assert case.file in REFUSED, (case.file, case.group, str(outcome))
            assert "fetched" in str(outcome)
        elif (dialect, case.file) not in STRICTER:
            checked += 1
            wrong += [] if outcome[1] == case.valid else [(case.file, case.group, case.name)]
    assert wrong == []
    assert (checked, refused) == expected


@pytest.mark.timeout(420)
def test_differences_to_the_reference_library_are_all_known_and_the_suite_agrees_with_us() -> None:
    differing = set()
    for dialect, (uri, reference, _expected) in DIALECTS.items():
        for case in cases(dialect):
            if (dialect, case.file) in STRICTER:
                continue
            outcome = judged(case, uri) if isinstance(case.schema, dict) else None
            if outcome is None or isinstance(outcome, ConfigError):
                continue
            schema, fits = outcome
            if fits == reference_fits(reference, schema, case.value):
                continue
            differing.add(case.file)
            assert fits == case.valid, (case.file, case.group, case.name)
    assert differing == set(REFERENCE_DIFFERS) | set(FORMATS_NOT_IN_REFERENCE)


def reference_fits(reference: Any, schema: dict[str, Any], value: object) -> bool | None:
    """The reference library's judgement; ``None`` when a pattern breaks it."""
    checker = reference(schema, registry=REGISTRY, format_checker=reference.FORMAT_CHECKER)
    try:
        return bool(checker.is_valid(value))
    except Exception:
        return None


NAMES = st.sampled_from(["a", "b", "c", "ab"])
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "ab", "1.5"])
VALUES = st.recursive(
    SCALARS | st.sampled_from([0.5, 2.0, 2**70]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bounds = st.integers(0, 3)
    some = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
            "additionalProperties": inner,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "propertyNames": inner,
            "minProperties": bounds,
            "prefixItems": some,
            "items": inner,
            "contains": inner,
            "maxItems": bounds,
            "uniqueItems": st.booleans(),
            "enum": st.lists(SCALARS, min_size=1, max_size=3, unique_by=json.dumps),
            "const": VALUES,
            "minimum": st.integers(-3, 3),
            "multipleOf": st.sampled_from([1, 2, 0.5]),
            "maxLength": bounds,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "unevaluatedProperties": inner,
        },
    )


SCHEMAS = st.recursive(
    st.booleans() | _keywords(st.booleans()),
    lambda inner: st.booleans() | _keywords(inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), VALUES)
def test_any_schema_judges_any_value_as_the_reference_does(
    schema: dict[str, Any], value: object
) -> None:
    reference = jsonschema.Draft202012Validator(schema, registry=REGISTRY)
    found = compile_any_schema(schema).violations(value)
    assert (found is None) == reference.is_valid(value)
    if found is not None:
        assert found.listed
        assert len(found.render()) < 25_000
