"""The settings as a flat list: `router.max_rounds` and what is known of it.

One job: derive from the models the names, environment names and allowed values that loading,
showing and documenting share. It must not know any value that somebody set.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from auxot_tools.config.kinds import Allowed
from auxot_tools.config.settings import Config

ENV_PREFIX = "AUXOT_"
ENV_SEPARATOR = "__"
MASK = "********"

# Plain names for what is set most often. The exact name AUXOT_<SECTION>__<FIELD> wins over them.
PLAIN_NAMES: dict[str, tuple[str, ...]] = {
    "AUXOT_WORKER_KEY": ("worker.key", "router.worker_key"),
    "AUXOT_ALLOWED_TOOLS": ("router.allowed_tools", "worker.allowed_tools"),
    "AUXOT_UPSTREAM_API_KEY": ("upstream.api_key",),
    "AUXOT_ROUTER_URL": ("connect.router_url",),
    "AUXOT_GPU_KEY": ("connect.tools_key",),  # as Auxot's worker has it: the next one wins
    "AUXOT_TOOLS_KEY": ("connect.tools_key",),
    "AUXOT_LOG_LEVEL": ("log.level",),
}

_NUMBERS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """One setting. ``name`` is dotted; ``env_name`` is its exact environment name."""

    name: str
    field: FieldInfo

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))

    @property
    def env_name(self) -> str:
        return ENV_PREFIX + ENV_SEPARATOR.join(self.path).upper()

    @property
    def is_secret(self) -> bool:
        return self.field.annotation is SecretStr

    @property
    def default(self) -> Any:
        return self.field.default

    @property
    def description(self) -> str:
        return self.field.description or ""

    @property
    def allowed(self) -> str:
        """The values it may have, in words."""
        return allowed_values(self.field)


def allowed_values(field: FieldInfo) -> str:
    """The values a field may have, in words; bounds are inclusive."""
    for mark in field.metadata:
        if isinstance(mark, Allowed):
            return mark.text
    if field.annotation is bool:
        return "`true` or `false`"
    if get_origin(field.annotation) is Literal:
        *first, last = (f"`{choice}`" for choice in get_args(field.annotation))
        return f"{', '.join(first)} or {last}"
    lowest = next(mark.ge for mark in field.metadata if isinstance(mark, Ge))
    highest = next(mark.le for mark in field.metadata if isinstance(mark, Le))
    kind = next(text for kind, text in _NUMBERS.items() if field.annotation is kind)
    return f"{kind} from {value_text(lowest)} to {value_text(highest)}"


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[SettingInfo]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from _walk(kind, f"{prefix}{name}.")
        else:
            yield SettingInfo(prefix + name, field)


def value_text(value: object) -> str:
    """A value as one writes it in `auxot.toml`; a secret only as ``********`` or ``(not set)``."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else "(not set)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(value_text(item) for item in value)}]"
    if isinstance(value, BaseModel):
        shown = ((name, getattr(value, name)) for name in value.model_fields_set)
        return f"{{ {', '.join(f'{name} = {value_text(one)}' for name, one in sorted(shown))} }}"
    if isinstance(value, dict):
        members = (f"{json.dumps(name)} = {value_text(one)}" for name, one in value.items())
        return f"{{ {', '.join(members)} }}" if value else "{}"
    if isinstance(value, str | Path) or value is None:
        return json.dumps(str(value or ""), ensure_ascii=False)
    return str(value)


SETTINGS: Mapping[str, SettingInfo] = {setting.name: setting for setting in _walk(Config)}
SECTIONS: frozenset[str] = frozenset(
    name.rsplit(".", depth)[0] for name in SETTINGS for depth in range(1, name.count(".") + 1)
)
ENV_NAMES: Mapping[str, str] = {setting.env_name: name for name, setting in SETTINGS.items()}
