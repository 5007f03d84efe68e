"""`auxot-tools scripted-model`: serves the turns of a scenario as a Messages endpoint.

One job: options, a line for each request, and whether it all came as the scenario expects. What a
scenario is, is `scripted/scenario.py`; nothing here knows what is said.
"""

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from auxot_tools.cli.option_values import listener_at
from auxot_tools.cli.start import run
from auxot_tools.router.serve import serve
from auxot_tools.scripted import (
    Scenario,
    ScenarioPlay,
    ScriptedModel,
    load_scenario,
    scenario_schema,
    scripted_app,
)
from auxot_tools.scripted.play import TURN_HEADER
from auxot_tools.scripted.server import Message, Receive, Send

GRACE_S = 1.0  # for answers that are on their way when it is told to stop
_SHOWN_PATH_CHARS = 100
_PROBLEMS_TOLD = 20
_ANY_ADDRESS = "127.0.0.1:0"


@click.command("scripted-model")
@click.argument(
    "scenario", required=False, type=click.Path(dir_okay=False, path_type=Path), default=None
)
@click.option(
    "--listen", default=_ANY_ADDRESS, show_default=True, help="HOST:PORT, or PORT. 0: any free one."
)
@click.option("--check", is_flag=True, help="Only look whether the scenario has mistakes.")
@click.option("--exit-after", type=click.IntRange(min=1), help="End after so many requests.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a scenario, and end.")
def scripted_model(
    scenario: Path | None, listen: str, check: bool, exit_after: int | None, schema: bool
) -> None:
    """Serve the turns of SCENARIO, a YAML or JSON file, as a Messages endpoint.

    The first line says where; each request gets one line. At the end (Ctrl-C, or --exit-after) it
    exits with 0 when every turn was played and every request was as expected, else with 1.
    """
    if schema:
        click.echo(json.dumps(scenario_schema(), indent=2))
        return
    if scenario is None:
        raise click.UsageError("name a scenario file, or ask for --schema")
    listener = listener_at(listen, "--listen", _ANY_ADDRESS)
    loaded = load_scenario(scenario)
    expecting = sum(turn.expect is not None for turn in loaded.turns)
    if check:
        count = len(loaded.turns)
        turns = f"{count} turn{'s' if count > 1 else ''}"
        click.echo(f"{scenario}: {turns}, {expecting} with `expect`; no mistakes")
        return
    if not listener.is_private:
        click.echo(f"{listener.host} is off loopback: whoever reaches it is answered.", err=True)
    served = _ServedScenario(loaded, exit_after)
    run(partial(serve, served, listener, _tell_ready, grace_s=GRACE_S, beside=served.stop_in_time))
    if not served.tell_end():
        sys.exit(1)


def _tell_ready(origin: str) -> None:
    click.echo(f"scripted-model ready: {origin}")


class _ServedScenario:
    """The app: the scripted model, which says of each request what became of it."""

    def __init__(self, scenario: Scenario, exit_after: int | None) -> None:
        self._play = ScenarioPlay(scenario, tells_turn=True, on_failure=_tell_failure)
        self._model = ScriptedModel(self._play, requests_kept=0)
        self._app = scripted_app(self._model)
        self._exit_after = exit_after
        self._enough = anyio.Event()
        self._open: set[anyio.CancelScope] = set()

    def give_up(self) -> None:
        """End what is still being answered."""
        for scope in self._open:
            scope.cancel()

    async def stop_in_time(self) -> None:
        """Once there were enough requests, end as a person would have it end."""
        await self._enough.wait()
        signal.raise_signal(signal.SIGTERM)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        begun, told = time.monotonic(), {"status": "client left", "turn": ""}

        async def listening(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = {name.decode(): value.decode() for name, value in message["headers"]}
                told.update(status=str(message["status"]), turn=headers.get(TURN_HEADER, ""))
            await send(message)

        with anyio.CancelScope() as open_scope:
            self._open.add(open_scope)
            try:
                await self._app(scope, receive, listening)
            finally:
                self._open.discard(open_scope)
        path = scope["path"].encode("unicode_escape").decode()[:_SHOWN_PATH_CHARS]
        turn = f", turn {told['turn']}" if told["turn"] else ""
        took_s = time.monotonic() - begun
        click.echo(f"{scope['method']} {path}: {told['status']}{turn}, {took_s:.3f} s")
        self._count()

    def _count(self) -> None:
        if self._exit_after is not None and self._model.received >= self._exit_after:
            self._enough.set()

    def tell_end(self) -> bool:
        """Say what came of it; whether all is as the scenario wants it."""
        play, problems = self._play, self._play.problems()
        click.echo(
            f"{self._model.received} requests, {play.failed} of them not as expected; "
            f"{play.played} of {len(play.scenario.turns)} turns played"
        )
        counted = Counter(problems)
        for problem, times in list(counted.items())[:_PROBLEMS_TOLD]:
            click.echo(f"  {problem}{f' ({times} times)' if times > 1 else ''}")
        if len(counted) > _PROBLEMS_TOLD:
            click.echo(f"  and {len(counted) - _PROBLEMS_TOLD} more")
        return not problems


def _tell_failure(text: str) -> None:
    click.echo(f"FAIL {text}")
