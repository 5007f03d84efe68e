"""PID 1's end of the channel: whole frames in, whole frames out, nothing ever waited for.

One job: bytes. It knows no frame's meaning. Standard library only.
"""

import os

from kernel import HEADER

READ_BYTES = 64 << 10
COMPLAINT_BYTES = 4096


class Ended(Exception):
    """The worker is gone."""


class Channel:
    """Two descriptors, or one twice."""

    def __init__(self, incoming, outgoing):
        self.incoming, self.outgoing = incoming, outgoing
        os.set_blocking(incoming, False)
        os.set_blocking(outgoing, False)
        self.received = bytearray()
        self.unsent = b""

    def receive(self):
        """The frames that are whole now. Raises `Ended`."""
        try:
            data = os.read(self.incoming, READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            raise Ended from None
        if not data:
            raise Ended
        self.received += data
        return list(self.whole_frames())

    def whole_frames(self):
        at = 0
        while len(self.received) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(self.received, at)
            end = at + HEADER.size + length
            if len(self.received) < end:
                break
            yield kind, bytes(self.received[at + HEADER.size : end])
            at = end
        del self.received[:at]

    def queue(self, kind, payload=b""):
        self.unsent += HEADER.pack(kind, len(payload)) + payload
        self.send()

    def send(self):
        """As much as goes. Raises `Ended`."""
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.outgoing, self.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            raise Ended from None

    def complain(self, text):
        """The last that is ever sent: why PID 1 ends. Waits for the worker to read it."""
        os.set_blocking(self.outgoing, True)
        try:
            self.queue(b"z", text.encode(errors="replace")[-COMPLAINT_BYTES:])
        except Ended:
            pass

    def close(self):
        for fd in {self.incoming, self.outgoing}:
            os.close(fd)
