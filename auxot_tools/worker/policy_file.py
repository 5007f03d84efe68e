"""The operator's policy file: TOML, one `[[rules]]` entry for each rule, re-read when it changes.

One job: from the file to a ``Policy``, or every mistake in words. While a changed file is wrong the
last good policy stays in force. It must not know how rules are applied.
"""

import logging
import tomllib
from pathlib import Path
from typing import Annotated, Any, NoReturn

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auxot_tools.errors import ConfigError
from auxot_tools.worker.policy import Action, Policy, Rule
from auxot_tools.worker.schema_words import unknown_words
from auxot_tools.worker.validation import compile_schema
from auxot_tools.worker.violations import nearest

logger = logging.getLogger(__name__)

MAX_RULES = 1000  # gone through at each call: some 100 us
MAX_FILE_BYTES = 2**20  # a thousand rules with schemas; more is the wrong file
LOOK_EVERY_S = 1.0  # as tools folders are looked at
_Pattern = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._*?-]{1,64}$")]


class RuleEntry(BaseModel):
    """One rule as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    keys: tuple[_Pattern, ...] = ("*",)
    tools: tuple[_Pattern, ...] = ("*",)
    action: Action = "allow"
    arguments: dict[str, Any] | None = None
    concurrent_calls: int | None = Field(default=None, ge=1, le=100_000)
    calls_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    timeout_s: float | None = Field(default=None, gt=0, le=86_400)
    files: bool = Field(default=False, strict=True)
    reason: str = Field(default="", max_length=500)


class PolicyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    rules: tuple[RuleEntry, ...] = Field(default=(), max_length=MAX_RULES)


def read_policy(path: Path) -> Policy:
    """The policy in ``path``. Raises ``ConfigError`` that names the file and what is wrong."""
    where = f"worker.policy_file: {path}"
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError([f"{where} is larger than {MAX_FILE_BYTES} bytes"])
        found = PolicyFile.model_validate(tomllib.loads(data.decode()))
    except OSError as error:
        raise ConfigError([f"{where} cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{where} is not TOML: {error}"]) from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ConfigError([f"{where}: {_mistake(detail)}" for detail in details]) from None
    return Policy(
        tuple(_rule(entry, f"{where}: rules.{at}") for at, entry in enumerate(found.rules))
    )


def _mistake(detail: Any) -> str:
    """What pydantic complains of, in words that name what is allowed."""
    place = ".".join(str(part) for part in detail["loc"])
    known = list(RuleEntry.model_fields if len(detail["loc"]) > 1 else PolicyFile.model_fields)
    if detail["type"] == "extra_forbidden":
        close = nearest(str(detail["loc"][-1]), known)
        hint = f"; did you mean `{close}`?" if close else f"; allowed: {', '.join(known)}"
        return f"{place} is not a setting of a rule{hint}"
    return f"{place}: {detail['msg']}"


def _rule(entry: RuleEntry, where: str) -> Rule:
    schema = None if entry.arguments is None else {"type": "object"} | entry.arguments
    unknown = [] if schema is None else unknown_words(schema)
    if unknown:  # a misspelled word says nothing, and a rule must not say nothing unnoticed
        raise ConfigError([f"{where}.arguments: {each}" for each in unknown])
    try:
        arguments = None if schema is None else compile_schema(schema)
    except ConfigError as error:
        raise ConfigError([f"{where}.arguments: {each}" for each in error.mistakes]) from None
    values = {name: getattr(entry, name) for name in RuleEntry.model_fields}
    return Rule(**values | {"arguments": arguments})


class LivePolicy:
    """The policy in force; without a path everything is allowed. Raises what ``read_policy`` does
    when it is made.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._version = _version(path)
        self._policy = read_policy(path) if path is not None else Policy()

    @property
    def current(self) -> Policy:
        """Looks whether the file has changed: one `stat`, and a read when it has."""
        version = _version(self._path)
        if self._path is not None and version != self._version:
            self._version = version
            try:
                self._policy = read_policy(self._path)
            except ConfigError as error:
                logger.error("the last good policy stays in force: %s", "; ".join(error.mistakes))
            else:
                logger.info("the policy was read again: %d rules", len(self._policy.rules))
        return self._policy

    async def follow(self, every_s: float = LOOK_EVERY_S) -> NoReturn:
        """Look again and again, until cancelled: a mistake is told before a call meets it."""
        while True:
            await anyio.sleep(every_s)
            _ = self.current


def _version(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
