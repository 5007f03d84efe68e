"""JSON that comes back as it went in: key order, strings, and numbers by value.

Integers of any size are kept; of a fraction its value is kept, not its spelling (`1.10` is written
`1.1`). One job: text <-> values, in bounded depth. It must not know what the values mean.
`decode` reads what a client or an upstream wrote; `encode` writes it again, the same bytes for the
same value every time.
"""

import json
import math
from typing import Any

import orjson

from auxot_tools.errors import RequestError

# Levels of nesting that are carried. The fast writer has this limit of its own (254), so nothing
# has to be counted on the way; no schema, history or tool input seen comes near it.
MAX_DEPTH = 250


class InvalidJSON(RequestError):
    """The text is not JSON that we can carry without loss; the message says why and where."""


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJSON(f"the number {text[:40]} is outside the range of a double")
    return number


def _no_constant(name: str) -> float:
    raise InvalidJSON(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


def decode(data: bytes | str) -> Any:
    """The value of a JSON text. Integers of any size stay integers.

    Raises `InvalidJSON` for anything else, also for nesting beyond the interpreter's recursion
    limit (about 1,000 levels) and for integers of more than 4,300 digits.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value, end = _DECODER.raw_decode(text, _skip_space(text, 0))
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise InvalidJSON("nested too deeply") from None
    except InvalidJSON:
        raise
    except ValueError:  # int() refuses more than sys.int_info.default_max_str_digits digits
        raise InvalidJSON("an integer has too many digits") from None
    if _skip_space(text, end) != len(text):
        raise InvalidJSON(f"something follows the JSON value at character {end}")
    return value


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def is_deeper(value: Any, levels: int) -> bool:
    """Whether `value` is nested in more than so many levels of objects and arrays."""
    found = [value]
    for _ in range(levels + 1):
        found = [inner for outer in found for inner in _inside(outer)]
        if not found:
            return False
    return True


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def encode(value: Any) -> bytes:
    """The JSON text of `value` in UTF-8, without spaces; equal values give equal bytes.

    What orjson cannot write (integers beyond 64 bits, lone surrogates) is written by the standard
    library, with escapes. Raises `InvalidJSON` for what is nested in more than about `MAX_DEPTH`
    levels.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return _encode_slowly(value)


def _encode_slowly(value: Any) -> bytes:
    if is_deeper(value, MAX_DEPTH):
        raise InvalidJSON(f"nested in more than {MAX_DEPTH} levels")
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def encode_with_raw(block: dict[str, Any], key: str, raw: bytes) -> bytes:
    """`block` as JSON text, the value of `key` being the JSON text `raw` as it stands."""
    members = (
        encode(name) + b":" + (raw if name == key else encode(value))
        for name, value in block.items()
    )
    return b"{" + b",".join(members) + b"}"
