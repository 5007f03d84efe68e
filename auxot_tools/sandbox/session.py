"""Sessions: a box that keeps files and processes between the calls of one tenant and session.

One job: which box a session's next call gets, one call at a time, and when a session ends. Why one
ended is remembered, for the next call's notice. Times are of the pool's clock.
"""

from collections import OrderedDict
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from auxot_tools.errors import Unavailable
from auxot_tools.ports import BoxOwner
from auxot_tools.sandbox.box import KILL_GRACE_S
from auxot_tools.sandbox.kind import BoxKind
from auxot_tools.sandbox.live import LiveBox
from auxot_tools.sandbox.pool import CLOSED, Pool

RECOVERY_LIMIT_S = KILL_GRACE_S + 2.0  # a kill's grace, then the next call's place
_REASONS = 1024  # of ended sessions are remembered; older ones start anew without a notice
NOTICE = "The session was started anew: {reason}. Files and processes of earlier calls are gone."
IDLE = "it was not used for {idle_s:.0f} s"
OLD = "it was older than {age_s:.0f} s"
TOO_MANY = "it had to make room for another session"
ENDED = "its container ended"

_Key = tuple[str, str, BoxKind]  # tenant, session, kind


@dataclass(slots=True, eq=False)
class _Session:
    """``box`` is `None` while it is made; ``is_busy`` also while it recovers from a call."""

    key: _Key
    started_at: float
    used_at: float
    box: LiveBox | None = None
    is_busy: bool = True


@dataclass(frozen=True, slots=True)
class SessionBox:
    """What a call gets: the session's box, and what the model should know of it."""

    box: LiveBox
    notice: str


class Sessions:
    """The boxes of isolation `session`."""

    def __init__(self, pool: Pool, tasks: TaskGroup) -> None:
        self._pool = pool
        self._tasks = tasks
        self._options = pool.options
        self._sessions: dict[_Key, _Session] = {}  # bounded, see `_make_place`
        self._reasons: OrderedDict[_Key, str] = OrderedDict()
        self._changed = anyio.Event()  # a session became idle, or is gone
        self._closed = False

    async def take(self, owner: BoxOwner, kind: BoxKind) -> SessionBox:
        """The session's box, for one call; the caller bounds the wait. Made when there is none.

        Raises what `Pool.take` raises. Cancelled, it leaves nothing behind.
        """
        key = (owner.tenant, owner.session, kind)
        while True:
            if self._closed:
                raise Unavailable(CLOSED)
            changed = self._changed
            session = self._sessions.get(key)
            if session is not None and not session.is_busy:
                if (box := self._resume(session)) is not None:
                    return SessionBox(box, "")
                continue
            if session is None and self._make_place(owner.tenant):
                return await self._begin(key)
            await changed.wait()

    def has(self, owner: BoxOwner, kind: BoxKind) -> bool:
        """Whether there is such a session."""
        return (owner.tenant, owner.session, kind) in self._sessions

    def put_back(self, owner: BoxOwner, box: LiveBox) -> None:
        """After a call: the session waits for its next one, or has ended. Does not wait."""
        session = self._sessions.get((owner.tenant, owner.session, box.kind))
        if session is None or session.box is not box:  # it was closed meanwhile
            self._pool.dispose(box)
        elif box.spoiled or box.is_ready:
            self._rest(session, box)
        else:
            self._tasks.start_soon(self._recover, session, box)

    def sweep(self) -> None:
        """End what is idle or old. To be called every few seconds."""
        for session in list(self._sessions.values()):
            if not session.is_busy and (reason := self._expired(session)):
                self._end(session, reason)

    def close(self) -> None:
        """End every session that rests; what is busy will end when it comes back."""
        self._closed = True
        for session in list(self._sessions.values()):
            if not session.is_busy:
                self._end(session, CLOSED)
        self._sessions.clear()
        self._notify()

    @property
    def count(self) -> int:
        return len(self._sessions)

    # -- the life of one session

    async def _begin(self, key: _Key) -> SessionBox:
        now = self._pool.clock()
        session = self._sessions[key] = _Session(key, now, now)
        try:
            session.box = await self._pool.take(key[2])
        except BaseException:
            self._forget(session)
            raise
        reason = self._reasons.pop(key, "")
        return SessionBox(session.box, NOTICE.format(reason=reason) if reason else "")

    def _resume(self, session: _Session) -> LiveBox | None:
        """The box of a session that rests; `None` when its time is over, and it is ended."""
        reason = self._expired(session)
        if reason or session.box is None:
            self._end(session, reason or ENDED)
            return None
        session.box.unwatch()
        session.is_busy = True
        return session.box

    def _expired(self, session: _Session) -> str:
        now = self._pool.clock()
        if now - session.started_at > self._options.session_age_s:
            return OLD.format(age_s=self._options.session_age_s)
        if now - session.used_at > self._options.session_idle_s:
            return IDLE.format(idle_s=self._options.session_idle_s)
        return ""

    async def _recover(self, session: _Session, box: LiveBox) -> None:
        try:
            await box.recover(RECOVERY_LIMIT_S)
        except BaseException:
            box.spoil(CLOSED)
            raise
        finally:
            self._rest(session, box)

    def _rest(self, session: _Session, box: LiveBox) -> None:
        if box.spoiled or self._sessions.get(session.key) is not session:
            self._end(session, box.spoiled)
            return
        session.is_busy = False
        session.used_at = self._pool.clock()
        box.watch(lambda _box: self._end(session, ENDED))
        self._notify()

    def _end(self, session: _Session, reason: str) -> None:
        self._reasons[session.key] = reason
        while len(self._reasons) > _REASONS:
            self._reasons.popitem(last=False)
        self._forget(session)
        if session.box is not None:
            self._pool.dispose(session.box)

    def _forget(self, session: _Session) -> None:
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # -- bounds

    def _make_place(self, tenant: str) -> bool:
        """Room for one session more of this tenant. False: all that could give way are busy."""
        own = [session for session in self._sessions.values() if session.key[0] == tenant]
        if len(own) >= self._options.sessions_per_tenant and not self._end_oldest(own):
            return False
        everyone = list(self._sessions.values())
        return len(everyone) < self._options.sessions or self._end_oldest(everyone)

    def _end_oldest(self, sessions: list[_Session]) -> bool:
        idle = [session for session in sessions if not session.is_busy]
        if not idle:
            return False
        self._end(min(idle, key=lambda session: session.used_at), TOO_MANY)
        return True
