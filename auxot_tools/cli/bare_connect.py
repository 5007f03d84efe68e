"""The command line as Auxot's users write it, where `connect` goes without saying.

One job: put that word in. It must not load what the command needs: every command passes here.
"""

from collections.abc import Mapping, Sequence

# The options of `connect`; Auxot's own worker has the first two and the last, and no commands.
FLAGS = frozenset(
    (
        "--router-url",
        "--tools-key",
        "--tools-key-file",
        "--worker",
        "--deny-by-default",
        "--log-level",
    )
)


# What Auxot's worker has as commands.
_WORDS = {"version": "--version", "help": "--help", "-h": "--help"}


def with_connect(arguments: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """`auxot-tools` alone means `connect` when AUXOT_ROUTER_URL is set; its flags always do."""
    if len(arguments) == 1 and arguments[0] in _WORDS:
        return [_WORDS[arguments[0]]]
    first = arguments[0] if arguments else ""
    own = 2 if first == "--config" else int(first.startswith("--config="))
    rest = list(arguments[own:])
    is_bare = not rest and bool(environ.get("AUXOT_ROUTER_URL"))
    has_flag = bool(rest) and rest[0].partition("=")[0] in FLAGS
    return [*arguments[:own], *(["connect"] if is_bare or has_flag else []), *rest]
