"""One output stream of a call, as it comes: its beginning and its end, in bounded memory.

One job: that. It must not know tools.
"""

from dataclasses import dataclass, field

HEAD_BYTES = 48 * 2**10  # with the tail as much as a result of ours shows of a stream by default
TAIL_BYTES = 16 * 2**10


@dataclass(slots=True)
class Captured:
    """What was written so far. ``tail_bytes`` is kept of the end, behind the first 48 KiB."""

    tail_bytes: int = TAIL_BYTES
    _head: bytearray = field(default_factory=bytearray)
    _tail: bytearray = field(default_factory=bytearray)
    _omitted: int = 0

    def add(self, data: bytes) -> None:
        room = HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        over = len(self._tail) - self.tail_bytes
        if over > 0:
            del self._tail[:over]
            self._omitted += over

    @property
    def end(self) -> bytes:
        """All that is kept, when nothing was left out; otherwise the tail alone."""
        return bytes(self._tail) if self._omitted else bytes(self._head + self._tail)

    def text(self, handle: str = "") -> str:
        """The stream as text, without its last line end; what was left out is told in between.

        ``handle`` is that of `read_output` for the whole, if there is one.
        """
        head, tail = self._head.decode(errors="replace"), self._tail.decode(errors="replace")
        if not self._omitted:
            return (self._head + self._tail).decode(errors="replace").removesuffix("\n")
        more = f'; to read them: read_output, handle "{handle}"' if handle else ""
        return f"{head}\n[{self._omitted} bytes left out{more}]\n{tail}".removesuffix("\n")
