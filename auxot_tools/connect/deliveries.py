"""Which results are still owed to the router, and in which order they may be sent.

One job: from jobs, connections, results and confirmations to the next result to send. Pure: no
clock, no sockets. It must not know how a job is run.

The Auxot router counts: each `tool_result` lowers the number of calls that its round waits for, and
a second one for the same call lowers it again, so that the round ends before the others have
answered. A result that never comes leaves the round waiting for ever. So each has to arrive once,
and the router acknowledges none. What it does do is answer WebSocket pings, in order, after what it
read before them. Hence the rule:

- A result is *confirmed* when the pong of a ping that followed it arrives. It is not sent again.
  (A proxy passes pings on. One that answered them itself would confirm too early, and a result that
  it then lost would stay lost.)
- When a connection ends, those sent on it and not confirmed are *in doubt*: of their sequence the
  router has read a beginning, of unknown length. They are sent again on the next connection, after
  the results of their round that were surely never sent, *the last first*. Then the first to arrive
  are just those that the router misses, its count comes to zero, and what follows belongs to no
  round and is dropped. (A second loss before all are confirmed can make this wrong; then the round
  ends early, which the model sees as a missing result, and does not wait for ever.)
- A job that comes again while it runs is not run again. One that comes again on the connection
  that its result was sent on is a repeat: nothing is sent. One that comes again on a later
  connection is asked for anew, by a router that lost what it knew: it gets the kept result, once.

    running ─▶ unsent ─▶ sent ─▶ confirmed ─▶ forgotten, the oldest first
                  ▲        └──▶ in doubt ─▶ sent
                  └────────────── asked again on a later connection
"""

from dataclasses import dataclass
from enum import Enum, auto

# Results that the router has, kept for jobs that it sends again. A job is some KB.
KEPT_JOBS = 1024
KEPT_BYTES = 16 * 2**20
# A router that never confirms is sent the same so often; then it is taken as delivered.
MAX_SENDINGS = 5
# Results that it has not: while it is away, finished jobs wait here. Images are the large ones.
OWED_BYTES = 128 * 2**20


class _State(Enum):
    RUNNING = auto()
    UNSENT = auto()
    SENT = auto()
    IN_DOUBT = auto()
    CONFIRMED = auto()


class Offer(Enum):
    """What a job is when it arrives."""

    NEW = auto()
    RUNNING = auto()  # it is being run; its result will be sent
    REPEATED = auto()  # it was answered on this connection
    ASKED_AGAIN = auto()  # its result will be sent again


@dataclass(slots=True)
class _Entry:
    parent: str
    state: _State = _State.RUNNING
    frame: bytes = b""
    number: int = 0  # of its last sending; numbers rise over all connections
    connection: int = 0  # on which it was last sent
    sendings: int = 0


class Deliveries:
    """The jobs that are running or owed, and those that were answered lately."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # The ids of each state, in the order in which they came to it.
        self._ids: dict[_State, dict[str, None]] = {state: {} for state in _State}
        self._kept_bytes = 0
        self._owed_bytes = 0
        self._number = 0

    @property
    def owed(self) -> int:
        """Results that the router has not confirmed, those of running jobs not counted."""
        return sum(len(self._ids[state]) for state in _OWED)

    @property
    def unsent(self) -> int:
        """Results that were never sent."""
        return len(self._ids[_State.UNSENT])

    def offer(self, job_id: str, parent: str, connection: int) -> Offer:
        """A job came on this connection."""
        entry = self._entries.get(job_id)
        if entry is None:
            self._entries[job_id] = _Entry(parent)
            self._ids[_State.RUNNING][job_id] = None
            return Offer.NEW
        if entry.state is _State.RUNNING:
            return Offer.RUNNING
        if entry.state in {_State.SENT, _State.CONFIRMED} and entry.connection == connection:
            return Offer.REPEATED
        entry.sendings = 0
        self._set(job_id, _State.UNSENT)
        return Offer.ASKED_AGAIN

    def finish(self, job_id: str, frame: bytes, instead: bytes) -> bool:
        """A job has ended with ``frame``; ``instead`` is kept where there is no room for it.

        Whether there was room.
        """
        fits = self._owed_bytes + len(frame) <= OWED_BYTES
        self._entries[job_id].frame = frame if fits else instead
        self._set(job_id, _State.UNSENT)
        return fits

    def next_to_send(self, connection: int) -> tuple[int, bytes] | None:
        """The next result that may be sent, with its number; it then counts as sent."""
        job_id = next(iter(self._ids[_State.UNSENT]), "") or self._in_doubt()
        if not job_id:
            return None
        entry = self._entries[job_id]
        self._number += 1
        entry.number, entry.connection = self._number, connection
        entry.sendings += 1
        self._set(job_id, _State.SENT)
        return self._number, entry.frame

    def _in_doubt(self) -> str:
        """The last sent of those in doubt whose round owes nothing else; empty for none."""
        in_doubt = self._ids[_State.IN_DOUBT]
        if not in_doubt:
            return ""
        waited_for = {self._entries[job_id].parent for job_id in self._ids[_State.RUNNING]}
        free = (one for one in in_doubt if self._entries[one].parent not in waited_for)
        return max(free, key=lambda job_id: self._entries[job_id].number, default="")

    def confirm(self, number: int) -> None:
        """The router has read everything that was sent up to this number."""
        for job_id in list(self._ids[_State.SENT]):
            if self._entries[job_id].number > number:
                break  # they are in the order in which they were sent
            self._set(job_id, _State.CONFIRMED)
        self._forget()

    def connection_lost(self) -> int:
        """The connection has ended; how many results are in doubt now."""
        for job_id in list(self._ids[_State.SENT]):
            is_enough = self._entries[job_id].sendings >= MAX_SENDINGS
            self._set(job_id, _State.CONFIRMED if is_enough else _State.IN_DOUBT)
        self._forget()
        return len(self._ids[_State.IN_DOUBT])

    def _set(self, job_id: str, state: _State) -> None:
        entry = self._entries[job_id]
        size = len(entry.frame)
        self._owed_bytes += size * ((state in _OWED) - (entry.state in _OWED))
        self._kept_bytes += size * ((state is _State.CONFIRMED) - (entry.state is _State.CONFIRMED))
        self._ids[entry.state].pop(job_id)
        self._ids[state][job_id] = None
        entry.state = state

    def _forget(self) -> None:
        kept = self._ids[_State.CONFIRMED]
        while len(kept) > KEPT_JOBS or self._kept_bytes > KEPT_BYTES:
            oldest = next(iter(kept))
            del kept[oldest]
            self._kept_bytes -= len(self._entries.pop(oldest).frame)


_OWED = {_State.UNSENT, _State.SENT, _State.IN_DOUBT}
