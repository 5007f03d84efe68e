"""Secret settings from files: `AUXOT_WORKER_KEY_FILE=/run/secrets/worker.key` and its kin.

One job: put the content of such a file where the environment would have had the value, so that a
container or a unit holds no secret in its environment. No sentence here holds a value.

    AUXOT_WORKER_KEY=…                 the value itself
    AUXOT_WORKER_KEY_FILE=/path        a file that holds it; one line end after it does not count

Both at once are a mistake. A name that is set to nothing counts as not set beside the other one.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from auxot_tools.config.catalog import ENV_NAMES, PLAIN_NAMES, SETTINGS

SUFFIX = "_FILE"
MAX_BYTES = 32 * 2**10  # of one secret; a key has fewer than a hundred


class _Unusable(Exception):
    """What is wrong with a file: a sentence without its subject and its full stop."""


def secret_names() -> Iterator[str]:
    """The environment names of all settings that are secrets, plain ones first."""
    for name, targets in PLAIN_NAMES.items():
        if all(SETTINGS[target].is_secret for target in targets):
            yield name
    yield from (setting.env_name for setting in SETTINGS.values() if setting.is_secret)


def with_secret_files(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """``environ`` with the values that `…_FILE` names have, and without those names.

    A file that cannot be used becomes a sentence in ``mistakes``. Blocking, quick.
    """
    values = dict(environ)
    filled: set[str] = set()  # settings whose value a file gave
    for name in secret_names():
        path = values.pop(name + SUFFIX, "")
        if not path:
            continue
        if values.get(name):
            mistakes.append(f"{name} and {name}{SUFFIX} (environment) are both set: unset one.")
            continue
        try:
            values[name] = _content(Path(path))
        except _Unusable as error:
            mistakes.append(f"{name}{SUFFIX} (environment): the file {path} {error}.")
        filled.update(_settings_of(name))
    for name in secret_names():  # or an empty value would win, under the setting's other name
        if values.get(name) == "" and not filled.isdisjoint(_settings_of(name)):
            del values[name]
    return values


def _settings_of(name: str) -> tuple[str, ...]:
    return PLAIN_NAMES[name] if name in PLAIN_NAMES else (ENV_NAMES[name],)


def _content(path: Path) -> str:
    try:
        data = _bytes(path)
        value = data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise _Unusable(f"cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise _Unusable("is not UTF-8 text") from None
    if not value or len(data) > MAX_BYTES:
        raise _Unusable(f"is empty or larger than {MAX_BYTES} bytes")
    if not value.isprintable():
        raise _Unusable(
            "holds more than one line, or characters that cannot be seen (such as a byte order "
            "mark): it must hold the value alone"
        )
    return value


def _bytes(path: Path) -> bytes:
    """At most one more than may be. Never waits, as a pipe without a writer would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Unusable("is no regular file")
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
