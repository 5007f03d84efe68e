"""The tool of the chaos test: does what the call asks, and prints the call's nonce around it.

It prints LEFTOVER when it meets what another call left: in a box that keeps nothing, anything; in a
session's box, the mark of another session. Runs in the box, standard library only.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

MARK = Path("/work/owner")


def look_for_leftovers(owner: str) -> None:
    if MARK.exists():
        found = MARK.read_text()
        if not owner or found != owner:
            print(f"LEFTOVER {found!r}", flush=True)
    MARK.write_text(owner or "nobody")


def write(nonce: str, kib: int) -> None:
    for _ in range(kib):
        print(f"{nonce} " * 40)


def use_up_memory() -> None:
    pieces = []
    while True:
        pieces.append(b"x" * 2**20)


def leave_a_child() -> None:
    subprocess.Popen(
        ["sleep", "300"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    asked = json.load(sys.stdin)
    look_for_leftovers(asked["owner"])
    print(f"begin {asked['nonce']}", flush=True)
    match asked["kind"]:
        case "output":
            write(asked["nonce"], asked["value"])
        case "sleep" | "late" | "left":
            time.sleep(asked["value"] / 10)
        case "memory":
            use_up_memory()
        case "child":
            leave_a_child()
    print(f"end {asked['nonce']}", flush=True)
    sys.exit(asked["exit_code"])


main()
