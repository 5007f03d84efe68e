"""Values of options that several commands take: seconds, and an address to listen at.

One job: from what was typed to a value, or to what is wrong with it.
"""

import math
from typing import Any

import click

from auxot_tools.errors import ConfigError
from auxot_tools.router.serve import Listener

_PORT_DIGITS = 5
_MAX_PORT = 65_535


class Seconds(click.FloatRange):
    """A number within bounds. `nan` is none: it compares with nothing, so no bound stops it."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return number


def listener_at(text: str, setting: str, example: str) -> Listener:
    """The address in `HOST:PORT` or `PORT`. Raises ``ConfigError`` that names the ``setting``."""
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    if not is_port or int(port) > _MAX_PORT:
        told = f"{setting} is {text!r:.60}; write HOST:PORT or PORT, such as {example}."
        raise ConfigError([told])
    return Listener(host.strip("[]") or "127.0.0.1", int(port), setting=setting)
