"""Becomes the program that a call of code_executor asks for. Runs in the box.

One job: read the arguments (JSON) from standard input, write the code to the working folder under a
name that no file of the call has, put the given stdin in place of our own, and replace this process
by the interpreter. The program is then the box's main child itself, so its exit code, signal and
output are its own. Standard library only; it must not know the worker. The arguments were checked
against tool.json before they came.

The code is in a file, never in an argument list: no length limit, and not shown to other processes.
"""

# pathlib would cost a quarter of this program's start:
# ruff: noqa: PTH109, PTH118, PTH123

import json
import os
import re
import sys

CANNOT_START = 126  # as a shell says it: found, but not to be run

# language -> file name and interpreter. Python unbuffered: what was printed before a stop is kept.
PROGRAMS = {
    "python": ("main.py", ["python3", "-u"]),
    "javascript": ("main.cjs", ["node"]),
    "bash": ("main.sh", ["bash"]),
}
# JavaScript is run as CommonJS (`require`) unless a line can only be meant for a module.
MODULE_FILE = "main.mjs"
MODULE_LINE = re.compile(
    r"""^(?:import\s*[\w{*"'$]|export\s*[\w{*]|(?:(?:const|let|var)\s[^=\n]*=\s*)?await\s)""",
    re.MULTILINE,
)


def main():
    arguments = json.load(sys.stdin.buffer)
    code = arguments["code"]
    if "\0" in code:  # Python 3.11 would run what stands before it and say nothing
        refuse(f"the code has a NUL character at position {code.index(chr(0))}")
    language = arguments.get("language", "python")
    file_name, interpreter = PROGRAMS[language]
    if language == "javascript" and MODULE_LINE.search(code):
        file_name = MODULE_FILE
    path = write_code(file_name, code.encode("utf-8"))
    replace_stdin(arguments.get("stdin", ""))
    os.execvp(interpreter[0], [*interpreter, path])


def write_code(file_name, code):
    """The path of the new file: ``main.py``, or ``main_2.py`` when the call brought a ``main.py``.

    It lies beside the call's files, so that the code can import them. Their number bounds the loop.
    """
    stem, _, ending = file_name.partition(".")
    number = 1
    while True:
        path = os.path.join(os.getcwd(), file_name)
        try:
            with open(path, "xb") as file:
                file.write(code)
        except FileExistsError:
            number += 1
            file_name = f"{stem}_{number}.{ending}"
        else:
            return path


def replace_stdin(text):
    """File descriptor 0 reads ``text``, then its end: an unnamed file, so any length fits."""
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(text.encode("utf-8"))
        file.seek(0)
        os.dup2(file.fileno(), 0)


def refuse(reason):
    print(f"The program was not started: {reason}.", file=sys.stderr)
    sys.exit(CANNOT_START)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        refuse(error.strerror)
