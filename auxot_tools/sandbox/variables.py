"""Which environment variables a program may be given: those that do not change how it is run.

Pure: it judges names and sizes, and never repeats a value.
"""

import re
from collections.abc import Iterable

MOST = 64
LIMIT_BYTES = 64 * 2**10  # of all names and values: Linux takes 128 KiB for one, 2 MiB with argv
_NAME_CHARS = 128
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What changes how the loader, the C library, a shell, Python or Node.js begins, and the box's own.
_OF_THE_BOX = {"PATH", "HOME", "TMPDIR", "LANG", "LANGUAGE", "NODE_USE_ENV_PROXY"}
_OF_THE_LIBRARY = {
    "GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NLSPATH", "OPENSSL_CONF",
    "OPENSSL_ENGINES", "OPENSSL_MODULES", "RESOLV_HOST_CONF", "RES_OPTIONS", "SSLKEYLOGFILE",
    "TZDIR",
}  # fmt: skip
_OF_SHELLS = {
    "BASHOPTS", "CDPATH", "ENV", "GLOBIGNORE", "IFS", "POSIXLY_CORRECT", "PS4", "SHELLOPTS",
}  # fmt: skip
_OF_NODE = {
    "NODE_EXTRA_CA_CERTS", "NODE_ICU_DATA", "NODE_OPTIONS", "NODE_PATH", "NODE_REDIRECT_WARNINGS",
    "NODE_REPL_EXTERNAL_MODULE", "NODE_V8_COVERAGE",
}  # fmt: skip
_REFUSED = _OF_THE_BOX | _OF_THE_LIBRARY | _OF_SHELLS | _OF_NODE
_REFUSED_BEGINNINGS = ("LD_", "LC_", "PYTHON", "BASH_", "GLIBC_", "MALLOC_", "AUXOT_BOX")


def refusal_of(variables: Iterable[tuple[str, str]]) -> str:
    """Why a program cannot be given these, in a sentence that holds no value; empty when it can."""
    seen: set[str] = set()
    size = 0
    for name, value in variables:
        if reason := _refusal_of_one(name, value):
            return reason
        if name in seen:
            return f"The variable {name} is given twice."
        seen.add(name)
        size += len(name) + len(value.encode()) + 2  # "=" and the end, as the kernel has them
    if len(seen) > MOST:
        return f"There are {len(seen)} variables, and a program can be given {MOST}."
    if size > LIMIT_BYTES:
        return f"The variables have {size} bytes together; the limit is {LIMIT_BYTES}."
    return ""


def _refusal_of_one(name: str, value: str) -> str:
    if len(name) > _NAME_CHARS or _NAME.fullmatch(name) is None:
        return (
            f"{name[:40]!a} cannot name a variable: letters, digits and underscores can, no digit "
            f"first, {_NAME_CHARS} at most."
        )
    if name in _REFUSED or name.startswith(_REFUSED_BEGINNINGS):
        return f"The variable {name} is not for a tool to set: it changes how programs start."
    if "\0" in value:
        return f"The variable {name} has a null character in its value."
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"The variable {name} has a value that is not valid text."
    return ""
