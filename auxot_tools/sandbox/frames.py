"""The words between the worker and PID 1 of a box, as bytes. The other side is `sandbox/init/`.

Pure: bytes in, frames out, no matter where the bytes were cut. It knows nothing of sockets.
"""

import dataclasses
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auxot_tools.errors import RemoteProtocolError
from auxot_tools.ports import Program
from auxot_tools.sandbox.outcome import ChannelFacts
from auxot_tools.types import InputFile

REQUEST_LIMIT_BYTES = 64 * 2**20  # PID 1 refuses more; equals REQUEST_LIMIT_BYTES there
KILL = struct.pack(">cI", b"k", 0)

_HEADER = struct.Struct(">cI")
_ENGINE_HEADER = struct.Struct(">BxxxI")  # Engine API, "attach": stream type, length
_ENGINE_STDERR = 2
_FRAME_LIMIT_BYTES = 64 * 2**10  # PID 1 sends no longer ones
_OUTPUT_KINDS = {b"o", b"e"}
_COMPLAINT_LIMIT_BYTES = 4096  # of PID 1's own stderr, for our log


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from PID 1: its letter and its payload.

    `h` hello, `n` this form cannot be had here, `r` ready for a request, `s` the program runs,
    `o` and `e` its output, `c` a piece of the collected files, `x` how it ended, `f` it did not
    start, `z` PID 1 has a bug.
    """

    kind: bytes
    payload: bytes


def encode_request(program: Program, timeout_s: float, cpu: int = 0) -> bytes:
    """Everything that PID 1 needs to run `program`, ending with the word to start.

    Its variables must have passed `variables.refusal_of`.
    """
    parts = [_frame(b"a", argument.encode()) for argument in program.command]
    parts += [_frame(b"v", f"{name}={value}".encode()) for name, value in program.env]
    parts.append(_frame(b"i", program.stdin))
    parts += [_frame(b"t", _file(file)) for file in program.tool_files]
    parts += [_frame(b"w", _file(file)) for file in program.work_files]
    collect = None if program.collect is None else dataclasses.asdict(program.collect)
    go = {"timeout_s": timeout_s, "cpu": cpu, "collect": collect}
    parts.append(_frame(b"g", json.dumps(go).encode()))
    return b"".join(parts)


def last_word(frame: Frame) -> ChannelFacts | None:
    """What an `x` or `f` frame says; `None` for the other kinds. Raises `RemoteProtocolError`."""
    if frame.kind == b"f":
        return ChannelFacts(not_started=frame.payload.decode("ascii", "replace"))
    if frame.kind != b"x":
        return None
    try:
        how, number, _oom, kills, _pids, refused = frame.payload.split()
        code, facts = int(number), ChannelFacts(oom_kills=int(kills), refused_forks=int(refused))
    except ValueError as error:
        raise RemoteProtocolError("the sandbox's last word is malformed") from error
    if how == b"exit":
        return dataclasses.replace(facts, exit_code=code)
    if how == b"signal":
        return dataclasses.replace(facts, signal=code)
    if how == b"stopped":
        return dataclasses.replace(facts, stopped_outside=True)
    raise RemoteProtocolError("the sandbox's last word is malformed")


def hello(frame: Frame) -> dict[str, object]:
    """What PID 1 says of itself in its first frame. Raises `RemoteProtocolError`."""
    try:
        said = json.loads(frame.payload)
    except ValueError as error:
        raise RemoteProtocolError("the sandbox's first word is malformed") from error
    if frame.kind != b"h" or not isinstance(said, dict):
        raise RemoteProtocolError("the sandbox's first word is malformed")
    return said


def join_output(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, with neighbours of one stream joined while they are at most 64 KiB together.

    So a program that writes a byte at a time does not make a message of each.
    """
    kind, parts, size = b"", list[bytes](), 0
    for frame in frames:
        fits = frame.kind == kind and size + len(frame.payload) <= _FRAME_LIMIT_BYTES
        if parts and not fits:
            yield Frame(kind, b"".join(parts))
            parts, size = [], 0
        if frame.kind not in _OUTPUT_KINDS:
            yield frame
            continue
        kind = frame.kind
        parts.append(frame.payload)
        size += len(frame.payload)
    if parts:
        yield Frame(kind, b"".join(parts))


class FrameReader:
    """Unpacks PID 1's frames from a stream that carries nothing else."""

    def __init__(self) -> None:
        self._frames = bytearray()
        self.complaint = b""  # what PID 1 wrote to stderr, where that can be seen: it has a bug

    def feed(self, data: bytes | bytearray) -> list[Frame]:
        """The frames that are complete now. Raises `RemoteProtocolError`."""
        self._frames += data
        return list(self._whole_frames())

    def _whole_frames(self) -> Iterator[Frame]:
        at = 0
        while len(self._frames) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._frames, at)
            if length > _FRAME_LIMIT_BYTES:
                raise RemoteProtocolError("the sandbox sent a frame that is too long")
            end = at + _HEADER.size + length
            if len(self._frames) < end:
                break
            yield Frame(kind, bytes(self._frames[at + _HEADER.size : end]))
            at = end
        del self._frames[:at]


class AttachedReader(FrameReader):
    """The same for the engine's stream of two channels: the frames are in the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self._engine = bytearray()
        self._left = 0  # of the engine's current chunk
        self._from_stderr = False

    def feed(self, data: bytes | bytearray) -> list[Frame]:
        """Contract: `FrameReader.feed`."""
        self._engine += data
        words = bytearray()
        while self._engine:
            if self._left == 0:
                if len(self._engine) < _ENGINE_HEADER.size:
                    break
                stream, self._left = _ENGINE_HEADER.unpack_from(self._engine)
                self._from_stderr = stream == _ENGINE_STDERR
                del self._engine[: _ENGINE_HEADER.size]
            piece = self._engine[: self._left]
            del self._engine[: self._left]
            self._left -= len(piece)
            if self._from_stderr:
                self.complaint = (self.complaint + piece)[:_COMPLAINT_LIMIT_BYTES]
            else:
                words += piece
        return super().feed(words)


def _frame(kind: bytes, payload: bytes) -> bytes:
    return _HEADER.pack(kind, len(payload)) + payload


def _file(file: InputFile) -> bytes:
    name = file.name.encode()
    return struct.pack(">H", len(name)) + name + file.data
