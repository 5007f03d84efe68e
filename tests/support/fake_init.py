"""Living boxes without containers: a socket pair, with the test playing PID 1 at its other end.

For the parts of the sandbox that hand boxes around. It knows no engine.
"""

import socket
import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from auxot_tools.ports import BoxLimits, BoxSpec, Isolation
from auxot_tools.sandbox.channel import Channel
from auxot_tools.sandbox.frames import FrameReader
from auxot_tools.sandbox.kind import BoxKind, kind_of
from auxot_tools.sandbox.live import LiveBox


def kind(isolation: Isolation = "call", image: str = "") -> BoxKind:
    """A kind of box, another for each image."""
    return kind_of(BoxSpec(image, BoxLimits(), isolation))


class FakeInit:
    """PID 1 of one box; what it says is sent at once, and heard when the worker reads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(10)  # no test waits longer for the worker's words

    def say(self, letter: bytes, payload: bytes = b"") -> None:
        self._connection.sendall(struct.pack(">cI", letter, len(payload)) + payload)

    def hear(self) -> bytes:
        """What the worker has said; blocks until it says something or hangs up."""
        return self._connection.recv(2**20)

    def hear_nothing_more(self) -> None:
        """What was said arrives, and then the end; the worker may still send."""
        self._connection.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        self._connection.close()


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeBoxes:
    """Stands for the launcher: makes boxes that are ready, and notes what was thrown away.

    With ``error`` making fails. While ``gate`` is not set, making waits for it.
    """

    clock: Clock = field(default_factory=Clock)
    error: Exception | None = None
    gate: anyio.Event | None = None
    asked: list[BoxKind] = field(default_factory=list)
    made: list[LiveBox] = field(default_factory=list)
    disposed: list[LiveBox] = field(default_factory=list)
    making: int = 0
    most_making: int = 0
    _inits: dict[str, FakeInit] = field(default_factory=dict)

    async def make(self, wanted: BoxKind) -> LiveBox:
        self.asked.append(wanted)
        self.making += 1
        self.most_making = max(self.most_making, self.making)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await anyio.lowlevel.checkpoint()
            if self.error is not None:
                raise self.error
            return self.new(wanted)
        finally:
            self.making -= 1

    def new(self, wanted: BoxKind) -> LiveBox:
        ours, theirs = socket.socketpair()
        name = f"box-{len(self.made)}"
        box = LiveBox(
            container_id=name,
            name=name,
            kind=wanted,
            form="uid",
            uid=63000,
            channel=Channel(ours),
            reader=FrameReader(),
            made_at=self.clock(),
        )
        box.is_ready = True
        self._inits[name] = FakeInit(theirs)
        self.made.append(box)
        return box

    def init(self, box: LiveBox) -> FakeInit:
        return self._inits[box.name]

    def dispose(self, box: LiveBox) -> None:
        assert box not in self.disposed, "a box is thrown away once"
        box.close()
        self.disposed.append(box)

    @property
    def alive(self) -> list[LiveBox]:
        return [box for box in self.made if box not in self.disposed]

    def close(self) -> None:
        for box in self.alive:
            box.close()
        for init in self._inits.values():
            init.end()


@contextmanager
def fake_boxes() -> Generator[FakeBoxes, None, None]:
    """Boxes whose sockets are closed at the end."""
    boxes = FakeBoxes()
    try:
        yield boxes
    finally:
        boxes.close()


def serve(box: LiveBox) -> None:
    """What a call does to a box: PID 1 has to become ready again."""
    box.is_ready = False
    box.calls += 1
