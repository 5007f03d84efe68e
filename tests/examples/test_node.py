"""The Node.js example, from its own folder, against workers without an engine.

`deploy/ensure-node-example.sh` installs what it needs.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.boxless_worker import boxless_executor
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.node_example import EXAMPLE, NodeRun, run_node_example
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio

PROTO = Path(__file__).parents[2] / "proto" / "auxot_tools" / "v1" / "tools.proto"


async def tour(*listen: str, key: str = KEY, worker_key: str = KEY) -> NodeRun:
    """The example's run against a worker of this process."""
    async with served(boxless_executor(), *listen, key=worker_key) as server:
        return await run_node_example(server.addresses[0], key)


async def test_it_shows_health_tools_output_result_bad_input_cancelling_and_a_deadline() -> None:
    done = await tour()
    assert (done.exit_code, done.errors) == (0, "")
    lines = done.output.splitlines()
    pieces = [json.loads(line.partition(": stdout: ")[2]) for line in lines if "stdout: " in line]
    assert "".join(pieces) == "0\n1\n2\n"  # a worker may send several lines at once
    told = [line for line in lines if not line.startswith("output: ")]
    assert told[:15] == [
        "health: SERVING",
        "tools: bash, code_executor",
        "a Messages request would offer 2",
        "result: STATUS_COMPLETED",
        "  0",
        "  1",
        "  2",
        "wrong input: STATUS_INVALID_ARGUMENTS",
        "  The input does not fit the tool's input_schema: 2 problems; nothing was run.",
        "  - /cod: unknown field `cod`; did you mean `code`?",
        "  - (top level): missing required field `code`",
        "  Correct this and call the tool again.",
        "cancelled: the program is killed, and there is no result",
        "deadline: STATUS_TIMED_OUT",
        told[14],
    ]
    assert told[14].startswith("  Timed out: the program was stopped after")
    assert "  working" in told[15:]


async def test_it_reaches_a_worker_on_a_unix_socket_without_a_key(tmp_path: Path) -> None:
    done = await tour(f"unix:{tmp_path}/w.sock", key="", worker_key="")
    assert (done.exit_code, done.errors) == (0, "")


async def test_a_wrong_key_is_told_with_what_to_do_and_is_not_shown() -> None:
    done = await tour(key="a-wrong-key")
    assert done.exit_code == 1
    assert "set AUXOT_WORKER_KEY to its own (this call was not run)" in done.errors
    assert "a-wrong-key" not in done.output + done.errors


async def test_a_worker_that_is_not_there_is_told_with_what_to_do() -> None:
    done = await run_node_example("127.0.0.1:1")
    assert done.exit_code == 1
    assert (
        done.errors
        == "failed: no worker answers at 127.0.0.1:1: start one with `auxot-tools worker`\n"
    )


async def test_a_tool_that_is_not_there_is_an_answer_like_any_other() -> None:
    async with served(FakeDispatcher()) as server:
        done = await run_node_example(server.addresses[0])
    assert done.exit_code == 0
    assert "result: STATUS_UNKNOWN_TOOL" in done.output


def packages() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLE / "package-lock.json").read_text("utf-8"))
    return {name: entry for name, entry in found["packages"].items() if name}


def test_its_packages_are_pinned_have_a_hash_and_name_no_address() -> None:
    pins = json.loads((EXAMPLE / "package.json").read_text("utf-8"))["dependencies"]
    assert [pin for pin in pins.values() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    assert {name: packages()[f"node_modules/{name}"]["version"] for name in pins} == pins
    assert [name for name, entry in packages().items() if "integrity" not in entry] == []
    assert "://" not in (EXAMPLE / "package-lock.json").read_text("utf-8")


def test_it_needs_nothing_of_ours_but_the_contract() -> None:
    source = (EXAMPLE / "call_tools.mjs").read_text("utf-8")
    assert re.findall(r'from "([^"]+)"', source) == [
        "node:fs",
        "node:url",
        "@grpc/grpc-js",
        "@grpc/proto-loader",
    ]
    assert re.findall(r'load\("([^"]+)"\)', source) == [
        "../../proto/auxot_tools/v1/tools.proto",
        "health.proto",
    ]
    assert PROTO.exists()


def test_installing_again_takes_no_time_and_says_nothing() -> None:
    script = EXAMPLE.parents[1] / "deploy" / "ensure-node-example.sh"
    done = subprocess.run([script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == ""
