"""Secret settings from files: `AUXOT_WORKER_KEY_FILE=/run/secrets/worker.key` and its kin.

One job: put the content of such a file where the environment would have had the value, so that a
container or a unit holds no secret in its environment. No sentence here holds a value.

    AUXOT_WORKER_KEY=…                 the value itself; it wins over a file
    AUXOT_WORKER_KEY_FILE=/path        a file that holds it; one line end after it does not count
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from auxot_tools.config.catalog import PLAIN_NAMES, SETTINGS

SUFFIX = "_FILE"
MAX_BYTES = 32 * 2**10  # of one secret; a key has fewer than a hundred


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
    for name in secret_names():
        path = values.pop(name + SUFFIX, "")
        if not path or name in values:
            continue
        value = _content(name + SUFFIX, Path(path), mistakes)
        if value is not None:
            values[name] = value
    return values


def _content(name: str, path: Path, mistakes: list[str]) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        value = data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        mistakes.append(f"{name} (environment): the file {path} cannot be read: {reason}.")
        return None
    except UnicodeDecodeError:
        mistakes.append(f"{name} (environment): the file {path} is not UTF-8 text.")
        return None
    if not value or len(data) > MAX_BYTES:
        mistakes.append(
            f"{name} (environment): the file {path} is empty or larger than {MAX_BYTES} bytes."
        )
        return None
    return value
