"""Reads JSON objects as Go programs do: names in any case, unknown ones ignored, `null` as absent.

One job: the fields of one object, each of the kind that is expected. Pure. It must not know frames
or tools. What is of another kind raises `WrongKind`, whose text is ours and holds no value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KINDS = {
    str: "a string",
    int: "an integer",
    bool: "a boolean",
    dict: "an object",
    list: "an array",
}


class WrongKind(ValueError):
    """A field of the wrong kind, or no object where one was expected."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one object. Of names that differ only in case the last one counts."""

    _values: Mapping[str, Any]

    @classmethod
    def of(cls, value: Any, what: str) -> "Fields":
        """The fields of ``value``, which is named ``what`` in errors; `null` has none."""
        if value is None:
            return cls({})
        if not isinstance(value, dict):
            raise WrongKind(f"{what} must be an object")
        return cls({name.lower(): one for name, one in value.items() if one is not None})

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def any(self, name: str) -> Any:
        """The value as it came; None when there is none."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """A string; empty when there is none."""
        return str(self._one(name, str, ""))

    def flag(self, name: str) -> bool:
        return bool(self._one(name, bool, False))

    def whole(self, name: str) -> int | None:
        """An integer, also one that is written as `5.0`; None when there is none."""
        value = self._values.get(name)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise WrongKind(f"{name} must be an integer")

    def number(self, name: str) -> float:
        """A number; 0 when there is none."""
        value = self._values.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongKind(f"{name} must be a number")
        try:
            return float(value)
        except OverflowError:
            raise WrongKind(f"{name} is out of range") from None

    def object(self, name: str) -> "Fields":
        return Fields.of(self._values.get(name), name)

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings; empty when there is none."""
        values = self._one(name, list, [])
        if not all(isinstance(value, str) for value in values):
            raise WrongKind(f"{name} must hold strings")
        return tuple(values)

    def text_map(self, name: str) -> dict[str, str]:
        """An object of strings, its names as they are; empty when there is none."""
        values = self._one(name, dict, {})
        if not all(isinstance(value, str) for value in values.values()):
            raise WrongKind(f"{name} must hold strings")
        return dict(values)

    def _one(self, name: str, kind: type, default: Any) -> Any:
        value = self._values.get(name, default)
        if not isinstance(value, kind):
            raise WrongKind(f"{name} must be {_KINDS[kind]}")
        return value
