"""The `scripted_model` of a test: what the model says, and what it was sent.

One job: that object. What turns are is `scripted/scenario.py`. It must not know routers, workers or
pytest.
"""

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.pytest_lab import Lab, text_of
from auxot_tools.scripted import (
    Scenario,
    ScenarioPlay,
    Script,
    ScriptedModel,
    ScriptedRequest,
    ToolUseBlock,
    Turn,
    load_scenario,
    scenario_of,
    scripted_app,
)
from auxot_tools.scripted.server import Receive, Send
from auxot_tools.types import JSON

TurnLike = Turn | Mapping[str, Any] | str


class ScriptedModelServer:
    """A Messages endpoint that plays the turns of one test.

    ``url`` is a base URL: `POST {url}/v1/messages`. Any key is taken.
    """

    def __init__(self, folder: Path) -> None:
        """``folder``: where scenario files are looked for."""
        self.url = ""
        self._folder = folder
        self._calls: list[ToolUseBlock] = []
        self._earlier: list[str] = []
        self._play: ScenarioPlay | None = None
        self._start(None)

    def play(self, *turns: TurnLike, **scenario: Any) -> None:
        """From now on say these turns, in order.

        A turn is a `Turn`, the same as a mapping, or a text; ``scenario`` holds `select` and
        `after_last`. Raises ``ConfigError`` with each mistake and its place.
        """
        __tracebackhide__ = True  # a mistake is the test's line, not one in here
        said = [turn if isinstance(turn, Turn | str) else dict(turn) for turn in turns]
        self._begin(lambda: scenario_of({"turns": said, **scenario}))

    def load(self, path: str | Path) -> None:
        """Play a scenario file, whose path counts from the folder of the test's file.

        Raises ``ConfigError`` with each mistake and its line.
        """
        __tracebackhide__ = True
        self._begin(lambda: load_scenario(self._folder / path))

    def calls(self, name: str, input: Mapping[str, Any] | None = None) -> None:  # noqa: A002
        """Have the model call this tool, and then say the text of the result.

        Called again before the first request, it adds a call to the same turn.
        """
        self._calls.append(ToolUseBlock(name=name, input=dict(input or {})))
        self._start(Scenario(turns=(Turn(tool_use=tuple(self._calls)), Turn(say_results=True))))

    @property
    def requests(self) -> list[JSON]:
        """The bodies of the requests that the model received since its turns were given."""
        return [json.loads(body) for body in self._model.requests]

    @property
    def results(self) -> list[JSON]:
        """The `tool_result` blocks in the last request's last message."""
        requests = self.requests
        messages = requests[-1].get("messages") if requests else None
        content = messages[-1].get("content") if messages else None
        blocks = content if isinstance(content, list) else []
        return [block for block in blocks if block.get("type") == "tool_result"]

    @property
    def result_text(self) -> str:
        """The text of these results."""
        contents = [result.get("content") for result in self.results]
        texts = [one if isinstance(one, str) else text_of(one) for one in contents]
        return "\n".join(texts)

    def problems(self) -> list[str]:
        """What is not as the scenario wants it by now, in sentences; empty when all is well."""
        return [*self._earlier, *(self._play.problems() if self._play else ())]

    def check(self) -> None:
        """Raises ``AssertionError`` with all `problems`. A test's end does so by itself."""
        if problems := self.problems():
            raise AssertionError("\n".join(problems))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _begin(self, read: Callable[[], Scenario]) -> None:
        __tracebackhide__ = True
        try:
            scenario = read()
        except ConfigError as error:
            mistakes = error.mistakes
        else:
            self._calls = []
            self._start(scenario)
            return
        raise ConfigError(mistakes)  # anew, and so without the way through the reader

    def _start(self, scenario: Scenario | None) -> None:
        # Turns that are replaced need not be played any more.
        self._earlier.extend(self._play.failures if self._play else ())
        self._play = ScenarioPlay(scenario) if scenario is not None else None
        script: Script = self._play or _nothing_to_say
        self._model = ScriptedModel(script)
        self._app = scripted_app(self._model)


def _nothing_to_say(request: ScriptedRequest) -> Turn:  # noqa: ARG001
    raise LookupError("The test has not said what the model says: use play(), calls() or load().")


@contextmanager
def served_model(lab: Lab, folder: Path) -> Iterator[ScriptedModelServer]:
    """A scripted model without turns, on loopback."""
    model = ScriptedModelServer(folder)
    with lab.served(model) as model.url:
        yield model
