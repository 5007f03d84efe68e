"""The keys that may use this router, checked: a file of hashes, re-read when it changes.

One job: from what a client presented to its key's entry, or an error. A check of a hash is costly
on purpose (64 MiB, a tenth of a second and more), so answers are cached by a digest of the key,
hashes are computed off the event loop one at a time, and a peer that sends wrong keys is limited
before any hash is computed. No key is ever kept, logged or put in an error. Must not know HTTP.
"""

import hashlib
import ipaddress
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio import to_thread
from argon2.exceptions import InvalidHashError, VerificationError

from auxot_tools.errors import AuthenticationError, ConfigError, RateLimited, Unavailable
from auxot_tools.router.key_file import HASHER, KeyEntry, hint_of, read_key_file

logger = logging.getLogger(__name__)

CACHED_KEYS = 4096  # a digest and a name each: under 1 MB
CACHED_S = 300.0  # a revoked key stops at once (the file changed); this bounds the memory only
# While the file cannot be read. An operator has the time to mend a mistake; then nobody is let in,
# as a key that was revoked meanwhile must not stay valid.
KEPT_S = 60.0
READ_AGAIN_S = 1.0  # a file that could not be read is tried again, though it looks the same
WRONG_KEYS_PER_MINUTE = 10  # for each peer, before any hash is computed
WINDOW_S = 60.0
WATCHED_PEERS = 4096
WAITING_CHECKS = 16  # more than this in line and a check would take seconds anyway
MAX_KEY_BYTES = 512
_INVALID = "invalid x-api-key"


_Version = tuple[int, ...]  # of the file; another one means that it may hold something else


@dataclass(frozen=True, slots=True)
class _Failure:
    """The file cannot be read. ``since`` is when that began; both times are monotonic."""

    version: _Version
    since: float
    again_at: float


class KeyStore:
    """Checks keys against one file. ``monotonic`` counts seconds, for files that cannot be read."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._clock = clock
        self._monotonic = monotonic
        self._version = _version(path)  # asked first: what changes meanwhile is read once more
        self._entries = read_key_file(path).keys
        self._failure: _Failure | None = None
        self._salt = secrets.token_bytes(32)  # digests in memory are of no use outside of it
        self._cache: OrderedDict[bytes, tuple[float, KeyEntry | None]] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._being_checked: dict[bytes, anyio.Event] = {}
        self._one_check = anyio.CapacityLimiter(1)

    async def authenticate(self, presented: list[str], peer: str) -> KeyEntry:
        """The entry of the first valid key among `presented`.

        Raises `AuthenticationError`, or `RateLimited` when the peer sent too many wrong keys or too
        many checks are waiting, or `Unavailable` when the file could not be read for `KEPT_S`.
        """
        candidates = [key for key in presented if key][:2]
        if not candidates:
            raise AuthenticationError(
                "No API key was sent: set the x-api-key header, or Authorization: Bearer."
            )
        self._reload_if_changed()
        has_expired = False
        for key in candidates:
            entry = await self._entry_of(key, peer)
            if entry is None:
                continue
            if entry.expires is None or self._clock() < entry.expires:
                return entry
            has_expired = True
        raise AuthenticationError("this API key has expired" if has_expired else _INVALID)

    async def _entry_of(self, key: str, peer: str) -> KeyEntry | None:
        data = key.encode("utf-8", "surrogatepass")
        if len(data) > MAX_KEY_BYTES:
            return None
        digest = hashlib.blake2b(data, key=self._salt, digest_size=32).digest()
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

    async def _check(self, key: str, digest: bytes, peer: str) -> KeyEntry | None:
        group = _peer_group(peer)
        if not self._has_hint_of(key):  # else it is one of ours, or somebody found 32 bits of it
            self._refuse_if_limited(group)
        if self._one_check.statistics().tasks_waiting >= WAITING_CHECKS:
            raise RateLimited("Too many keys are being checked; try again in a moment.", 1)
        entries = self._entries
        entry = await to_thread.run_sync(_find, key, entries, limiter=self._one_check)
        if entry is None:
            self._count_wrong(group)
        if entries is self._entries:  # else the file changed meanwhile, and the answer may be old
            self._cache[digest] = (time.monotonic() + CACHED_S, entry)
            _trim(self._cache, CACHED_KEYS)
        return entry

    def _has_hint_of(self, key: str) -> bool:
        hint = hint_of(key)
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
        """Raises `Unavailable` when what was read last is too old to be trusted."""
        version = _version(self._path)
        if version == self._version:
            self._failure = None
            return
        now, failure = self._monotonic(), self._failure
        if failure is None or failure.version != version or now >= failure.again_at:
            failure = self._failure = self._read(version, now)
        if failure is not None and now - failure.since >= KEPT_S:
            raise Unavailable("this router cannot read its keys; its log says why")

    def _read(self, version: _Version, now: float) -> _Failure | None:
        """Take the file's keys, or say why not. Only what was read counts as known."""
        before = self._failure
        try:
            entries = read_key_file(self._path).keys
        except ConfigError as error:
            if before is None or before.version != version:
                logger.error("the keys are kept for %g s, then nobody is let in: %s", KEPT_S, error)
            since = now if before is None else before.since
            return _Failure(version, since, now + READ_AGAIN_S)
        self._version, self._entries = version, entries
        self._keep_known()
        logger.info("the key file has changed; it holds %d keys", len(self._entries))
        return None

    def _keep_known(self) -> None:
        """Keys whose hash is still in the file need no new check; what was wrong may be right."""
        now_there = {entry.hash: entry for entry in self._entries}
        for digest, (until, entry) in list(self._cache.items()):
            if entry is not None and entry.hash in now_there:
                self._cache[digest] = (until, now_there[entry.hash])
            else:
                del self._cache[digest]


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


def _version(path: Path) -> _Version:
    """With the time of the last change of owner or mode: then it may be read where it was not."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)


def _find(key: str, entries: tuple[KeyEntry, ...]) -> KeyEntry | None:
    """The entry that `key` fits; entries whose hint differs cost nothing."""
    hint = hint_of(key)
    for entry in entries:
        if entry.hint and entry.hint != hint:
            continue
        try:
            if HASHER.verify(entry.hash, key):
                return entry
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            continue
    return None


def _trim(
    kept: OrderedDict[bytes, tuple[float, KeyEntry | None]] | OrderedDict[str, tuple[float, int]],
    most: int,
) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
