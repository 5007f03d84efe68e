"""Keeps the registry up to date: tools that were added, changed or removed need no restart.

One job: when to look, and what counts until the next look. How tools are read is given to it; so
is how a change is seen (``folders_fingerprint`` is the usual way).
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import anyio
from anyio import to_thread

from auxot_tools.errors import ConfigError
from auxot_tools.types import ToolSpec
from auxot_tools.worker.registry import Quarantined, Registry, Tool

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# A call waits for a look no longer than this: the folder may lie on a disk that does not answer.
PATIENCE_S = 2.0
_MAX_SEEN = 10_000  # entries of all tools folders; a change beyond is not seen
_MAX_SHOWN = 10  # names in one line of the log


class LiveRegistry:
    """A registry that is read anew when its folders have changed.

    ``tools``, ``quarantined`` and ``specs`` are those of one whole reading at any time. ``load``
    and ``fingerprint`` block and are run in a thread; ``load`` raises ``ConfigError`` when a folder
    cannot be read, and then what was read last stays. The first reading is done here, blocking, and
    its ``ConfigError`` is the caller's. ``on_change`` is called after another reading.
    """

    def __init__(
        self,
        load: Callable[[], Registry],
        fingerprint: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None  # told in the event loop
        self._load = load
        self._fingerprint = fingerprint
        self._clock = clock
        self._patience_s = patience_s
        self._seen = fingerprint()  # before the reading: what changes meanwhile is seen next time
        self._registry = load()
        self._told = self._registry
        self._problem = ""
        self._looked_at = clock()
        self._is_looking = threading.Lock()

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools that can be called, by name."""
        return self._registry.tools

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """The tools that cannot, with reasons."""
        return self._registry.quarantined

    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told, ordered by name."""
        return self._registry.specs()

    async def refresh(self) -> None:
        """Look for changes, at most once a second; one look at a time, the others do not wait.

        Never raises and never waits longer than ``patience_s``.
        """
        if self._clock() - self._looked_at < LOOK_EVERY_S or self._is_looking.locked():
            return
        self._looked_at = self._clock()
        with anyio.move_on_after(self._patience_s):
            await to_thread.run_sync(self._look, abandon_on_cancel=True)
        if self._told is not self._registry:
            self._told = self._registry
            self.on_change()

    def _look(self) -> None:
        """In a thread, of which there is one at a time, also when a disk never answers."""
        with self._is_looking:
            self._read_if_changed()

    def _tell(self, problem: str) -> None:
        """Once: it is looked every second."""
        if problem != self._problem:
            logger.error("the tools stay as they were: %s", problem)
        self._problem = problem

    def _read_if_changed(self) -> None:
        """What is found is put in place by one assignment."""
        try:
            seen = self._fingerprint()
            if seen == self._seen:
                return
            registry = self._load()
        except ConfigError as error:
            self._tell("; ".join(error.mistakes))
            return
        except Exception as error:
            self._tell(f"{type(error).__name__} while reading")
            return
        self._problem = ""
        self._seen = seen  # not before: what could not be read is read again at the next look
        _log_change(self._registry, registry)
        self._registry = registry


def folders_fingerprint(dirs: Sequence[Path]) -> bytes:
    """A digest of the names, sizes, times and modes of what lies in tools folders. Blocks.

    Two levels deep, at most 10,000 entries. Never raises: what cannot be read counts as such.
    """
    digest = hashlib.blake2b(digest_size=16)
    for line in islice(_lines(dirs), _MAX_SEEN):
        digest.update(line)
    return digest.digest()


def _lines(dirs: Sequence[Path]) -> Iterator[bytes]:
    for tools_dir in dirs:
        for entry in _entries(tools_dir):
            yield _line(entry)
            if entry.is_dir():
                yield from map(_line, _entries(entry))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(islice(folder.iterdir(), _MAX_SEEN))
    except OSError:
        return []


def _line(path: Path) -> bytes:
    try:
        found = path.stat()
    except OSError:
        facts: tuple[int, ...] = ()
    else:
        facts = (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return os.fsencode(path) + repr(facts).encode()


def _log_change(old: Registry, new: Registry) -> None:
    added, removed = new.tools.keys() - old.tools.keys(), old.tools.keys() - new.tools.keys()
    parts = [
        f"{word} {', '.join(sorted(names)[:_MAX_SHOWN])}"
        for word, names in (("new:", added), ("gone:", removed))
        if names
    ]
    counts = f"{len(new.tools)} tools, {len(new.quarantined)} in quarantine"
    logger.info("the tools were read anew: %s", "; ".join([counts, *parts]))
