"""`auxot-tools doctor` as a person types it: exit codes, one-line fixes, and no key anywhere."""

import json
from pathlib import Path

import pytest
from anyio import to_thread
from click.testing import CliRunner

from auxot_tools.cli.main import COMMANDS, cli
from auxot_tools.scripted.demo import demo_model
from tests.support.command import Done
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.raw_server import raw_server
from tests.support.running import KEY as ROUTER_KEY
from tests.support.running import running_router
from tests.support.staged_endpoint import KEY, Endpoint

pytestmark = pytest.mark.anyio


async def typed(*arguments: str, secret: str = KEY) -> Done:
    """The command, with an event loop of its own; whatever it prints holds no key."""

    def run() -> Done:
        environ = dict.fromkeys(("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"))
        result = CliRunner().invoke(cli, ["doctor", *arguments], env=environ)
        return Done(result.exit_code, result.stdout, result.stderr)

    done = await to_thread.run_sync(run)
    assert secret not in done.output + done.errors
    return done


async def test_a_fault_is_one_line_with_its_fix_and_the_evidence_below(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    async with raw_server(Endpoint()) as server:
        done = await typed("--url", server.url(""), "--key-file", str(tmp_path / "key"))
        fix = f"FIX   Set ANTHROPIC_BASE_URL={server.url('/api/anthropic')}"
    assert done.exit_code == 1
    assert done.output.splitlines()[0] == fix
    assert "[api_path_missing]" in done.output
    assert "Seen (rtr_… (47 characters)):" in done.output


async def test_a_healthy_router_ends_with_zero(tmp_path: Path) -> None:
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        done = await typed(
            "url", "--url", router.base_url, "--key", ROUTER_KEY, "--json", secret=ROUTER_KEY
        )
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["ok"] is True
    assert told["attempts"][0]["for"] == "asked"


async def test_the_clients_own_headers_are_sent_and_hidden() -> None:
    async with raw_server(Endpoint()) as server:
        done = await typed(
            "--url", server.url("/api/anthropic"), "--header", f"Authorization: bearer {KEY}"
        )
        assert server.asked[0].headers["authorization"] == f"bearer {KEY}"
    assert "[bearer_in_lower_case]" in done.output


async def test_a_paste_needs_no_network(tmp_path: Path) -> None:
    file = tmp_path / "paste"
    file.write_text(f"HTTP/1.1 401 Unauthorized\n\n{{}}\nx-api-key: adm_{KEY[4:]}\n")
    done = await typed("--pasted", str(file), secret=KEY[4:])
    assert (done.exit_code, "[key_for_workers]" in done.output) == (1, True)
    file.write_text("nothing of interest")
    assert (await typed("--pasted", str(file))).exit_code == 2


# What is wrong on the command line -> a part of what is said.
MISTAKES = {
    ("--key", KEY, "--key-file", "x", "--url", "http://h"): "exclude one another",
    ("--url", "http://h", "--key-file", "/no/such/file"): "cannot be read",
    ("--url", "http://h", "--key", KEY, "--header", KEY): "Name: value",
    ("--url", "http://h", "--ca", __file__): "holds no certificates",
    (): "--url",
    ("url",): "--url",
    ("client", "--snippet", "/no/such/file"): "cannot be read",
    ("client", "--url", "http://$HOST"): "--url",
}


@pytest.mark.parametrize("arguments", MISTAKES)
async def test_a_wrong_command_line_ends_with_two(arguments: tuple[str, ...]) -> None:
    done = await typed(*arguments)
    assert done.exit_code == 2
    assert MISTAKES[arguments] in done.errors


async def test_a_sketch_is_printed_without_a_server_and_performed_with_one(tmp_path: Path) -> None:
    tool = tmp_path / "code_executor.json"
    tool.write_text('{"input_schema": {"properties": {"code": {"type": "string"}}}}')
    sketch = ("sketch", "--tool-file", str(tool))
    done = await typed(*sketch, "--json")
    assert done.exit_code == 0, done.errors
    first, second = json.loads(done.output)["client"]
    assert first["tools"][0]["name"] == "code_executor"
    assert second["messages"][2]["content"][0]["type"] == "tool_result"
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        done = await typed(
            *sketch, "--run", "--url", router.base_url, "--key", ROUTER_KEY, secret=ROUTER_KEY
        )
    assert done.exit_code == 0, done.output
    assert "stop_reason tool_use" in done.output
    assert "stop_reason end_turn" in done.output
    wrong = await typed(*sketch, "--input", "{")
    assert (wrong.exit_code, "not JSON" in wrong.errors) == (2, True)
    wrong = await typed(*sketch, "--input", '{"code": 5}')
    assert "does not fit its schema" in wrong.errors


async def test_a_client_shape_is_advised() -> None:
    done = await typed("client", "--have", "openai sdk", "--json")
    assert done.exit_code == 0
    assert json.loads(done.output)["shape"] == "openai"


def test_the_commands_are_known() -> None:
    assert {"doctor", "check"} <= COMMANDS.keys()
