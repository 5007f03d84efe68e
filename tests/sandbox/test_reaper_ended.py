"""Boxes whose worker cannot be seen, such as one in another container: removed when they ended."""

from typing import Any, cast

import docker
import pytest
from docker.errors import NotFound

from auxot_tools.sandbox.profile import Identity, labels
from auxot_tools.sandbox.reaper import ENDED_S, remove_leftovers

ME = Identity("me", "", "boot-1", "pid:[1]", 1, 1000)
UNSEEN = Identity("in another container", "", "boot-1", "pid:[2]", 1, 900)
LIVING = Identity("beside me", "", "boot-1", "pid:[1]", 20, 2000)
NOW = 1_000_000.0
NOON = "2026-01-31T12:00:00.123456789"


class FakeEngine:
    """Has one container, which ended at `finished`; its clock says `now`."""

    def __init__(self, owner: Identity, state: str, finished: str | None, now: str) -> None:
        self.found = {"Id": "box", "State": state, "Labels": labels(owner, NOW + 10_000)}
        self.finished, self.now = finished, now
        self.removed: list[str] = []

    def containers(self, **_options: object) -> list[dict[str, Any]]:
        return [self.found]

    def info(self) -> dict[str, Any]:
        return {"SystemTime": self.now}

    def inspect_container(self, container: str) -> dict[str, Any]:
        if self.finished is None:
            raise NotFound("gone")
        return {"State": {"FinishedAt": self.finished}}

    def remove_container(self, container: str, **_options: object) -> None:
        self.removed.append(container)


def is_removed(engine: FakeEngine) -> bool:
    remove_leftovers(cast("docker.APIClient", engine), ME, NOW, {1: 1000, 20: 2000}.get)
    return engine.removed == ["box"]


@pytest.mark.parametrize(
    ("owner", "state", "now", "goes"),
    [
        (UNSEEN, "exited", "2026-01-31T12:05:01Z", True),
        (UNSEEN, "dead", "2026-01-31T12:05:01.5Z", True),
        (UNSEEN, "exited", "2026-01-31T14:05:01.9+02:00", True),
        (UNSEEN, "exited", "2026-01-31T12:04:59Z", False),
        (UNSEEN, "running", "2026-01-31T13:00:00Z", False),
        (UNSEEN, "created", "2026-01-31T13:00:00Z", False),
        (LIVING, "exited", "2026-01-31T13:00:00Z", False),
    ],
)
def test_a_box_of_an_unseen_worker_goes_when_it_ended_a_while_ago(
    owner: Identity, state: str, now: str, goes: bool
) -> None:
    assert ENDED_S == 300
    assert is_removed(FakeEngine(owner, state, f"{NOON}Z", now)) is goes


def test_a_box_that_goes_meanwhile_is_no_trouble() -> None:
    assert not is_removed(FakeEngine(UNSEEN, "exited", None, "2026-01-31T12:00:00Z"))
