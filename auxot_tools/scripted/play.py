"""A scenario being played: which turns are over, and which expectations were not met.

One job: a turn for each request, and what is to be said of it all at the end. It must not know
HTTP, files or time. One conversation, or many side by side in one event loop.
"""

from collections.abc import Callable, Sequence

from auxot_tools.scripted.conditions import Unmet, last_results, result_text, unmet
from auxot_tools.scripted.scenario import (
    JSON,
    Faults,
    HttpFault,
    Scenario,
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
)

TURN_HEADER = "auxot-scripted-turn"  # the turn that answers, counted from 1
MAX_TOLD = 100  # failures that are kept in words; all are counted


class ScenarioPlay:
    """Implements ``Script`` for one scenario, from its beginning."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        tells_turn: bool = False,
        on_failure: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """``tells_turn``: each answer has the header ``auxot-scripted-turn``. ``on_failure`` is
        told of each request that failed, when it did.
        """
        self.scenario = scenario
        self._tells_turn = tells_turn
        self._on_failure = on_failure
        self._unclaimed = 0
        self._played: set[int] = set()
        self._failures: list[str] = []
        self.failed = 0
        """Requests that did not meet an expectation, or came when no turn was left."""

    @property
    def played(self) -> int:
        """Turns that were played at least once."""
        return len(self._played)

    @property
    def failures(self) -> Sequence[str]:
        """What the first failed requests were, in sentences."""
        return tuple(self._failures)

    def problems(self) -> list[str]:
        """Everything that is not as the scenario wants it by now; empty when all is well."""
        turns = enumerate(self.scenario.turns)
        left = [
            f"{self.scenario.where('turns', index)}: this turn was not played."
            for index, turn in turns
            if index not in self._played and not turn.optional
        ]
        return [*self._failures, *left]

    def __call__(self, request: ScriptedRequest) -> Turn:
        """See ``Script``. A request that is not as expected gets a 400 that says why."""
        number = ScriptedRequest(body=request.body, number=self._unclaimed)
        try:
            index = self.scenario.chosen(number)
        except LookupError as error:
            self._fail(f"{self.scenario.where()}: {error.args[0]}")
            raise
        turn = self.scenario.turns[index]
        if turn.when is None:
            self._unclaimed += 1
        self._played.add(index)
        missing = unmet(turn.expect, request.body) if turn.expect is not None else []
        if missing:
            turn = Turn(faults=Faults(http=self._refusal(index, missing)))
        if self._tells_turn:
            turn = turn.model_copy(
                update={"headers": {**turn.headers, TURN_HEADER: f"{index + 1}"}}
            )
        return turn

    def _refusal(self, index: int, missing: Sequence[Unmet]) -> HttpFault:
        where = self.scenario.where
        told = [f"{where('turns', index, 'expect', *one.path)}: {one.text}." for one in missing]
        text = "This request is not as the scenario expects it. " + " ".join(told)
        self._fail(" ".join(told))
        return HttpFault(status=400, error_type="invalid_request_error", message=text)

    def _fail(self, text: str) -> None:
        self.failed += 1
        self._on_failure(text)
        if len(self._failures) < MAX_TOLD:
            self._failures.append(text)


def made_for(turn: Turn, body: JSON, unique: str) -> Turn:
    """The turn with what depends on its request: ids of tool_use blocks, results to be repeated.

    ``unique`` is a word that no other answer has.
    """
    blocks = tuple(
        block.model_copy(update={"id": f"toolu_{unique}_{index}"})
        if isinstance(block, ToolUseBlock) and not block.id
        else block
        for index, block in enumerate(turn.blocks)
    )
    if turn.say_results:
        texts = [result_text(result) for result in last_results(body)]
        blocks = (*blocks, TextBlock(text="\n".join(texts) or "There is no tool_result."))
    return turn.model_copy(update={"blocks": blocks}) if blocks != turn.blocks else turn
