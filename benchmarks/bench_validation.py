"""What one validated call costs, against the reference library on the same input in the same run.

Measures our whole path (bytes to judged object) and, for the ratio, ``json.loads`` + a prebuilt
``jsonschema`` validator. Prints microseconds per call; best of several rounds, since a loaded
machine only ever adds time. Fails when an input that fits is not judged faster than by the
reference. For one that does not fit, ours also writes the sentences with the nearest names.
"""

import json
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from auxot_tools.worker.validation import compile_schema

ROUNDS = 7
CALLS = 300

_CODE = "import math\nfor n in range(10):\n    print(n, math.sqrt(n))\n" * 5
_ORDER = {
    "type": "object",
    "properties": {
        "orders": {
            "type": "array",
            "maxItems": 50,
            "items": {"$ref": "#/$defs/order"},
        }
    },
    "required": ["orders"],
    "$defs": {
        "order": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{6}$"},
                "amount": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
                "state": {"enum": ["open", "paid", "sent"]},
            },
            "required": ["id", "amount"],
            "additionalProperties": False,
        }
    },
}


def cases() -> dict[str, tuple[dict[str, Any], bytes]]:
    tool = Path(__file__).parents[1] / "tools" / "code_executor" / "tool.json"
    schema = json.loads(tool.read_bytes())["input_schema"]
    orders = [{"id": f"AB{n:06}", "amount": n, "state": "open"} for n in range(10)]
    return {
        "code_executor": (schema, _bytes({"language": "python", "code": _CODE})),
        "ten orders, $ref and oneOf": (_ORDER, _bytes({"orders": orders})),
        "code_executor, three violations": (schema, _bytes({"langage": 1, "timeout_seconds": 0})),
    }


def main() -> None:
    print(f"{'us per call, best of ' + str(ROUNDS):36} {'ours':>8} {'reference':>10} {'ratio':>7}")
    slower = []
    for name, (schema, text) in cases().items():
        ours = compile_schema(schema)
        reference = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        ours_us = _best_us(lambda ours=ours, text=text: ours.check(text))  # type: ignore[misc]
        reference_us = _best_us(
            lambda reference=reference, text=text: list(  # type: ignore[misc]
                reference.iter_errors(json.loads(text))
            )
        )
        ratio = ours_us / reference_us
        print(f"{name:36} {ours_us:8.1f} {reference_us:10.1f} {ratio:7.2f}")
        slower += [name] if ratio >= 1 and isinstance(ours.check(text), dict) else []
    if slower:
        sys.exit(f"not faster than the reference: {', '.join(slower)}")


def _best_us(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


if __name__ == "__main__":
    main()
