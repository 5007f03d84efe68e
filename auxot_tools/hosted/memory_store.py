"""Keeps the files of `memory`: one SQLite database, a space of its own for each key, all bounded.

One job: transactions on files that are rows. It must not know commands or their wording beyond
what its own bounds have to say. It blocks; callers on an event loop use a thread.

Every transaction opens the database anew (measured: 0.3 ms to read, 2 ms to write): so threads and
processes, the worker and the commands, need no agreement, and a database that was replaced is seen.
"""

import logging
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from os import close as close_descriptor
from pathlib import Path

from auxot_tools.errors import ConfigError, Unavailable
from auxot_tools.hosted.memory_text import MemoryRefusal, human_size

logger = logging.getLogger(__name__)

DATABASE = "memory.db"  # in `worker.state_dir`
WAIT_S = 5.0  # for another transaction; each takes milliseconds
_CHECK_WAIT_S = 0.2  # at the start: one that is in use can be used
_APPLICATION = 0x6D656D6F  # marks the database as ours
_VERSION = 1
_PROPOSED = 5  # files that a refusal names: enough to choose from

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE files (
    tenant TEXT NOT NULL,
    path TEXT NOT NULL,
    content BLOB NOT NULL,
    changed_at REAL NOT NULL,
    PRIMARY KEY (tenant, path)
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_BUSY = "The memory is in use by others at the moment, so nothing was done. Try again."
_FULL = (
    "The memory of this worker is full, all keys together, so nothing was done. Go on without it; "
    "the operator can make room with `auxot-tools memory delete`."
)
_BROKEN = (
    "The memory cannot be used now, so nothing was done. Go on without it; the reason is in the "
    "worker's log."
)


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Bounds of what is kept. What is there already stays when one of them is lowered."""

    files: int = 200  # of one key; a listing of them all is still read by a model
    file_bytes: int = 100 * 2**10  # of one file; some 25,000 tokens when a model views it
    total_bytes: int = 2 * 2**20  # of one key: 20 of the largest files
    keys: int = 10_000  # as many as a keys file may hold; callers of the worker choose the names
    database_bytes: int = 2**30  # of all keys together, on the disk


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it is kept. ``changed_at`` is in seconds since 1970."""

    path: str
    size_bytes: int
    changed_at: float


@dataclass(frozen=True, slots=True)
class KeySpace:
    """What one key keeps."""

    tenant: str
    files: int
    size_bytes: int


class Files:
    """The files of one key, inside one transaction. Paths have been checked by the caller."""

    def __init__(self, connection: sqlite3.Connection, tenant: str, limits: MemoryLimits) -> None:
        self._connection = connection
        self._tenant = tenant
        self._limits = limits

    def listed(self) -> tuple[StoredFile, ...]:
        """All of them, by path."""
        rows = self._connection.execute(
            "SELECT path, length(content), changed_at FROM files WHERE tenant = ? ORDER BY path",
            (self._tenant,),
        )
        return tuple(StoredFile(*row) for row in rows)

    def sizes(self) -> dict[str, int]:
        return {file.path: file.size_bytes for file in self.listed()}

    def text(self, path: str) -> str | None:
        """The text of a file; ``None`` when there is no such file."""
        row = self._connection.execute(
            "SELECT content FROM files WHERE tenant = ? AND path = ?", (self._tenant, path)
        ).fetchone()
        return None if row is None else row[0].decode("utf-8", "replace")

    def write(self, path: str, text: str) -> None:
        """Make the file, or replace what is in it.

        Raises ``MemoryRefusal`` with what to do when a bound of the key stands against it, and
        ``Unavailable`` when there are too many keys.
        """
        try:
            content = text.encode()
        except UnicodeEncodeError:
            raise MemoryRefusal("Error: The text holds half a character. Write it anew.") from None
        self._refuse_beyond(path, len(content))
        self._connection.execute(
            "INSERT INTO files VALUES (?, ?, ?, ?) ON CONFLICT (tenant, path) "
            "DO UPDATE SET content = excluded.content, changed_at = excluded.changed_at",
            (self._tenant, path, content, time.time()),
        )

    def _refuse_beyond(self, path: str, size_bytes: int) -> None:
        files, limits = self.listed(), self._limits
        before = next((file.size_bytes for file in files if file.path == path), None)
        if before is not None and size_bytes <= before:
            return
        if size_bytes > limits.file_bytes:
            raise MemoryRefusal(
                f"Error: The file {path} would hold {human_size(size_bytes)}, and a file holds at "
                f"most {human_size(limits.file_bytes)}; nothing was changed. Keep only what "
                "matters, or use several files."
            )
        if before is None and len(files) >= limits.files:
            oldest = sorted(files, key=lambda file: file.changed_at)
            raise MemoryRefusal(
                f"Error: The memory is full: it has {len(files)} files of at most {limits.files}; "
                "nothing was changed. Delete what is no longer needed, or join files, then try "
                f"again. Longest unchanged:\n{_proposed(oldest)}"
            )
        total = sum(file.size_bytes for file in files)
        wanted = total - (before or 0) + size_bytes
        if wanted > limits.total_bytes:
            largest = sorted(files, key=lambda file: -file.size_bytes)
            raise MemoryRefusal(
                f"Error: The memory is full: it holds {human_size(total)} of at most "
                f"{human_size(limits.total_bytes)}, and {human_size(wanted - limits.total_bytes)} "
                "must go first; nothing was changed. Delete or shorten what is no longer needed, "
                f"then try again. Largest files:\n{_proposed(largest)}"
            )
        if not files and self._keys() >= limits.keys:
            raise Unavailable(_FULL)

    def _keys(self) -> int:
        row = self._connection.execute("SELECT count(DISTINCT tenant) FROM files").fetchone()
        return int(row[0])

    def delete(self, paths: Iterable[str]) -> None:
        self._connection.executemany(
            "DELETE FROM files WHERE tenant = ? AND path = ?",
            [(self._tenant, path) for path in paths],
        )

    def move(self, moves: Mapping[str, str]) -> None:
        """Give files other paths: old to new. No new path is taken."""
        self._connection.executemany(
            "UPDATE files SET path = ? WHERE tenant = ? AND path = ?",
            [(new, self._tenant, old) for old, new in moves.items()],
        )


def _proposed(files: Iterable[StoredFile]) -> str:
    named = list(files)[:_PROPOSED]
    return "\n".join(f"{human_size(file.size_bytes)}\t{file.path}" for file in named)


class MemoryStore:
    """The database. May be used from several threads, and by several processes at once.

    It is made at need: the file with mode 0600, its folder with 0700. Raises ``ConfigError`` that
    names the setting when it cannot be used. Every method raises ``Unavailable`` when another
    transaction does not end in time, or the database has come to harm.
    """

    def __init__(self, path: Path, limits: MemoryLimits | None = None) -> None:
        self._path = path.absolute()
        self._limits = limits or MemoryLimits()
        try:
            self._check()
        except OSError as error:
            reason = (error.strerror or "no reason given").lower()
            if isinstance(error, FileExistsError | NotADirectoryError):
                reason = f"{self._path.parent} is not a folder"
            raise self._unusable(f"cannot be used: {reason}") from None
        except sqlite3.Error as error:
            if _code(error) in _BUSY_CODES:
                return  # it is usable, as somebody uses it
            raise self._unusable(_REASONS.get(_code(error), "cannot be opened")) from None

    def _check(self) -> None:
        with closing(self._connect(_CHECK_WAIT_S)) as connection:
            marks = [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            ]
            if marks != [_APPLICATION, _VERSION]:
                raise self._unusable("is not a memory of this version of auxot-tools")
            connection.execute("BEGIN IMMEDIATE")  # whether it can be written to

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError([f"worker.state_dir: {self._path} {reason}"])

    @contextmanager
    def reading(self, tenant: str, wait_s: float = WAIT_S) -> Iterator[Files]:
        """The files of one key as they are at one moment. ``""`` is a key too."""
        with self._transaction("BEGIN", wait_s) as connection:
            yield Files(connection, tenant, self._limits)

    @contextmanager
    def changing(self, tenant: str, wait_s: float = WAIT_S) -> Iterator[Files]:
        """The files of one key, which nobody else changes meanwhile.

        What was changed is on the disk when the block has ended; when it raises, nothing was.
        """
        with self._transaction("BEGIN IMMEDIATE", wait_s) as connection:
            yield Files(connection, tenant, self._limits)

    def spaces(self) -> tuple[KeySpace, ...]:
        """The keys that keep something, by name."""
        with self._transaction("BEGIN", WAIT_S) as connection:
            rows = connection.execute(
                "SELECT tenant, count(*), sum(length(content)) FROM files GROUP BY tenant"
            ).fetchall()
        return tuple(sorted((KeySpace(*row) for row in rows), key=lambda space: space.tenant))

    def clean(self) -> None:
        """Leave nothing of what was deleted in the write-ahead log, if nobody reads just now."""
        with self._connection(WAIT_S) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self, begin: str, wait_s: float) -> Iterator[sqlite3.Connection]:
        with self._connection(wait_s) as connection:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")  # without it, closing rolls back

    @contextmanager
    def _connection(self, wait_s: float) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._opened(wait_s)) as connection:
                for pragma in (
                    "synchronous = FULL",  # what a model was told is kept survives a power cut
                    "secure_delete = ON",  # what is deleted is overwritten
                    f"max_page_count = {max(1, self._limits.database_bytes // 4096)}",
                ):
                    connection.execute(f"PRAGMA {pragma}")
                yield connection
        except sqlite3.Error as error:
            raise self._unavailable(error) from None

    def _opened(self, wait_s: float) -> sqlite3.Connection:
        try:
            return self._connect(wait_s)
        except OSError as error:
            logger.warning("the memory %s cannot be used: %s", self._path, error.strerror)
            raise Unavailable(_BROKEN) from None

    def _unavailable(self, error: sqlite3.Error) -> Unavailable:
        if _code(error) in _BUSY_CODES:
            return Unavailable(_BUSY)
        if _code(error) == sqlite3.SQLITE_FULL:
            return Unavailable(_FULL)
        reason = _REASONS.get(_code(error), "cannot be used")
        logger.warning("the memory %s %s", self._path, reason)
        return Unavailable(_BROKEN)

    def _connect(self, wait_s: float) -> sqlite3.Connection:
        if not self._path.exists():
            self._create()
        uri = f"{self._path.as_uri()}?mode=rw"  # never makes an empty one
        return sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)

    def _create(self) -> None:
        """A finished database appears at once, whoever else makes one: the first one stays."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        close_descriptor(descriptor)
        fresh = Path(name)  # mode 0600, which SQLite gives to the files beside it too
        try:
            with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
                connection.executescript(_SCHEMA)
            with suppress(FileExistsError):
                self._path.hardlink_to(fresh)
        finally:
            fresh.unlink(missing_ok=True)


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 when the error is not the database's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_REASONS = {
    sqlite3.SQLITE_NOTADB: "is not a database, or is damaged",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_READONLY: "may not be written to",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PERM: "may not be opened",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_FULL: "cannot be written to: the disk is full",
    sqlite3.SQLITE_ERROR: "does not hold what a memory holds",
}
