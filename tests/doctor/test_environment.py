"""The looks at a machine: what is well, what is to be done, and that none breaks the others."""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from auxot_tools.cli.check import LOOKS, is_ready, machine_here, text_of_line
from auxot_tools.config import load_config
from auxot_tools.doctor import environment_here as here
from auxot_tools.doctor import environment_there as there
from auxot_tools.doctor.environment import Line, Machine, Verdict, look_around, passed
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.scripted.demo import demo_model
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.raw_server import Answer, Asked, raw_server, reply
from tests.support.running import CHEAP, running_router
from tests.support.staged_endpoint import KEY, Endpoint, error, json_reply

pytestmark = pytest.mark.anyio

NO_ENGINE = {"AUXOT_SANDBOX__ENGINE_URL": "unix:///nobody/listens.sock"}


def machine(folder: Path, **environ: str) -> Machine:
    return machine_here(None, environ, folder)


def told(lines: Sequence[Line]) -> str:
    return "\n".join(text_of_line(line) for line in lines)


def verdicts(lines: Sequence[Line]) -> list[str]:
    return [line.verdict.value for line in lines]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


# All of them.


async def test_a_look_that_hangs_or_breaks_takes_no_other_with_it(tmp_path: Path) -> None:
    async def well(_machine: Machine) -> Sequence[Line]:
        return [passed("well", "it is")]

    async def hangs(_machine: Machine) -> Sequence[Line]:
        await anyio.sleep(60)
        return []

    async def breaks(_machine: Machine) -> Sequence[Line]:
        raise KeyError("a secret of Python's")

    looks = {"hangs": hangs, "breaks": breaks, "well": well}
    lines = await look_around(machine(tmp_path), looks, within_s=0.1)
    assert verdicts(lines) == ["FAIL", "FAIL", "PASS"]
    assert "a secret of Python's" not in told(lines)


async def test_without_engine_worker_or_router_every_look_has_a_line_that_says_what_to_do(
    tmp_path: Path, free_port: int
) -> None:
    environ = NO_ENGINE | {
        "AUXOT_ROUTER__LISTEN": f"127.0.0.1:{free_port}",
        "AUXOT_WORKER__LISTEN": f"unix:{tmp_path}/w.sock",
        "AUXOT_ROUTER__WORKER": f"unix:{tmp_path}/w.sock",
    }
    lines = await look_around(machine_here(None, environ, tmp_path), LOOKS)
    names = {line.name for line in lines}
    assert {"python", "configuration", "engine", "tools", "worker", "router", "keys file",
            "upstream", "clock", "disk"} <= names  # fmt: skip
    bad = {line.name for line in lines if line.verdict is Verdict.FAIL}
    assert bad == {"engine", "keys file"}, told(lines)
    assert not is_ready(lines)


@pytest.mark.parametrize("text", ["not toml [", "[router]\nlisten = 5\nmax_rounds = 0", "\0"])
async def test_a_broken_configuration_is_a_line_for_each_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "auxot.toml").write_text(text)
    looked = machine(tmp_path)
    lines = await here.look_at_configuration(looked)
    assert verdicts(lines) == ["FAIL"] * len(looked.mistakes) + ["NOTE"]
    assert looked.mistakes
    assert verdicts(await here.look_at_keys(looked)) == ["NOTE"]


async def test_a_providers_missing_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "auxot.toml").write_text(
        '[[providers]]\nname = "a"\nurl = "http://127.0.0.1:9"\napi_key_env = "NO_SUCH_KEY"\n'
    )
    lines = await here.look_at_configuration(machine(tmp_path))
    assert verdicts(lines) == ["FAIL"]
    assert "NO_SUCH_KEY" in told(lines)


# This machine.


async def test_tools_in_quarantine_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "tool.json").write_text("{}")
    looked = machine(tmp_path, AUXOT_WORKER__TOOLS_DIRS=str(tmp_path))
    lines = await here.look_at_tools(looked)
    assert "bad is in quarantine" in told(lines)
    assert verdicts(lines)[:1] == ["FAIL"]


async def test_that_no_tool_is_offered_is_said_of_this_folder_alone(tmp_path: Path) -> None:
    lines = await here.look_at_tools(machine(tmp_path))
    assert verdicts(lines) == ["PASS", "NOTE"]
    assert "by this folder's configuration a router offers models no tools" in told(lines)


async def test_a_misspelled_offered_tool_is_told(tmp_path: Path) -> None:
    lines = await here.look_at_tools(machine(tmp_path, AUXOT_ROUTER__ALLOWED_TOOLS="code_exekutor"))
    assert verdicts(lines) == ["PASS", "FAIL"]
    assert "code_exekutor" in told(lines)


async def test_keys_that_are_missing_empty_expired_or_there(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    looked = machine(tmp_path, AUXOT_ROUTER__KEYS_FILE=str(file))
    assert verdicts(await here.look_at_keys(looked)) == ["FAIL"]
    file.write_text("")
    assert "holds no key" in told(await here.look_at_keys(looked))
    old = datetime.now(UTC) - timedelta(days=1)
    append_key(file, KeyEntry(name="old", hash=CHEAP.hash(KEY), expires=old))
    assert "every key" in told(await here.look_at_keys(looked))
    append_key(file, KeyEntry(name="new", hash=CHEAP.hash(KEY)))
    lines = await here.look_at_keys(looked)
    assert verdicts(lines) == ["PASS"]
    assert "expired: old" in told(lines)


async def test_where_nothing_is_set_up_a_missing_keys_file_is_a_note_with_what_to_do(
    tmp_path: Path,
) -> None:
    (line,) = await here.look_at_keys(machine(tmp_path))
    assert line.verdict is Verdict.NOTE
    assert "`make up` makes one" in line.says
    (tmp_path / ".state" / "up").mkdir(parents=True)
    (tmp_path / ".state" / "up" / "keys.toml").touch()
    (line,) = await here.look_at_keys(machine(tmp_path))
    assert line.verdict is Verdict.NOTE
    assert "AUXOT_ROUTER__KEYS_FILE=.state/up/keys.toml" in line.says


async def test_a_broken_keys_file_or_policy_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("[[keys]]\nname = 5\n")
    (tmp_path / "policy.toml").write_text("nonsense = 1\n")
    looked = machine(tmp_path, AUXOT_WORKER__POLICY_FILE=str(tmp_path / "policy.toml"))
    looks = {"keys file": here.look_at_keys, "policy": here.look_at_policy}
    lines = await look_around(looked, looks)
    assert {line.name for line in lines} == {"keys file", "policy"}
    assert set(verdicts(lines)) == {"FAIL"}


async def test_a_folder_that_is_not_there_yet_is_looked_at_where_it_will_be(tmp_path: Path) -> None:
    looked = machine(tmp_path, AUXOT_WORKER__STATE_DIR=str(tmp_path / "a" / "b"))
    assert str(tmp_path) in told(await here.look_at_disk(looked))


# Beside it.


async def test_an_engine_that_does_not_answer_is_a_line(tmp_path: Path) -> None:
    looked = machine_here(None, NO_ENGINE, tmp_path)
    lines = await look_around(looked, {"engine": there.look_at_engine})
    assert verdicts(lines) == ["FAIL"]
    assert "unix:///nobody/listens.sock" in told(lines)


@pytest.mark.engine
async def test_an_engine_that_answers_tells_version_image_and_runtime(tmp_path: Path) -> None:
    lines = await there.look_at_engine(machine(tmp_path))
    assert [line.name for line in lines[:4]] == ["engine", "sandbox image", "runtime", "seccomp"]
    assert verdicts(lines[:1]) == ["PASS"]
    wrong = machine(tmp_path, AUXOT_SANDBOX__RUNTIME="runsx", AUXOT_SANDBOX__IMAGE="no/such:image")
    lines = await there.look_at_engine(wrong)
    assert verdicts(lines[1:3]) == ["FAIL", "FAIL"]
    assert "runsx" in told(lines)
    late = Machine(load_config(None, {}, tmp_path).config, now=lambda: 2e9)
    assert "apart from the engine's" in told(await there.look_at_engine(late))


async def test_a_port_of_the_worker_that_is_taken_or_free(
    tmp_path: Path, taken_port: int, free_port: int
) -> None:
    for port, verdict in ((taken_port, "FAIL"), (free_port, "PASS")):
        address = f"127.0.0.1:{port}"
        looked = machine(tmp_path, AUXOT_WORKER__LISTEN=address, AUXOT_ROUTER__WORKER=address)
        lines = await there.look_at_worker(looked)
        assert verdicts(lines) == [verdict]
        assert address in told(lines)


async def test_a_worker_elsewhere_that_is_away_is_told(tmp_path: Path, free_port: int) -> None:
    looked = machine(tmp_path, AUXOT_WORKER__LISTEN=f"unix:{tmp_path}/w.sock",
                     AUXOT_ROUTER__WORKER=f"127.0.0.1:{free_port}")  # fmt: skip
    lines = await there.look_at_worker(looked)
    assert verdicts(lines) == ["PASS", "FAIL"]
    assert "router.worker" in told(lines)


async def test_a_router_that_answers_and_a_port_that_another_program_has(tmp_path: Path) -> None:
    async with running_router(tmp_path, demo_model(), FakeDispatcher()) as router:
        address = router.origin.removeprefix("http://")
        lines = await there.look_at_router(machine(tmp_path, AUXOT_ROUTER__LISTEN=address))
    assert verdicts(lines) == ["PASS"]
    assert "offers echo" in told(lines)
    async with raw_server(reply(b"hello")) as server:
        lines = await there.look_at_router(
            machine(tmp_path, AUXOT_ROUTER__LISTEN=f"127.0.0.1:{server.port}")
        )
    assert verdicts(lines) == ["FAIL"]


async def upstream(folder: Path, url: str, key: str = KEY, auth: str = "x-api-key") -> Line:
    looked = machine(folder, AUXOT_UPSTREAM__URL=url, AUXOT_UPSTREAM_API_KEY=key,
                     AUXOT_UPSTREAM__AUTH=auth)  # fmt: skip
    (line,) = await there.look_at_upstreams(looked)
    assert key not in text_of_line(line)
    return line


async def test_the_upstream_is_asked_with_its_key_in_its_form(tmp_path: Path) -> None:
    async with raw_server(Endpoint(root="", forms=["bearer"])) as server:
        assert (await upstream(tmp_path, server.url(""), auth="bearer")).verdict is Verdict.WELL
        assert (await upstream(tmp_path, server.url("/v1"), auth="bearer")).verdict is Verdict.WELL
        refused = await upstream(tmp_path, server.url(""))
    assert "refuses the key" in refused.says
    assert "AUXOT_UPSTREAM_API_KEY" in refused.do


async def test_an_upstream_that_is_away_or_no_endpoint_is_told(
    tmp_path: Path, free_port: int
) -> None:
    assert "nobody listens" in (await upstream(tmp_path, f"http://127.0.0.1:{free_port}")).says
    async with raw_server(Endpoint()) as server:
        line = await upstream(tmp_path, server.url(""))
    assert "no Messages endpoint" in line.says


def of_another_dialect(chat_status: str, missing: str = "404 Not Found") -> Answer:
    told = {"error": {"message": "no", "type": "invalid_request_error", "code": 1}}
    endpoint, other = json_reply(chat_status, told), json_reply(missing, {"detail": "Not Found"})

    async def answer(asked: Asked, stream: ByteStream) -> None:
        await (endpoint if asked.path == "/v1/messages" else other)(asked, stream)

    return answer


# what an upstream answers -> the verdict, and a part of what is said
UPSTREAMS: dict[str, tuple[Answer, str, str]] = {
    "llama.cpp": (of_another_dialect("400 X"), "PASS", "takes the key"),
    "its wrong key": (of_another_dialect("401 X"), "FAIL", "refuses the key"),
    "everything refused": (of_another_dialect("400 X", "400 X"), "FAIL", "no Messages endpoint"),
    "no credit": (json_reply("402 X", error("billing_error", "Too low.")), "FAIL", "402 Too low."),
    "limited": (json_reply("429 X", error("rate_limit_error", "Slow.")), "FAIL", "429 Slow."),
    "conflict": (json_reply("409 X", error("x", "y")), "FAIL", "no Messages endpoint"),
    "litellm": (json_reply("400 X", {"error": {"message": "Authentication", "code": "400",
                                               "type": "auth_error"}}), "FAIL", "refuses the key"),
    "key repeated": (json_reply("429 X", error("x", "y" * 190 + KEY)), "FAIL", "429"),
}  # fmt: skip


@pytest.mark.parametrize("case", UPSTREAMS)
async def test_an_upstream_is_ready_only_when_it_takes_the_key_and_looks_at_the_body(
    tmp_path: Path, case: str
) -> None:
    answer, verdict, says = UPSTREAMS[case]
    async with raw_server(answer) as server:
        line = await upstream(tmp_path, server.url(""))
    assert (line.verdict.value, says in line.says) == (verdict, True), line
    assert "rtr_k3" not in line.says


async def test_providers_are_asked_side_by_side(tmp_path: Path) -> None:
    together = anyio.Event()
    asked_names: list[str] = []

    async def answer(asked: Asked, stream: ByteStream) -> None:
        asked_names.append(asked.path)
        if len(asked_names) == 3:
            together.set()
        await together.wait()  # nobody answers before all are asked
        refusal = error("invalid_request_error", "x")
        await json_reply("400 X", refusal)(asked, stream)

    async with raw_server(answer) as server:
        tables = "".join(f'[[providers]]\nname = "{name}"\nurl = "{server.url("")}"\n'
                         f'models = ["{name}"]\n' for name in "abc")  # fmt: skip
        (tmp_path / "auxot.toml").write_text(tables)
        looked = machine(tmp_path)
        assert not looked.mistakes
        lines = await there.look_at_upstreams(looked)
    assert verdicts(lines) == ["PASS"] * 3
    assert [line.name for line in lines] == ["upstream a", "upstream b", "upstream c"]


async def test_an_upstream_with_another_time_is_told(tmp_path: Path) -> None:
    past = json_reply("400 Bad Request", b'{"type":"error","error":{"type":"x","message":"y"}}',
                      Date="Tue, 24 Nov 2020 10:00:00 GMT")  # fmt: skip
    async with raw_server(past) as server:
        line = await upstream(tmp_path, server.url(""))
    assert line.name == "clock"


async def test_a_clock_that_is_years_behind_is_told(tmp_path: Path) -> None:
    looked = Machine(load_config(None, {}, tmp_path).config, now=lambda: 0.0)
    assert verdicts(await there.look_at_clock(looked)) == ["FAIL"]


async def connected(folder: Path, url: str, key: str = "tls_" + "k" * 43) -> list[Line]:
    environ = {"AUXOT_ROUTER_URL": url} | ({"AUXOT_TOOLS_KEY": key} if key else {})
    lines = list(await there.look_at_connect(machine_here(None, environ, folder)))
    assert "k" * 43 not in told(lines)
    return lines


async def test_an_auxot_router_is_looked_at_only_where_one_is_named(
    tmp_path: Path, free_port: int
) -> None:
    assert await there.look_at_connect(machine(tmp_path)) == []
    health = json_reply("200 OK", {"status": "ok"})
    async with raw_server(Endpoint(health=health)) as server:
        lines = await connected(tmp_path, f"ws://127.0.0.1:{server.port}/ws")
        assert all("authorization" not in one.headers for one in server.asked)
    assert verdicts(lines) == ["PASS", "PASS"]
    lines = await connected(tmp_path, f"ws://127.0.0.1:{free_port}")
    assert verdicts(lines) == ["PASS", "FAIL"]
    assert "AUXOT_ROUTER_URL" in told(lines)


async def test_a_tools_key_that_is_missing_or_of_another_kind_is_told(
    tmp_path: Path, free_port: int
) -> None:
    url = f"ws://127.0.0.1:{free_port}"
    assert "is not set" in told(await connected(tmp_path, url, key=""))
    assert "another kind" in told(await connected(tmp_path, url, key="rtr_" + "k" * 43))


def test_a_line_can_be_read_by_programs() -> None:
    line = Line("a", Verdict.FAIL, "says", "Do it.")
    assert text_of_line(line) == "FAIL  a: says. Do it."
    assert json.dumps(line.verdict) == '"FAIL"'
    assert os.linesep not in text_of_line(line)
