"""The answers to a turn's calls, ready to be sent: ``ToolResultMessage`` for the Messages API.

One job: every call of the turn has exactly one answer, at its place, so that no id is left without
one; those of tools that are not ours can be replaced by their owner. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from auxot_tools.client.turn import AssistantTurn, TurnCall
from auxot_tools.errors import RequestError
from auxot_tools.messages import blocks
from auxot_tools.types import JSON, Artifact, ToolResult

Content = str | Sequence[JSON]


@dataclass(frozen=True, slots=True)
class OtherCall:
    """A call of a tool that is not ours: its owner runs it and says so with ``answer``."""

    id: str
    name: str
    input: Any


class Answers:
    """What is known of a turn's answers beside their wire form.

    ``results`` are those of our calls, in the order of the calls; ``others`` the calls that are not
    ours and have not been answered by ``answer``: until then they are answered with an error.
    ``goes_on``: the model waits for the answers. False when the turn ended in a refusal, was cut by
    ``max_tokens`` or is not complete: then nothing was run, and the answers say only that.
    """

    results: tuple[ToolResult, ...]
    goes_on: bool

    def _take(
        self, turn: AssistantTurn, results: Sequence[ToolResult | None], answered: list[JSON]
    ) -> None:
        self._answered = answered
        self.results = tuple(result for result in results if result is not None)
        self.goes_on = bool(turn.calls) and not turn.why_not
        self._others: list[tuple[int, TurnCall]] = []
        for index, (call, result) in enumerate(zip(turn.calls, results, strict=True)):
            if result is None:
                self._others.append((index, call))
                text = f'There is no tool named "{call.name}" here. This call was not run.'
                answered.append(self._written(call, text, is_error=True))
            else:
                answered.append(self._written(call, result.content, is_error=result.is_error))

    def _written(self, call: TurnCall, content: Content, *, is_error: bool) -> JSON:
        """The answer to one call as the API wants it."""
        raise NotImplementedError

    @property
    def others(self) -> tuple[OtherCall, ...]:
        """The calls that are not ours and have not been answered yet."""
        return tuple(OtherCall(call.id, call.name, call.input) for _, call in self._others)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files that our calls left behind."""
        return tuple(artifact for result in self.results for artifact in result.artifacts)

    def answer(self, call_id: str, content: Content, *, is_error: bool = False) -> None:
        """Answer one of ``others``, at its place: text, or content blocks of the Messages API.

        Of two with one id (which a model should not give) the first that waits is answered. Raises
        ``RequestError`` for an id that is not among them, and for content that is neither.
        """
        if not _is_content(content):
            raise RequestError("content: give a text, or a list of content blocks (dicts)")
        found = next((one for one in self._others if one[1].id == call_id), None)
        if found is None:
            raise RequestError(f'no call "{call_id}" waits for an answer of yours in this turn')
        index, call = found
        self._answered[index] = self._written(call, content, is_error=is_error)
        self._others.remove(found)


class ToolResultMessage(dict[str, Any], Answers):
    """``{"role": "user", "content": [tool_result, ...]}``: append it to ``messages`` as it is.

    What you add to the content comes after the results, as the Messages API wants it.
    """

    def __init__(self, turn: AssistantTurn, results: Sequence[ToolResult | None]) -> None:
        content: list[JSON] = []
        super().__init__(role="user", content=content)
        self._take(turn, results, content)

    def _written(self, call: TurnCall, content: Content, *, is_error: bool) -> JSON:
        parts = as_blocks(content)
        written = blocks.tool_result(
            call.id, texts_of(parts) if call.is_text_only else parts, is_error=is_error
        )
        return written | {"toolset_name": call.kind} if call.kind else written

    @property
    def param(self) -> Any:
        """This message, for a list that a type checker knows as one of an SDK's own types."""
        return self


def _is_content(content: Any) -> bool:
    if isinstance(content, list | tuple):
        return all(isinstance(block, dict) for block in content)
    return isinstance(content, str)


def as_blocks(content: Content) -> list[JSON]:
    """Content as a list of blocks."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def texts_of(parts: Iterable[JSON]) -> list[JSON]:
    """The same as text blocks: an image is named and left out."""
    shown: list[JSON] = blocks.shown_result({"content": list(parts)}, "")["content"]
    return shown
