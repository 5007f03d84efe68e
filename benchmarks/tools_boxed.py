"""Tools whose program runs in a box, or on the host, against the same program by itself.

One job: which calls are compared with which. How they are timed, `tools_lines.py` knows.
"""

import json
import shutil
import tempfile
from pathlib import Path

from auxot_tools.share import share_dir
from auxot_tools.types import JSON
from benchmarks.grpc_path import CODE, worker
from benchmarks.timing import Call, Table
from benchmarks.tools_bare import kept_bash, program, running_python
from benchmarks.tools_bench import Bench
from benchmarks.tools_calls import GET, HOST, SCRIPT, SHELL
from benchmarks.tools_lines import Line, in_pairs, more_ms, ratio_of, tell, tell_head
from benchmarks.tools_server import SMALL, SMALL_BODY

_ANSWER = "42"
_PYTHON = ("/usr/bin/python3", "-c", CODE["python"])
_BASH = ("bash", "-c", CODE["bash"])
# What curl itself says of its request, in seconds.
_SAID = "%{time_total}"
_EDITED_LINES = 200
_EDITOR = "str_replace_based_edit_tool"


def get_command(origin: str) -> str:
    """The program of the tool that goes through the egress proxy, also to this machine's server."""
    return f"curl -sS --noproxy '' -w '{_SAID}' {origin}{SMALL}"


async def code(bench: Bench) -> None:
    """`code_executor` with a box for each call; one language also through a worker's gRPC."""
    tell_head(bench.report, "code_executor, a box for each call (made ready before it)")
    given: dict[str, JSON] = {name: {"language": name, "code": CODE[name]} for name in CODE}
    tools = bench.tools
    async with worker(("call",)) as through:
        calls: dict[str, Call] = {
            "python3 -c": program(_PYTHON, _ANSWER),
            "python": tools.call("code_executor", given["python"], _ANSWER),
            "python, gRPC": through.call("call"),
            "bash -c": program(_BASH, _ANSWER),
            "bash": tools.call("code_executor", given["bash"], _ANSWER),
            "javascript": tools.call("code_executor", given["javascript"], _ANSWER),
        }
        node = shutil.which("node")
        if node is not None:
            calls["node -e"] = program((node, "-e", CODE["javascript"]), _ANSWER)
        table = await in_pairs(calls, bench.plan.boxed, settled=calls)
    lines = [
        Line("python", "python3 -c", "python", "a box, bounds"),
        Line("python, through gRPC", "python3 -c", "python, gRPC", "a worker apart"),
        Line("bash", "bash -c", "bash", "a box, bounds"),
    ]
    if node is not None:
        lines.append(Line("javascript", "node -e", "javascript", "a box, bounds"))
    tell(table, lines)
    bench.report.note(f"node: {node or 'none on this machine to compare JavaScript with'}")
    bench.found["code"] = ratio_of(table, "python3 -c", "python")


async def kept(bench: Bench) -> None:
    """What keeps its state: the interpreter and the shell of a session."""
    tell_head(bench.report, "Sessions: what is kept between calls")
    session: JSON = {"code": CODE["python"], "session": True}
    tools = bench.tools
    async with kept_bash(CODE["bash"], _ANSWER) as shell:
        calls: dict[str, Call] = {
            "python3 -c": program(_PYTHON, _ANSWER),
            "exec() in this process": running_python(CODE["python"], _ANSWER),
            "session": tools.call("code_executor", session, _ANSWER),
            "bash -c": program(_BASH, _ANSWER),
            "kept bash": shell,
            "bash": tools.call("bash", {"command": CODE["bash"]}, _ANSWER),
        }
        table = await in_pairs(calls, bench.plan.kept)
    lines = [
        Line("code_executor, session", "python3 -c", "session", "a box, state"),
        Line("code_executor, session", "exec() in this process", "session", "a box, bounds"),
        Line("bash", "bash -c", "bash", "a box, state"),
        Line("bash", "kept bash", "bash", "a box, bounds"),
    ]
    tell(table, lines)
    bench.found["session"] = more_ms(table, "exec() in this process", "session")
    bench.found["bash"] = more_ms(table, "kept bash", "bash")


async def editor(bench: Bench) -> None:
    """The text editor: the same program on the same input, by itself on the host."""
    tell_head(bench.report, "str_replace_based_edit_tool, a file of 200 lines")
    with tempfile.TemporaryDirectory(prefix="auxot-bench-", dir="/tmp") as folder:
        table = await in_pairs(_editor_calls(bench, Path(folder)), bench.plan.kept)
    commands = ("create", "str_replace", "view")
    tell(table, [Line(one, f"its main.py, {one}", one, "a box, session") for one in commands])
    bench.found["editor"] = max(more_ms(table, f"its main.py, {one}", one) for one in commands)


def _editor_calls(bench: Bench, folder: Path) -> dict[str, Call]:
    """The same path here and in the box, where /tmp can be written too."""
    main = share_dir("tools") / _EDITOR / "main.py"
    path = str(folder / "notes.txt")
    lines = [f"line {number} of a file that is edited" for number in range(_EDITED_LINES)]
    begin: JSON = {"command": "create", "path": path, "file_text": "\n".join(lines) + "\n"}
    edit: JSON = {"command": "str_replace", "path": path}
    edit |= {"old_str": "line 100 of", "new_str": "line one hundred of"}
    view: JSON = {"command": "view", "path": path}
    calls: dict[str, Call] = {}
    for given, expected in ((begin, path), (edit, "one hundred"), (view, "one hundred")):
        name = str(given["command"])
        calls[f"its main.py, {name}"] = program(
            ("/usr/bin/python3", str(main)), expected, json.dumps(given).encode()
        )
        calls[name] = bench.tools.call(_EDITOR, given, expected)
    return calls


async def shell(bench: Bench) -> None:
    """A shell script as a tool, in a box and on the host."""
    tell_head(bench.report, "A shell script as a tool")
    script = bench.folder / "plain.sh"
    script.write_text(SCRIPT, "utf-8")
    script.chmod(0o755)
    ran = "the script by itself"
    bare = program((str(script),), _ANSWER, b"{}")
    calls: dict[str, Call] = {ran: bare, SHELL: bench.tools.call(SHELL, {}, _ANSWER)}
    table = await in_pairs(calls, bench.plan.boxed, settled=calls)
    tell(table, [Line("NAME.sh in a box", ran, SHELL, "a box, bounds")])
    calls = {ran: bare, HOST: bench.tools.call(HOST, {}, _ANSWER)}
    table = await in_pairs(calls, bench.plan.kept)  # uses no box up
    tell(table, [Line("NAME.sh on the host", ran, HOST, "checks, clean end")])
    bench.found["host"] = more_ms(table, ran, HOST)


async def egress(bench: Bench) -> None:
    """A GET from a box through the proxy: the whole call, and as curl itself times it."""
    tell_head(
        bench.report, "curl through the egress proxy, a box for each call (made ready before it)"
    )
    if shutil.which("curl") is None:
        bench.report.note("no curl on this machine to compare with")
        return
    direct, boxed = _Clock(SMALL_BODY), _Clock(SMALL_BODY)
    whole, by_curl = "curl on the host", "its request, curl's clock"
    calls: dict[str, Call] = {
        whole: program(("sh", "-c", get_command(bench.origin)), direct),
        by_curl: direct.last,
        "call": bench.tools.call(GET, {}, boxed),
        "request": boxed.last,
    }
    table: Table = await in_pairs(calls, bench.plan.egress, settled=(whole, "call"))
    lines = [
        Line("whole call", whole, "call", "a box, bounds"),
        Line("the request in it", by_curl, "request", "checked addresses"),
    ]
    tell(table, lines)
    bench.found["egress"] = more_ms(table, by_curl, "request")


class _Clock:
    """Finds what curl says of its request at the end of an answer, in seconds."""

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._last_s = 0.0

    def __call__(self, text: str) -> bool:
        """Whether the answer is the expected one; its time is remembered."""
        if self._expected in text:
            self._last_s = float(text.rsplit(maxsplit=1)[-1])
        return self._expected in text

    async def last(self, _client: int) -> float:
        """The time that the call before had."""
        return self._last_s
