"""What attempts at a request have done already."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from auxot_tools.types import JSON, ToolResult


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round that an earlier attempt got through, in part or whole.

    ``turn`` holds the upstream's events, which make the turn again; ``results`` what its calls
    answered, by ``tool_use_id``. A call without a result was begun, and how it ended is not known.
    """

    turn: tuple[JSON, ...]
    results: Mapping[str, ToolResult]


class Attempt(Protocol):
    """One attempt at answering a request. Used by one request."""

    @property
    def past(self) -> Sequence[PastRound]:
        """What earlier attempts did, to go on from: none of it is to be done again."""
        ...

    @property
    def provider(self) -> str:
        """The name of the provider that the past rounds came from; empty when it is not known."""
        ...

    @property
    def answer(self) -> JSON | None:
        """The whole message, when an earlier attempt completed it and its client has not got it."""
        ...

    @property
    def can_be_repeated(self) -> bool:
        """Whether a repeat of the request will find what this attempt did."""
        ...

    async def until_unwanted(self) -> None:
        """Wait, after its client has left, until nobody is interested in this attempt.

        At once when it has run no tool; else once no other attempt waits for it, nor comes to wait
        within a moment.
        """
        ...

    def note_turn(self, turn: Sequence[JSON], provider: str = "") -> None:
        """The calls of this turn, which came from ``provider``, are run from now on."""
        ...

    def note_result(self, result: ToolResult) -> None:
        """A call of the last noted turn has ended."""
        ...

    def complete(self, message: JSON) -> None:
        """The message is whole."""
        ...

    def delivered(self) -> None:
        """It has been sent. Unless its client had left, nothing of this attempt is used again."""
        ...


class Ledger(Protocol):
    """What attempts at a request have already done, so that its repeat does not do it again.

    ``owner`` is the key's name: what one key does neither finds nor displaces what another did.
    """

    def knows(self, owner: str, digest: bytes) -> bool:
        """Whether there is something to go on from, or an attempt to wait for."""
        ...

    def attempt(self, owner: str, digest: bytes) -> AbstractAsyncContextManager[Attempt]:
        """Begin an attempt at the request with this digest.

        Waits for another attempt at it that lives and has run tools, until its message is whole. An
        attempt that is left without ``complete``, or whose client had left before that, is kept for
        a while for the next one.
        """
        ...
