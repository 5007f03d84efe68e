"""Other sandboxes in the same run, each a process of its own from `.venv-bench`.

One job: to ask them in turn with ours. `deploy/ensure-bench-venv.sh` installs them; without it this
part says so and measures nothing. All use our image's root file system. Theirs has besides their
server, and a `python` next to `python3`; it is made here, without a network.
"""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from auxot_tools.ports import Isolation
from benchmarks.baselines import bare_python, docker_exec
from benchmarks.boxes import calls_of, keep_ready, opened
from benchmarks.report import Report
from benchmarks.timing import Call, in_turn

_ROOT = Path(__file__).parents[1]
PYTHON = _ROOT / ".venv-bench/bin/python"
SERVER_IMAGE = "auxot-tools/bench-peer"
_DOCKERFILE = """\
FROM {image}
USER root
COPY site /opt/peer
COPY swerex-remote /usr/local/bin/swerex-remote
RUN ln -s /usr/bin/python3 /usr/local/bin/python
ENV PYTHONPATH=/opt/peer
"""
_REMOTE = '#!/bin/sh\nexec /usr/bin/python3 -m swerex.server "$@"\n'
_LINE_BYTES = 4096
_START_S = 120.0
_CALL_S = 60.0

# row -> what peer_process.py is told
PEERS: Mapping[str, str] = {
    "llm-sandbox, kept session": "llm-sandbox-kept",
    "llm-sandbox, session per call": "llm-sandbox-fresh",
    "swe-rex, execute": "swe-rex-execute",
    "swe-rex, bash session": "swe-rex-session",
}


async def compare(report: Report, image: str, rounds: int, modes: tuple[Isolation, ...]) -> None:
    """One call in flight: bare, `docker exec`, ours, and each peer that starts."""
    report.title("Peers, one call in flight, on the same root file system")
    if not PYTHON.exists():
        report.note("not installed: deploy/ensure-bench-venv.sh installs them")
        return
    their_image = await anyio.to_thread.run_sync(_server_image, image)
    async with AsyncExitStack() as stack:
        stack.callback(_remove_image, their_image)
        execute = stack.enter_context(docker_exec(image))
        sandbox = await stack.enter_async_context(opened())
        keep_ready(sandbox, ("python",))
        ours = calls_of(sandbox, modes)
        rows: dict[str, Call] = {"bare python3 -c": bare_python, "docker exec": execute}
        rows |= {name: call for name, call in ours.items() if name.endswith(" python")}
        for name, word in PEERS.items():
            try:
                call = await stack.enter_async_context(_peer(word, their_image))
                await call(0)
            except (RuntimeError, TimeoutError) as error:
                report.note(f"{name}: does not work here: {error}")
            else:
                rows[name] = call
        table = await in_turn(rows, rounds, quietly=True)
    report.latencies(table, ["bare python3 -c", "docker exec"])


@asynccontextmanager
async def _peer(word: str, image: str) -> AsyncGenerator[Call, None]:
    """A peer's process, ready: a line asks for one call, a line says how many seconds it took."""
    script = str(Path(__file__).with_name("peer_process.py"))
    process = await anyio.open_process([str(PYTHON), script, word, image], stderr=None)
    try:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a child was started without pipes")
        asking, answers = process.stdin, BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(_START_S):
            await _answer(answers, "ready")

        async def call(_client: int) -> float:
            with anyio.fail_after(_CALL_S):
                await asking.send(b"call\n")
                return float(await _answer(answers, "took"))

        yield call
    finally:
        with anyio.CancelScope(shield=True):  # bounded: it removes its container, or is killed
            await _end(process)


async def _end(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(_CALL_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def _answer(answers: BufferedByteReceiveStream, word: str) -> str:
    """What follows ``word``; other lines are the peer's own talk, at most 1000 of them."""
    for _ in range(1000):
        try:
            line = (await answers.receive_until(b"\n", _LINE_BYTES)).decode(errors="replace")
        except (anyio.EndOfStream, anyio.IncompleteRead):
            raise RuntimeError("its process ended; what it said is above") from None
        if line.startswith(f"{word} "):
            return line.removeprefix(f"{word} ")
    raise RuntimeError("it only talks")


def _server_image(image: str) -> str:
    """Our image with the peers' packages in it. Blocking; needs no network."""
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        context = Path(folder)
        site = next((_ROOT / ".venv-bench/lib").glob("python3*/site-packages"))
        shutil.copytree(
            site, context / "site", ignore=shutil.ignore_patterns("pip*", "setuptools*")
        )
        (context / "swerex-remote").write_text(_REMOTE, "utf-8")
        (context / "swerex-remote").chmod(0o755)
        (context / "Dockerfile").write_text(_DOCKERFILE.format(image=image), "utf-8")
        tag = f"{SERVER_IMAGE}:{image.rpartition(':')[2]}"
        command = ["docker", "build", "-q", "--network", "none", "-t", tag, folder]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    return tag


def _remove_image(tag: str) -> None:
    subprocess.run(["docker", "rmi", tag], check=False, capture_output=True, timeout=60)
