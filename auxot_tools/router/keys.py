"""The keys that may use this router: a TOML file of Argon2id hashes, re-read when it changes.

One job: from what a client presented to the key's name, or an error. A check of a hash is costly on
purpose (64 MiB, a tenth of a second and more), so answers are cached by a digest of the key, hashes
are computed off the event loop one at a time, and a peer that sends wrong keys is limited before
any hash is computed. No key is ever kept, logged or put in an error. Must not know HTTP.
"""

import hashlib
import ipaddress
import logging
import os
import secrets
import time
import tomllib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auxot_tools.errors import AuthenticationError, ConfigError, RateLimited

logger = logging.getLogger(__name__)

CACHED_KEYS = 4096  # a digest and a name each: under 1 MB
CACHED_S = 300.0  # a revoked key stops at once (the file changed); this bounds the memory only
WRONG_KEYS_PER_MINUTE = 10  # for each peer, before any hash is computed
WINDOW_S = 60.0
WATCHED_PEERS = 4096
WAITING_CHECKS = 16  # more than this in line and a check would take seconds anyway
MAX_KEY_BYTES = 512

# Argon2id with 64 MiB and three passes: the parameters that the Auxot router's keys have.
_HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)


class KeyEntry(BaseModel):
    """One key in the file. `hint` is the first 8 hex digits of the key's SHA-256, and optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9._-]+$")
    hash: str = Field(pattern=r"^\$argon2id\$")
    hint: str = ""


class KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    keys: tuple[KeyEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `secret` is shown once, `entry` goes in the file."""

    secret: str
    entry: KeyEntry


def create_key(name: str, prefix: str = "rtr_") -> NewKey:
    """A new key with 256 random bits. Takes a tenth of a second and more."""
    secret = prefix + secrets.token_urlsafe(32)
    return NewKey(secret, KeyEntry(name=name, hash=_HASHER.hash(secret), hint=_hint(secret)))


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
        raise ConfigError([_mistake(path, detail) for detail in error.errors()]) from None
    names = [entry.name for entry in found.keys]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError([f"router.keys_file: {path} has two keys named {twice[0]}"])
    return found


def _mistake(path: Path, detail: object) -> str:
    # Never the value: a line in the wrong place may hold a key.
    where = ".".join(str(part) for part in detail["loc"])  # type: ignore[index]
    return f"router.keys_file: {path}: {where}: {detail['msg']}"  # type: ignore[index]


def append_key(path: Path, entry: KeyEntry) -> None:
    """Add `entry` to the file, which is made (mode 0600) if need be. Raises `ConfigError`."""
    present = read_key_file(path).keys if path.exists() else ()
    if any(entry.name == other.name for other in present):
        raise ConfigError([f"a key named {entry.name} is already in {path}"])
    lines = ["[[keys]]", f'name = "{entry.name}"', f"hash = '{entry.hash}'"]
    if entry.hint:
        lines.append(f'hint = "{entry.hint}"')
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, "", ""]))


class KeyStore:
    """Checks keys against one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = read_key_file(path).keys
        self._version = _version(path)
        self._salt = secrets.token_bytes(32)  # digests in memory are of no use outside of it
        self._cache: OrderedDict[bytes, tuple[float, str | None]] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._being_checked: dict[bytes, anyio.Event] = {}
        self._one_check = anyio.CapacityLimiter(1)

    async def authenticate(self, presented: list[str], peer: str) -> str:
        """The name of the first valid key among `presented`.

        Raises `AuthenticationError`, or `RateLimited` when the peer sent too many wrong keys or too
        many checks are waiting.
        """
        candidates = [key for key in presented if key][:2]
        if not candidates:
            raise AuthenticationError(
                "No API key was sent: set the x-api-key header, or Authorization: Bearer."
            )
        self._reload_if_changed()
        for key in candidates:
            name = await self._name_of(key, peer)
            if name is not None:
                return name
        raise AuthenticationError("invalid x-api-key")

    async def _name_of(self, key: str, peer: str) -> str | None:
        if len(key.encode()) > MAX_KEY_BYTES:
            return None
        digest = hashlib.blake2b(key.encode(), key=self._salt, digest_size=32).digest()
        while True:  # many requests may bring one new key at once: it is checked once
            cached = self._cache.get(digest)
            if cached is not None and cached[0] > time.monotonic():
                return cached[1]
            being_checked = self._being_checked.get(digest)
            if being_checked is None:
                break
            await being_checked.wait()
        is_checked = self._being_checked[digest] = anyio.Event()
        try:
            return await self._check(key, digest, peer)
        finally:
            del self._being_checked[digest]
            is_checked.set()

    async def _check(self, key: str, digest: bytes, peer: str) -> str | None:
        group = _peer_group(peer)
        if not self._has_hint_of(key):  # else it is one of ours, or somebody found 32 bits of it
            self._refuse_if_limited(group)
        if self._one_check.statistics().tasks_waiting >= WAITING_CHECKS:
            raise RateLimited("Too many keys are being checked; try again in a moment.", 1)
        entries = self._entries
        name = await to_thread.run_sync(_find, key, entries, limiter=self._one_check)
        if name is None:
            self._count_wrong(group)
        if entries is self._entries:  # else the file changed meanwhile, and the answer may be old
            self._cache[digest] = (time.monotonic() + CACHED_S, name)
            _trim(self._cache, CACHED_KEYS)
        return name

    def _has_hint_of(self, key: str) -> bool:
        hint = _hint(key)
        return any(entry.hint == hint for entry in self._entries)

    def _refuse_if_limited(self, group: str) -> None:
        """Raises `RateLimited` when too many wrong keys came from here within the last minute."""
        since, count = self._wrong.get(group, (0.0, 0))
        left_s = since + WINDOW_S - time.monotonic()
        if count >= WRONG_KEYS_PER_MINUTE and left_s > 0:
            raise RateLimited("Too many wrong keys came from this address.", int(left_s) + 1)

    def _count_wrong(self, group: str) -> None:
        now = time.monotonic()
        since, count = self._wrong.get(group, (now, 0))
        self._wrong[group] = (now, 1) if now - since >= WINDOW_S else (since, count + 1)
        self._wrong.move_to_end(group)
        _trim(self._wrong, WATCHED_PEERS)

    def _reload_if_changed(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._entries = read_key_file(self._path).keys
        except ConfigError as error:
            logger.error("the keys are kept as they were: %s", error)
            return
        self._cache.clear()
        logger.info("the key file has changed; it holds %d keys", len(self._entries))


def _peer_group(peer: str) -> str:
    """Who counts as one peer: an IPv4 address, or the /64 that one IPv6 host may choose from."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if address.version == 4:
        return peer
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))


def _version(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _hint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _find(key: str, entries: tuple[KeyEntry, ...]) -> str | None:
    """The name of the entry that `key` fits; entries whose hint differs cost nothing."""
    hint = _hint(key)
    for entry in entries:
        if entry.hint and entry.hint != hint:
            continue
        try:
            if _HASHER.verify(entry.hash, key):
                return entry.name
        except (VerificationError, InvalidHashError):
            continue
    return None


def _trim(
    kept: OrderedDict[bytes, tuple[float, str | None]] | OrderedDict[str, tuple[float, int]],
    most: int,
) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
