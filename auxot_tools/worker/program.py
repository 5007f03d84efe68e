"""Makes the program of a call: what is run in the box, its standard input, and its files.

One job: from a tool's declaration and arguments that fit its schema to a ``Program``. Pure: it must
not know how programs are run, nor how schemas judge. Two kinds of tools:

- ``command``: the tool's own program, which reads the input as JSON from standard input;
- ``code``: the input *is* a program. It becomes a file in /work under a name that no file of the
  call has, and standard input is a field of the input.

The code is in a file, never in an argument list: no length limit, and not shown to other processes.

In a session the file has a name of its own, so that no file of the conversation is overwritten. A
``code`` tool that brings `python_session.py` has such calls run by it: it keeps what outlives them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from auxot_tools.errors import ConfigError
from auxot_tools.ports import CollectLimits, Program, Runtime
from auxot_tools.types import JSON, InputFile, ToolCall
from auxot_tools.worker.violations import Violation, Violations, nearest, pointer

WORK = "/work"
SESSION_PROGRAM = "python_session.py"
_SESSION_STEM = ".call"  # hidden: a listing of /work shows the conversation's own files
DEFAULT_LANGUAGE = "python"


class _Language(NamedTuple):
    file_name: str
    interpreter: str
    ready: Runtime  # the interpreter that should be waiting in the box


LANGUAGES: Mapping[str, _Language] = {
    "python": _Language("main.py", "python3", "python"),
    "javascript": _Language("main.cjs", "node", "node"),
    "bash": _Language("main.sh", "bash", "python"),
}
# JavaScript is run as CommonJS (`require`) unless a line can only be meant for a module.
_MODULE_FILE = "main.mjs"
_MODULE_LINE = re.compile(
    r"""^(?:import(?:\s+[\w$]|\s*[{*"'])|export(?:\s+\w|\s*[{*])"""
    r"""|(?:(?:const|let|var)\s[^=\n]*=\s*)?await\s)""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class CodeFields:
    """Which fields of the input hold a program, its language and its standard input.

    An empty name: there is no such field. ``languages`` are those that the input may name, and
    ``default_language`` counts when it names none.
    """

    field: str
    language_field: str = ""
    stdin_field: str = ""
    languages: tuple[str, ...] = (DEFAULT_LANGUAGE,)
    default_language: str = DEFAULT_LANGUAGE

    def language(self, arguments: JSON) -> str:
        """The language that the arguments ask for."""
        return str(arguments.get(self.language_field, self.default_language))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the program of any call of one tool is made: by ``command``, or by ``code``."""

    command: tuple[str, ...] = ()
    code: CodeFields | None = None
    tool_files: tuple[InputFile, ...] = ()
    collect: CollectLimits | None = None

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """The interpreters that calls may want to find waiting, the likeliest first."""
        if self.code is None:
            return ("python",)
        languages = (self.code.default_language, *self.code.languages)
        return tuple(dict.fromkeys(LANGUAGES[name].ready for name in languages))


class Made(NamedTuple):
    """A program, and the interpreter that should be waiting where it runs."""

    program: Program
    ready: Runtime


def make_program(
    recipe: Recipe, call: ToolCall, arguments: JSON, *, is_session: bool = False
) -> Made | Violations:
    """The program of ``call``, whose input was found to hold ``arguments``.

    ``is_session``: it runs in a box that keeps files and processes. Code that no interpreter would
    run whole is refused with its place. Linear in the input's size.
    """
    if recipe.code is None:
        stdin = call.input_json or b"{}"
        program = Program(recipe.command, stdin, recipe.tool_files, call.files, recipe.collect)
        return Made(program, "python")
    fields = recipe.code
    code, stdin_text = arguments.get(fields.field, ""), arguments.get(fields.stdin_field, "")
    flaws = [*_code_flaws(fields.field, code), *_text_flaws(fields.stdin_field, stdin_text)]
    if flaws:
        return Violations(tuple(flaws))
    name = fields.language(arguments)
    language = LANGUAGES[name]
    wanted = _file_name(name, code, is_session)
    file = InputFile(_free_name(wanted, (one.name for one in call.files)), code.encode())
    path = f"{WORK}/{file.name}"
    runs_session = is_session and any(one.name == SESSION_PROGRAM for one in recipe.tool_files)
    program = Program(
        ("python3", f"/tool/{SESSION_PROGRAM}", name, path)
        if runs_session
        else (language.interpreter, path),
        stdin_text.encode(),
        # The session's program is of no use to other calls, and each file is sent with each call.
        tuple(one for one in recipe.tool_files if runs_session or one.name != SESSION_PROGRAM),
        (*call.files, file),
        recipe.collect,
    )
    return Made(program, "python" if is_session else language.ready)


def _file_name(language: str, code: str, is_session: bool) -> str:
    is_module = language == "javascript" and _MODULE_LINE.search(code) is not None
    name = _MODULE_FILE if is_module else LANGUAGES[language].file_name
    return f"{_SESSION_STEM}.{name.rpartition('.')[2]}" if is_session else name


def read_code_fields(declared: JSON, schema: JSON) -> CodeFields:
    """The ``code`` object of a tool.json, checked against the tool's input schema.

    Raises ``ConfigError`` with a sentence for each field that is not there or cannot hold what it
    is for.
    """
    names = {key: str(declared.get(key, "")) for key in ("field", "language_field", "stdin_field")}
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    mistakes = [
        mistake
        for key, name in names.items()
        if name and (mistake := _field_mistake(key, name, known))
    ]
    if not mistakes and names["field"] not in schema.get("required", []):
        mistakes.append(f"code.field: `{names['field']}` must be in the schema's `required`")
    named = [name for name in names.values() if name]
    if len(set(named)) < len(named):
        mistakes.append("code: one field of the input is named for two things")
    if mistakes:
        raise ConfigError(mistakes)
    field, language_field, stdin_field = names.values()
    if not language_field:
        return CodeFields(field, stdin_field=stdin_field)
    languages, default = _languages(language_field, known[language_field])
    return CodeFields(field, language_field, stdin_field, languages, default)


def _field_mistake(key: str, name: str, known: Mapping[str, Any]) -> str:
    if name not in known:
        close = nearest(name, list(known))
        hint = f"; did you mean `{close}`?" if close else ""
        return f"code.{key}: the input has no field `{name}`{hint}"
    if not isinstance(known[name], dict) or known[name].get("type") != "string":
        return f"code.{key}: the field `{name}` must have the type string"
    return ""


def _languages(name: str, declared: JSON) -> tuple[tuple[str, ...], str]:
    known = ", ".join(LANGUAGES)
    languages = tuple(declared.get("enum", ()))
    if not languages or not all(one in tuple(LANGUAGES) for one in languages):
        raise ConfigError([f"code.language_field: `{name}` must have an `enum` out of {known}"])
    default = declared.get("default", DEFAULT_LANGUAGE)
    if default not in languages:
        raise ConfigError([f"code.language_field: `{name}` must have a `default` out of its enum"])
    return languages, default


def _code_flaws(field: str, code: str) -> list[Violation]:
    nul = code.find("\0")
    if nul < 0:
        return _text_flaws(field, code)
    # An interpreter may run what stands before it and say nothing.
    text = f"has a NUL character at position {nul}, which no program may hold; write \\0 or chr(0)"
    return [Violation(pointer([field]), text)]


def _text_flaws(field: str, text: str) -> list[Violation]:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        said = f"has half of a surrogate pair at position {error.start}, which is not a character"
        return [Violation(pointer([field]), said)]
    return []


def _free_name(wanted: str, taken: Iterable[str]) -> str:
    """``main.py``, or ``main_2.py`` when the call brought a ``main.py``, and so on.

    The file lies beside the call's, so that the code can import them. Their number bounds the loop.
    """
    names, (stem, _dot, ending) = set(taken), wanted.rpartition(".")
    name, number = wanted, 1
    while name in names:
        number += 1
        name = f"{stem}_{number}.{ending}"
    return name
