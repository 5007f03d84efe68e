"""What a worker says of itself: the shape ``GetInfo`` is answered from, and the answer as a value.

Must not know gRPC, nor who keeps the counters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

CONTRACT_VERSION = 1  # of proto/auxot_tools/v1/tools.proto


class WorkerInfo(Protocol):
    """Read at each ``GetInfo``; every property is cheap and never raises."""

    @property
    def worker_id(self) -> str:
        """This worker's identity, new at each start."""
        ...

    @property
    def software_version(self) -> str: ...

    @property
    def capabilities(self) -> Sequence[str]:
        """One word each, for example ``isolation:call``."""
        ...

    @property
    def free_slots(self) -> int:
        """Calls that could start at once."""
        ...

    @property
    def total_slots(self) -> int:
        """Calls that can run side by side at most."""
        ...

    @property
    def waiting_calls(self) -> int:
        """Calls accepted and waiting for a slot."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A ``WorkerInfo`` as it was at one moment: what ``GetInfo`` told."""

    worker_id: str = ""
    software_version: str = ""
    capabilities: tuple[str, ...] = ()
    free_slots: int = 0
    total_slots: int = 0
    waiting_calls: int = 0
    contract_version: int = CONTRACT_VERSION
