"""The stream of files that PID 1 took out of a box -> the port's values.

Pure. A name was chosen by the program: it is data here, and no path is ever made of it. What PID 1
did not finish telling is told as lost.
"""

import struct

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.ports import CollectLimits, LeftOutFile, OutputFile

_LENGTH = struct.Struct(">H")
_SIZE = struct.Struct(">Q")
THE_REST = "(the rest)"  # in the place of names that never came
_REASONS = {"too_large", "not_a_file", "too_many", "total", "unreadable", "name"}
# Names and reasons of what was left out: every inode of a disk, with a name of 255 bytes.
_NAMES_LIMIT_BYTES = 4 * 2**20

Collected = tuple[tuple[OutputFile, ...], tuple[LeftOutFile, ...]]


class _Incomplete(Exception):
    """The stream ends within a record."""


class FileCollector:
    """Takes the stream's pieces; bounded by what the call asked for."""

    def __init__(self, limits: CollectLimits | None) -> None:
        self._limit_bytes = 0 if limits is None else limits.total_bytes + _NAMES_LIMIT_BYTES
        self._stream = bytearray()
        self._is_wanted = limits is not None
        self._has_end = False

    def add(self, piece: bytes) -> None:
        """Raises `RemoteProtocolError` when there is more than was asked for."""
        if len(self._stream) + len(piece) > self._limit_bytes:
            raise RemoteProtocolError("the sandbox sent more files than it was asked for")
        self._stream += piece

    @property
    def is_whole(self) -> bool:
        """After `collected`: whether the stream came to its own end, or none was asked for."""
        return self._has_end or not self._is_wanted

    def collected(self) -> Collected:
        """The files, and those left out. Raises `RemoteProtocolError`."""
        files: list[OutputFile] = []
        left_out: list[LeftOutFile] = []
        cursor = _Cursor(memoryview(self._stream))
        while cursor.left:
            name = ""
            try:
                kind = cursor.take(1)
                name = "" if kind == b"d" else cursor.text()
                if kind == b"f":
                    files.append(OutputFile(name, cursor.take(*_SIZE.unpack(cursor.take(8)))))
                elif kind == b"d":
                    self._has_end = True
                elif kind == b"u":
                    left_out.append(LeftOutFile(name, _reason(cursor.text())))
                else:
                    raise RemoteProtocolError("the sandbox sent files in an unknown form")
            except _Incomplete:
                if name:
                    left_out.append(LeftOutFile(name, "lost"))
                break
        return tuple(files), tuple(left_out)


class _Cursor:
    def __init__(self, data: memoryview) -> None:
        self.left = data

    def take(self, count: int) -> bytes:
        if count > len(self.left):
            raise _Incomplete
        taken, self.left = bytes(self.left[:count]), self.left[count:]
        return taken

    def text(self) -> str:
        (length,) = _LENGTH.unpack(self.take(_LENGTH.size))
        return self.take(length).decode("utf-8", "replace")


def _reason(word: str) -> str:
    if word not in _REASONS:
        raise RemoteProtocolError("the sandbox gave an unknown reason for a file left out")
    return word
