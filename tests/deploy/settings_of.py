"""The environment that a deployment gives one of our services, judged as the service would.

One job: sentences for what is wrong with it: a name that is no setting, a secret's value, values
that do not load. It must not know where the environment was written.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from auxot_tools.config import load_config
from auxot_tools.config.catalog import ENV_NAMES, PLAIN_NAMES
from auxot_tools.config.load import PATH_NAME
from auxot_tools.config.secret_files import SUFFIX, secret_names
from auxot_tools.errors import ConfigError

SECRETS = frozenset(secret_names())
KNOWN = frozenset({*ENV_NAMES, *PLAIN_NAMES, PATH_NAME, *(f"{name}{SUFFIX}" for name in SECRETS)})


def environment_problems(environ: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each thing that is wrong."""
    ours = {name: value for name, value in environ.items() if name.startswith("AUXOT_")}
    for name in sorted(ours.keys() - KNOWN):
        yield f"{name} is not a setting"
    for name in sorted(SECRETS & ours.keys()):
        yield f"{name} has a secret as its value"
    yield from _loading_problems({name: value for name, value in ours.items() if name in KNOWN})


def _loading_problems(environ: Mapping[str, str]) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        secret = Path(folder) / "secret"
        secret.write_text("s3cret")
        there = {
            name: str(secret) if name.endswith(SUFFIX) and value else value
            for name, value in environ.items()
            if name != PATH_NAME
        }
        try:
            load_config(None, there, Path(folder), keys_needed=True)
        except ConfigError as error:
            yield from error.mistakes
