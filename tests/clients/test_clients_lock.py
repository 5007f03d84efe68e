"""The clients are exactly the ones we say, wherever they come from."""

import json
import re
from typing import Any

from tests.clients.programs import PINNED, SCRIPTS

LOCK = (SCRIPTS / "package-lock.json").read_text("utf-8")


def packages() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(LOCK)["packages"]
    return {name: entry for name, entry in found.items() if name}


def test_every_client_is_pinned_to_one_version_and_the_lock_agrees() -> None:
    assert [pin for pin in PINNED.values() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    locked = {name: packages()[f"node_modules/{name}"]["version"] for name in PINNED}
    assert locked == PINNED


def test_every_package_has_a_hash_and_none_has_an_address() -> None:
    assert [name for name, entry in packages().items() if "integrity" not in entry] == []
    assert "://" not in LOCK
    assert "resolved" not in LOCK
