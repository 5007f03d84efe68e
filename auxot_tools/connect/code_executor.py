"""Auxot's `code_executor`, with its arguments, defaults and result, run by ours.

One job: its arguments as ours, our result as its. Pure. Without `language` the code is a script in
JavaScript: what it prints is `output`, the value of its last expression `return_value`; it is run
by `run_script.cjs`. With `language` it may also be Python or bash, and the exit code is told.
"""

import json
import re
from importlib.resources import files

from auxot_tools.connect.calls import Prepared, Ran, Usage
from auxot_tools.connect.folded import Fields
from auxot_tools.connect.frames import JobAnswer
from auxot_tools.messages import exact_json
from auxot_tools.types import JSON, Status

NAME = "code_executor"
DEFAULT_S, MAX_S = 10, 30
RETURN_CHARS = 64 * 2**10  # of a return value as JSON: what a model can still read
RETURN_DEPTH = 245  # levels of it; the frame around it adds two, and what carries it has 250
_TOLD_CHARS = 4096  # of what a script's end says in words
_MEMBER_CHARS = len('{"value":}')
_LANGUAGES = {
    **dict.fromkeys(("", "javascript", "js", "node"), "javascript"),
    **dict.fromkeys(("python", "python3", "py"), "python"),
    **dict.fromkeys(("bash", "sh", "shell"), "bash"),
}
_RUN_SCRIPT = files("auxot_tools.connect").joinpath("run_script.cjs").read_text("utf-8")
# How a program was ended by a limit: the result's text says it in its first paragraph.
_LIMITS = frozenset({Status.OUT_OF_MEMORY, Status.PROCESS_LIMIT, Status.OUTPUT_LIMIT})


def prepare(fields: Fields, mark: str) -> Prepared:
    """The call for these arguments; ``mark`` is a word that nobody can guess. Raises `Usage`."""
    code, asked = fields.text("code"), fields.text("language").strip().lower()
    seconds = fields.whole("timeout_seconds")
    if not code.strip():
        raise Usage(f"{NAME}: code must not be empty")
    if asked not in _LANGUAGES:
        raise Usage(f"{NAME}: language must be javascript, python or bash")
    language = _LANGUAGES[asked]
    timeout_s = seconds if seconds is not None and 1 <= seconds <= MAX_S else DEFAULT_S
    is_script = language == "javascript"
    program = _script(code, mark) if is_script else code
    call = {"language": language, "code": program, "timeout_seconds": timeout_s}

    def answer(ran: Ran) -> JobAnswer:
        ended = _ended(ran, mark) if is_script else None
        stderr = _stderr(ran, mark) if asked else ""
        return _answer(ran, ended, timeout_s, stderr, has_language=bool(asked))

    return Prepared.of(NAME, call, answer)


def _script(code: str, mark: str) -> str:
    """The program: the script as a text, first, where whoever approves calls sees it."""
    given = {"CODE": code, "MARK": mark, "RETURN_CHARS": RETURN_CHARS}
    lines = [
        f"const {name} = {json.dumps(value, ensure_ascii=False)};" for name, value in given.items()
    ]
    return "\n".join([*lines, _RUN_SCRIPT])


def _ended(ran: Ran, mark: str) -> JSON | None:
    """What `run_script.cjs` told of the end last; None when it did not come to that.

    The script can write the like, so all of it is checked here again.
    """
    parts = ran.stderr.end.split(f"\n{mark}".encode())[1:]
    whole = [line for line, end, _ in (part.partition(b"\n") for part in parts) if end]
    if not whole:
        return None
    line = whole[-1].decode(errors="replace")
    try:
        told = exact_json.decode(line)
    except exact_json.InvalidJSON as fault:
        return {"unfit": str(fault)}
    if not isinstance(told, dict):
        return None
    if len(line) > RETURN_CHARS + _MEMBER_CHARS:
        return {"long": len(line) - _MEMBER_CHARS}
    if exact_json.is_deeper(told.get("value"), RETURN_DEPTH):
        return {"unfit": f"it is nested in more than {RETURN_DEPTH} levels"}
    return told


def _stderr(ran: Ran, mark: str) -> str:
    """What the program itself wrote there."""
    own = re.sub(rf"\n{re.escape(mark)}[^\n]*(\n|$)", "", ran.stderr.text())
    return own.removesuffix("\n")


def _answer(
    ran: Ran, ended: JSON | None, timeout_s: int, stderr: str, *, has_language: bool
) -> JobAnswer:
    """Auxot's result object; what never ran is an error instead."""
    result = ran.result
    if result.status not in {Status.COMPLETED, Status.TIMED_OUT, *_LIMITS}:
        return JobAnswer(error=ran.text)
    told: JSON = {
        "output": ran.stdout.text(result.output_handle),
        "stderr": stderr,
        "error": _error(ran, ended or {}, timeout_s),
    }
    told = {name: text for name, text in told.items() if text}
    if ended is not None and "value" in ended:
        told["return_value"] = ended["value"]
    if has_language and result.exit_code is not None:
        told["exit_code"] = result.exit_code
    return JobAnswer(told | {"duration_ms": ran.duration_ms}, images=ran.images)


def _error(ran: Ran, ended: JSON, timeout_s: int) -> str:
    """What went wrong while it ran; empty when nothing did."""
    result = ran.result
    if result.status is Status.TIMED_OUT:
        return f"execution timed out after {timeout_s * 1000}ms"
    if result.status in _LIMITS:
        return ran.text.partition("\n\n")[0]
    if "error" in ended:
        return f"runtime error: {ended['error']}"[:_TOLD_CHARS]
    if "long" in ended:
        return (
            f"the return value is {ended['long']!s:.20} characters of JSON; at most {RETURN_CHARS} "
            "are returned. End with a smaller value."
        )
    if "unfit" in ended:
        text = f"the return value cannot be written as JSON: {ended['unfit']}"
        return text[:_TOLD_CHARS]
    if b"JavaScript heap out of memory" in ran.stderr.end:
        return "out of memory: the program used more memory than it may have"
    if result.signal is not None:
        return f"the program was ended by signal {result.signal}"
    return f"the program ended with exit code {result.exit_code}" if result.exit_code else ""
