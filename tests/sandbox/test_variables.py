"""Environment variables of a program: which may be given, that they arrive, and nowhere else."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio.to_thread
import pytest

from auxot_tools.ports import BoxLimits, BoxSpec, Isolation
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.options import ChannelChoice, SandboxOptions
from auxot_tools.sandbox.variables import LIMIT_BYTES, MOST, refusal_of
from auxot_tools.types import Deadline
from tests.support.box_runs import program_of, run_in, run_once
from tests.support.engine import NOBODY, docker_sandbox

SECRET = "hunter-and-2"
ENV = {"API_TOKEN": SECRET, "_x1": "two\nlines = ü 'quoted' $HOME", "EMPTY": ""}
ISOLATIONS: list[Isolation] = ["call", "warm", "session"]


# -- which


@pytest.mark.parametrize("name", ["A", "_", "a_1", "API_TOKEN", "NODE_AUTH_TOKEN", "SSL_CERT_FILE"])
def test_a_usual_name_may_be_given(name: str) -> None:
    assert refusal_of([(name, "value")]) == ""


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHON_GIL",
        "NODE_OPTIONS",
        "NODE_PATH",
        "NODE_EXTRA_CA_CERTS",
        "BASH_ENV",
        "BASH_FUNC_x",
        "ENV",
        "IFS",
        "SHELLOPTS",
        "PS4",
        "HOME",
        "TMPDIR",
        "LANG",
        "LC_ALL",
        "GLIBC_TUNABLES",
        "GCONV_PATH",
        "OPENSSL_CONF",
        "MALLOC_CHECK_",
        "AUXOT_BOX",
    ],
)
def test_what_changes_how_programs_start_may_not(name: str) -> None:
    assert name in refusal_of([(name, "value")])


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A B", "Ä", "A\n", "A\0", "A" * 129])
def test_what_is_no_name_may_not(name: str) -> None:
    assert "cannot name a variable" in refusal_of([(name, "value")])


@pytest.mark.parametrize("value", [f"{SECRET}\0", f"{SECRET}\ud800"])
def test_a_value_that_no_program_can_have_is_refused_and_not_repeated(value: str) -> None:
    refusal = refusal_of([("GOOD", SECRET), ("BAD", value)])
    assert "BAD" in refusal
    assert SECRET not in refusal


def test_a_name_that_is_given_twice_is_refused() -> None:
    assert "A is given twice" in refusal_of([("A", SECRET), ("A", SECRET)])


def test_number_and_size_are_bounded() -> None:
    many = [(f"V{number}", "") for number in range(MOST)]
    assert refusal_of(many) == ""
    assert str(MOST) in refusal_of([*many, ("ONE_MORE", "")])
    assert refusal_of([("A", "x" * (LIMIT_BYTES - 3))]) == ""
    assert str(LIMIT_BYTES) in refusal_of([("A", "x" * (LIMIT_BYTES - 2))])
    assert "bytes" in refusal_of([("A", "ü" * (LIMIT_BYTES // 2))])


# -- in real boxes

SHOW = {
    "python": (("python3", "main"), "import json, os; print(json.dumps(dict(os.environ)))"),
    "a child of Python": (
        ("python3", "main"),
        "import subprocess\nsubprocess.run(['jq', '-n', 'env'])",
    ),
    "node": (("node", "main"), "console.log(JSON.stringify(process.env))"),
    "bash": (("bash", "main"), "jq -n env"),
    "an executable": (("jq", "-n", "env"), ""),
}


@pytest.fixture(params=["unix", "attach", "no namespaces"])
async def any_sandbox(request: pytest.FixtureRequest) -> AsyncGenerator[DockerSandbox, None]:
    async with sandbox_of(request.param) as sandbox:
        yield sandbox


@asynccontextmanager
async def sandbox_of(how: str) -> AsyncGenerator[DockerSandbox, None]:
    """One for each form of its boxes and each channel to them."""
    channel: ChannelChoice = "attach" if how == "attach" else "unix"
    async with docker_sandbox(options=SandboxOptions(ready=0, channel=channel)) as sandbox:
        if how == "no namespaces":
            sandbox._launcher._namespaces = False  # as on a host that forbids them
        yield sandbox


@pytest.mark.anyio
@pytest.mark.engine
@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_program_of_any_kind_has_its_variables_and_the_next_one_has_not(
    any_sandbox: DockerSandbox, isolation: Isolation
) -> None:
    for command, code in SHOW.values():
        ran = await run_once(any_sandbox, program_of(*command, code=code, env=ENV), isolation)
        given = json.loads(ran.stdout)
        assert {name: given.get(name) for name in ENV} == ENV, ran.stderr
        again = await run_once(any_sandbox, program_of(*command, code=code), isolation)
        left = json.loads(again.stdout)
        assert set(given) - set(left) == set(ENV)


# In how many places the secret is: in what can be read of processes, and in one's own memory, where
# it is put together here, so that some there are always.
LOOK = """
import os
secret = bytes(byte ^ 1 for byte in bytes.fromhex("@MASKED@"))
found = 0
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            found += secret in open(f"/proc/{pid}/{name}", "rb").read()
        except OSError:
            pass
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps.read().splitlines():
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        if " rw" in line:
            memory.seek(start)
            found += memory.read(end - start).count(secret)
print(found)
""".replace("@MASKED@", bytes(byte ^ 1 for byte in SECRET.encode()).hex())


@pytest.mark.anyio
@pytest.mark.engine
async def test_nothing_of_a_call_s_variables_is_found_by_the_next_in_a_warm_box(
    any_sandbox: DockerSandbox,
) -> None:
    look = program_of("python3", "main", code=LOOK)
    alone = await run_once(any_sandbox, look, "warm")
    holder = program_of("python3", "-c", "import os; print(os.environ['API_TOKEN'])", env=ENV)
    assert (await run_once(any_sandbox, holder, "warm")).stdout == f"{SECRET}\n"
    after = await run_once(any_sandbox, look, "warm")
    assert 0 < int(after.stdout) <= int(alone.stdout)
    own = await run_once(any_sandbox, program_of("python3", "main", code=LOOK, env=ENV), "warm")
    assert int(own.stdout) > int(alone.stdout), "the search finds what is there"


@pytest.mark.anyio
@pytest.mark.engine
@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_the_engine_is_never_told_a_variable(
    sandbox: DockerSandbox, isolation: Isolation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    spec = BoxSpec("", BoxLimits(), isolation)
    box = await sandbox.claim(spec, NOBODY, Deadline.after(60))
    try:
        ran = await run_in(box, program_of("printenv", "API_TOKEN", env=ENV))
        assert ran.stdout == f"{SECRET}\n"
        inspected = json.dumps(await anyio.to_thread.run_sync(inspect, box.id))
    finally:
        await box.release()
    assert SECRET not in inspected
    assert "API_TOKEN" not in inspected
    assert SECRET not in caplog.text


def inspect(container: str) -> object:
    client = connect()
    try:
        return client.inspect_container(container)
    finally:
        client.close()


@pytest.mark.anyio
@pytest.mark.engine
@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_program_with_variables_it_may_not_have_is_not_started_and_the_log_says_why(
    sandbox: DockerSandbox, isolation: Isolation, caplog: pytest.LogCaptureFixture
) -> None:
    bad = program_of("printenv", env={"LD_PRELOAD": SECRET})
    ran = await run_once(sandbox, bad, isolation)
    assert (ran.outcome.not_started, ran.outcome.never_fits) == (True, True)
    assert "environment variables are not valid" in ran.outcome.lost
    assert "LD_PRELOAD" in caplog.text
    assert SECRET not in caplog.text + ran.outcome.lost
    good = await run_once(sandbox, program_of("echo", "fine"), isolation)
    assert good.stdout == "fine\n"
