"""What `check` says of a router of ours that answers and is not well."""

import json
from pathlib import Path

import pytest

from auxot_tools.cli.check import machine_here, text_of_line
from auxot_tools.doctor import environment_there as there
from tests.support.raw_server import raw_server, reply

pytestmark = pytest.mark.anyio

UPSTREAMS = [{"name": "one", "online": False}, {"name": "two", "online": False}]
HEALTH: dict[str, dict[str, object]] = {
    "PASS": {"status": "ok", "providers": [UPSTREAMS[0], {"name": "two", "online": True}]},
    "it does not reach one, two. Start the model's server": {
        "status": "degraded",
        "providers": UPSTREAMS,
    },
    "its worker cannot run tools now. Look at the engine": {
        "status": "degraded",
        "worker": "not serving",
        "providers": [],
    },
    "it does not reach its worker. Start `auxot-tools worker`": {
        "status": "degraded",
        "worker": "unreachable",
        "providers": [],
    },
}


@pytest.mark.parametrize("words", HEALTH)
async def test_a_router_that_is_not_well_is_no_pass_and_says_what_to_do(
    tmp_path: Path, words: str
) -> None:
    told = json.dumps({"tools": ["echo"], **HEALTH[words]}).encode()
    async with raw_server(reply(told, Content_Type="application/json")) as server:
        environ = {"AUXOT_ROUTER__LISTEN": f"127.0.0.1:{server.port}"}
        (line,) = await there.look_at_router(machine_here(None, environ, tmp_path))
    assert words in text_of_line(line)
    assert line.verdict.value == ("PASS" if words == "PASS" else "FAIL")


async def test_health_of_odd_form_is_read_all_the_same(tmp_path: Path) -> None:
    told = b'{"providers": 5, "tools": {"a": 1}, "status": [null]}'
    async with raw_server(reply(told, Content_Type="application/json")) as server:
        environ = {"AUXOT_ROUTER__LISTEN": f"127.0.0.1:{server.port}"}
        (line,) = await there.look_at_router(machine_here(None, environ, tmp_path))
    assert "offers no tools" in line.says
