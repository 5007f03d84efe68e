"""The `[[providers]]` tables: what is wrong in them, and the keys that they name.

One job: mistakes of these tables in words that name table, setting, value and what is allowed; and
their keys out of the environment. It must not know how the rest of the file is read.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from pydantic import SecretStr

from auxot_tools.config.catalog import allowed_values
from auxot_tools.config.kinds import printable
from auxot_tools.config.upstreams import ProviderSettings, is_env_name

NAME = "providers"
_HIDDEN = "api_key"  # filled in by us; in a file it would be a key in the wrong place
_USUAL_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|[A-Z]{1,20}")  # and no key looks like it
_MAY_HOLD_A_KEY = frozenset({_HIDDEN, "api_key_env"})  # whatever is written there by mistake


def table_mistakes(
    details: Sequence[Any], source: str, shown: Callable[[object], str]
) -> Iterator[str]:
    """A sentence for each of pydantic's complaints about the tables."""
    said = set()
    for detail in details:
        place = detail["loc"][1:]
        if place[1:2] == (_HIDDEN,):
            continue  # told as a key in the wrong place
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
    value = "a hidden value" if place[1] in _MAY_HOLD_A_KEY else shown(detail["input"])
    return f"{where} is {value} ({source}); allowed: {allowed}."


def wrong_tables(tables: object, source: str, environ: Mapping[str, str] | None) -> Iterator[str]:
    """What is wrong with the tables beside their values: names that come twice, keys in the file,
    or not in `environ` (when they are needed). No key is shown.
    """
    found = [table for table in tables if isinstance(table, dict)] if _is_list(tables) else []
    names = [str(table["name"]) for table in found if isinstance(table.get("name"), str)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{NAME} ({source}): two of them are named {name}."
    for number, table in enumerate(found):
        where = f"{NAME}[{number}]"
        if _HIDDEN in table:
            yield (
                f"{where}.{_HIDDEN} ({source}) is not a setting: put the key into an environment "
                "variable, and name that in api_key_env."
            )
        problem = _why_no_key(table.get("api_key_env"), environ) if environ is not None else ""
        if problem:
            variable = table["api_key_env"]
            shown = variable if _USUAL_NAME.fullmatch(variable) else "a hidden value"
            yield f"{where}.api_key_env is {shown} ({source}), but {problem}."


def _is_list(tables: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(tables, list | tuple)


def _why_no_key(variable: object, environ: Mapping[str, str]) -> str:
    if not isinstance(variable, str) or not variable or not is_env_name(variable):
        return ""  # none is wanted, or it is told as a wrong value
    if not environ.get(variable):
        return "that variable is not set"
    try:
        printable(SecretStr(environ[variable]))
    except ValueError:
        return "that variable holds what is no key: printable ASCII without spaces is allowed"
    return ""


def _names() -> Iterator[str]:
    return (name for name in ProviderSettings.model_fields if name != _HIDDEN)


def with_keys(
    providers: Sequence[ProviderSettings], environ: Mapping[str, str]
) -> tuple[ProviderSettings, ...]:
    """The providers with the keys that their variables hold."""
    return tuple(
        one.model_copy(update={_HIDDEN: SecretStr(environ.get(one.api_key_env, ""))})
        if one.api_key_env
        else one
        for one in providers
    )


def reference_rows() -> Iterator[tuple[str, str, str, str]]:
    """Name, default, allowed values and meaning of each setting of a table."""
    for name in _names():
        field = ProviderSettings.model_fields[name]
        default = (
            "required" if field.is_required() else field.get_default(call_default_factory=True)
        )
        yield name, default, allowed_values(field), field.description or ""
