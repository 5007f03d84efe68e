"""The `[[providers]]` tables: what is wrong in them, and the keys that they name.

One job: mistakes of these tables in words that name table, setting, value and what is allowed; and
their keys out of the environment. It must not know how the rest of the file is read.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from auxot_tools.config.catalog import allowed_values
from auxot_tools.config.kinds import printable
from auxot_tools.config.upstreams import ProviderSettings

NAME = "providers"
_HIDDEN = "api_key"  # filled in by us; in a file it would be a key in the wrong place


def table_mistakes(
    details: Sequence[Any], source: str, shown: Callable[[object], str]
) -> Iterator[str]:
    """A sentence for each of pydantic's complaints about the tables."""
    said = set()
    for detail in details:
        place = detail["loc"][1:]
        if place[:2] not in said:
            said.add(place[:2])
            yield _mistake(detail, place, source, shown)


def _mistake(
    detail: Any, place: tuple[Any, ...], source: str, shown: Callable[[object], str]
) -> str:
    if len(place) < 2:
        return f"{NAME} ({source}) must be a list of at most 64 tables, [[{NAME}]]."
    where = f"{NAME}[{place[0]}].{place[1]}"
    field = ProviderSettings.model_fields.get(str(place[1]))
    if field is None:
        near = difflib.get_close_matches(str(place[1]), list(_names()), n=1)
        more = f"; did you mean {near[0]}?" if near else "."
        return f"{where} ({source}) is not a setting{more}"
    allowed = allowed_values(field)
    if detail["type"] == "missing":
        return f"{where} is missing ({source}); allowed: {allowed}."
    return f"{where} is {shown(detail['input'])} ({source}); allowed: {allowed}."


def forbidden_keys(tables: object, source: str) -> Iterator[str]:
    """A key in the file is told without being shown."""
    for number, table in enumerate(tables if isinstance(tables, list) else []):
        if isinstance(table, dict) and _HIDDEN in table:
            yield (
                f"{NAME}[{number}].{_HIDDEN} ({source}) is not a setting: put the key into an "
                "environment variable, and name that in api_key_env."
            )


def _names() -> Iterator[str]:
    return (name for name in ProviderSettings.model_fields if name != _HIDDEN)


def with_keys(
    providers: Sequence[ProviderSettings],
    environ: Mapping[str, str],
    source: str,
    mistakes: list[str],
) -> tuple[ProviderSettings, ...]:
    """The providers with their keys; what cannot be found or used becomes a mistake."""
    names = [one.name for one in providers]
    twice = sorted({name for name in names if names.count(name) > 1})
    mistakes.extend(f"{NAME} ({source}): two of them are named {name}." for name in twice)
    return tuple(
        _with_key(one, f"{NAME}[{number}]", environ, source, mistakes)
        for number, one in enumerate(providers)
    )


def _with_key(
    one: ProviderSettings, where: str, environ: Mapping[str, str], source: str, mistakes: list[str]
) -> ProviderSettings:
    if not one.api_key_env:
        return one
    key = SecretStr(environ.get(one.api_key_env, ""))
    problem = "" if key.get_secret_value() else "is not set"
    try:
        printable(key)
    except ValueError:
        problem = "holds what is no key: printable ASCII without spaces is allowed"
    if problem:
        mistakes.append(
            f"{where}.api_key_env is {one.api_key_env} ({source}), but that variable {problem}."
        )
        return one
    return one.model_copy(update={_HIDDEN: key})


def reference_rows() -> Iterator[tuple[str, str, str, str]]:
    """Name, default, allowed values and meaning of each setting of a table."""
    for name in _names():
        field = ProviderSettings.model_fields[name]
        default = (
            "required" if field.is_required() else field.get_default(call_default_factory=True)
        )
        yield name, default, allowed_values(field), field.description or ""
