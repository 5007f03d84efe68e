"""The file of keys: TOML, one `[[keys]]` entry for each, holding a hash and what the key may do.

One job: read, add, remove. What people wrote beside the entries (comments, order) stays. No key is
ever in it, in a log or in an error. Must not know how keys are checked.
"""

import hashlib
import os
import secrets
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tomlkit
from argon2 import PasswordHasher
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from auxot_tools.errors import ConfigError, NotFound
from auxot_tools.types import TOOL_NAME_PATTERN

# Labels that say what a key is for. Auxot's own router makes `rtr_` keys.
PREFIXES = ("rtr_", "user.", "team.")
MAX_KEYS = 10_000  # entries of one file; each costs an Argon2id check for a key without a hint
# Argon2id with 64 MiB and three passes: the parameters that the Auxot router's keys have.
HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)


def _aware(moment: datetime) -> datetime:
    """A moment written without an offset is meant in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


ToolName = Annotated[str, Field(pattern=TOOL_NAME_PATTERN)]


class KeyEntry(BaseModel):
    """One key in the file, and its limits; what is not set is not limited.

    `hint` is the first 8 hex digits of the key's SHA-256, and optional. `allowed_tools` narrows
    `router.allowed_tools` down. `concurrent_calls` counts calls of our tools. `run_for_client`
    names tools that we run when a client of this key declares them itself. `approves`: whoever has
    this key may answer for calls that wait for an operator; nothing else follows from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9._-]+$")
    hash: str = Field(pattern=r"^\$argon2id\$")
    hint: str = ""
    allowed_tools: tuple[ToolName, ...] | None = None
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    concurrent_requests: int | None = Field(default=None, ge=1, le=100_000)
    concurrent_calls: int | None = Field(default=None, ge=1, le=100_000)
    run_for_client: tuple[ToolName, ...] = ()
    approves: bool = Field(default=False, strict=True)
    expires: Annotated[datetime, AfterValidator(_aware)] | None = None


class KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    keys: tuple[KeyEntry, ...] = Field(default=(), max_length=MAX_KEYS)


def new_secret(prefix: str = PREFIXES[0]) -> str:
    """A new key with 256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def entry_for(secret: str, name: str, **limits: Any) -> KeyEntry:
    """What the file holds of a key. Takes a tenth of a second and more, for the hash.

    Raises `ConfigError` for a name or limit that cannot be.
    """
    try:
        return KeyEntry(name=name, hash=HASHER.hash(secret), hint=hint_of(secret), **limits)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ConfigError([_wrong_limit(detail) for detail in details]) from None


def _wrong_limit(detail: Any) -> str:
    if detail["loc"][:1] == ("name",):
        return "name: 1 to 64 letters, digits, `.`, `_` and `-` are allowed"
    return f"{_place(detail)}: {detail['msg']}"


def hint_of(secret: str) -> str:
    """The first 8 hex digits of its SHA-256: 32 of its 256 bits, so that others cost no hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def read_key_file(path: Path) -> KeyFile:
    """The keys in `path`. Raises `ConfigError` that names the file and what is wrong in it."""
    try:
        found = KeyFile.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ConfigError(
            [f"router.keys_file: {path} does not exist; make a key with `auxot-tools keys create`"]
        ) from None
    except OSError as error:
        raise ConfigError([f"router.keys_file: {path} cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"router.keys_file: {path} is not TOML: {error}"]) from None
    except ValidationError as error:
        # Never the value: a line in the wrong place may hold a key.
        details = error.errors(include_url=False, include_input=False)
        where = f"router.keys_file: {path}"
        raise ConfigError([f"{where}: {_place(d)}: {d['msg']}" for d in details]) from None
    counts = Counter(entry.name for entry in found.keys)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise ConfigError([f"router.keys_file: {path} has two keys named {twice[0]}"])
    return found


def _place(detail: Any) -> str:
    return ".".join(str(part) for part in detail["loc"])


def append_key(path: Path, entry: KeyEntry) -> None:
    """Add `entry` to the file, which is made (mode 0600) if need be. Raises `ConfigError`."""
    present = read_key_file(path).keys if path.exists() else ()
    if any(entry.name == other.name for other in present):
        raise ConfigError([f"a key named {entry.name} is already in {path}"])
    document = _document(path)
    _tables(document).append(_table(entry.model_dump(exclude_none=True, exclude_defaults=True)))
    _replace(path, tomlkit.dumps(document))


def remove_key(path: Path, name: str) -> None:
    """Take the key of this name out of the file. Raises `ConfigError`, or `NotFound`."""
    names = [entry.name for entry in read_key_file(path).keys]
    if name not in names:
        known = f"; it has {', '.join(names)}" if names else ""
        raise NotFound(f"there is no key named {name} in {path}{known}")
    document = _document(path)
    _take_out(document, names.index(name))
    _replace(path, tomlkit.dumps(document))


def _tables(document: tomlkit.TOMLDocument) -> AoT:
    """The document's `[[keys]]`, also where they were written in another way, or not at all."""
    present = document.get("keys", [])
    if isinstance(present, AoT):
        return present
    tables = tomlkit.aot()
    for entry in present:
        tables.append(_table(dict(entry)))
    document.pop("keys", None)
    document["keys"] = tables
    return tables


def _table(values: dict[str, Any]) -> Table:
    table = tomlkit.table()
    for name, value in values.items():
        table[name] = list(value) if isinstance(value, tuple) else value
    return table


def _take_out(document: tomlkit.TOMLDocument, index: int) -> None:
    """Remove one table; comments that stand after its values belong to what comes next."""
    tables = _tables(document)
    body = tables[index].value.body
    end = len(body)
    while end and body[end - 1][0] is None:
        end -= 1
    comments = body[end:]
    del tables[index]
    if index:
        tables[index - 1].value.body.extend(comments)
        return
    place = next(at for at, (_, item) in enumerate(document.body) if item is tables)
    document.body[place:place] = comments
    if not tables:
        document.pop("keys")


def _document(path: Path) -> tomlkit.TOMLDocument:
    if not path.exists():
        return tomlkit.document()
    try:
        return tomlkit.parse(path.read_text("utf-8"))
    except TOMLKitError as error:
        raise ConfigError([f"router.keys_file: {path} is not TOML: {error}"]) from None


def _replace(path: Path, text: str) -> None:
    """The whole file at once: a router that reads it sees the old or the new one."""
    try:
        _write(path, text)
    except OSError as error:
        raise ConfigError(
            [f"router.keys_file: {path} cannot be written: {(error.strerror or '?').lower()}"]
        ) from None


def _write(path: Path, text: str) -> None:
    """The new file has the old one's owner, group and mode: who could read it still can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.stat() if path.exists() else None
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            _give(new, old)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _give(file: Path, old: os.stat_result) -> None:
    """Raises `OSError` when this user may not: a router that cannot read its keys is no use."""
    mine = file.stat()
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        os.chown(file, old.st_uid, old.st_gid)
    file.chmod(old.st_mode & 0o777)
