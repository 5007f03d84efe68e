"""The settings of a `DockerSandbox`, with what each bounds. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ChannelChoice = Literal["auto", "unix", "attach"]


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How boxes are made, kept and bounded. Counts are 1 or more where 0 makes no sense.

    ``engine_url`` "" means where Docker's own settings point. ``image_base`` and
    ``image_packages`` are what the image was built with (see `image.build_image`). ``runtime`` ""
    is the engine's default. ``channel`` is probed with "auto". ``ready`` boxes of each kind in use
    wait for a call; with 0
    each is made when it is asked for.
    """

    concurrency: int = 4  # boxes in use at once; a further claim waits
    engine_url: str = ""
    image: str = ""  # that calls need as long as nobody has said which are kept; "": the default
    image_base: str = ""
    image_packages: str = "standard"
    runtime: str = ""
    channel: ChannelChoice = "auto"
    ready: int = 2
    kinds: int = 8  # for which boxes wait at once; the least recently used gives way
    kind_idle_s: float = 300.0  # after which no box waits for a kind any more
    ready_age_s: float = 1800.0  # how long a box waits unused before another takes its place
    hint_s: float = 30.0  # how long a box that `prepare` asked for waits for its call
    warm_calls: int = 1000  # calls that one warm container serves
    warm_idle_s: float = 300.0
    warm_age_s: float = 3600.0
    session_idle_s: float = 600.0
    session_age_s: float = 3600.0
    sessions_per_tenant: int = 4
    sessions: int = 64
    call_limit_s: float = 3600.0  # the longest time limit of a call; labels promise by it
    watch_s: float = 5.0  # how often the engine is asked whether all is well
    reconcile_s: float = 60.0  # how often the engine's containers are compared with ours
    run_dir: Path | None = None  # for sockets; by default a place of this user's

    @property
    def lease_s(self) -> float:
        """The longest that a container may live: waiting, then kept, then in its last call."""
        return self.ready_age_s + max(self.warm_age_s, self.session_age_s) + self.call_limit_s
