"""From a machine's apt configuration, only the entries of the distribution's own archive.

Pure: text in, text out. Third-party lists never reach the sandbox image. No host is named here:
the mirror is whatever the machine itself uses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ARCHIVE_COMPONENTS = ("main", "universe")  # universe: where Ubuntu keeps nodejs and jq
_POCKETS = ("", "-updates", "-security")
_ARCHIVE_KEYRINGS = ("debian-archive-", "ubuntu-archive-")


@dataclass(frozen=True, slots=True)
class _Entry:
    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str


def archive_lines(files: Mapping[str, str], codename: str) -> list[str]:
    """One-line `deb` entries for release `codename`; empty when the machine has none.

    `files` maps each file's name under /etc/apt to its text: `*.sources` are deb822, others hold
    one-line entries. An entry counts as the archive's when its suite is the release itself (or
    its updates, or its security fixes), it has the component `main`, and its key, if it names
    one, is the distribution's archive keyring.
    """
    lines = []
    for name, text in sorted(files.items()):
        entries = _deb822(text) if name.endswith(".sources") else _one_line(text)
        lines += [_line(entry) for entry in entries if _is_archive(entry, codename)]
    return list(dict.fromkeys(lines))


def _is_archive(entry: _Entry, codename: str) -> bool:
    if entry.suite not in {codename + pocket for pocket in _POCKETS}:
        return False
    if "main" not in entry.components:
        return False
    keyring = entry.signed_by.rsplit("/", 1)[-1]
    return not keyring or keyring.startswith(_ARCHIVE_KEYRINGS)


def _line(entry: _Entry) -> str:
    options = f"[signed-by={entry.signed_by}] " if entry.signed_by else ""
    components = " ".join(c for c in _ARCHIVE_COMPONENTS if c in entry.components)
    return f"deb {options}{entry.uri} {entry.suite} {components}"


def _deb822(text: str) -> Iterator[_Entry]:
    for stanza in text.split("\n\n"):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield _Entry(uri, suite, components, fields.get("signed-by", ""))


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[last] = f"{fields.get(last, '')} {line.strip()}"
            continue
        last, _, value = line.partition(":")
        last = last.strip().lower()
        fields[last] = value.strip()
    return fields


def _one_line(text: str) -> Iterator[_Entry]:
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].strip()
        if not line.startswith("deb "):
            continue
        line, signed_by = line[4:].strip(), ""
        if line.startswith("["):
            options, _, line = line[1:].partition("]")
            pairs = dict(option.partition("=")[::2] for option in options.split())
            signed_by = pairs.get("signed-by", "")
        words = line.split()
        if len(words) >= 3:
            yield _Entry(words[0], words[1], tuple(words[2:]), signed_by)
