"""The one message that the client gets, whatever number of upstream turns it is made of.

One job: contiguous indexes, one start, one end, and the whole message at the end, equal to what its
events add up to. It also keeps what the client does not see. Must not know turns, calls or why a
message ends.
"""

from collections.abc import Callable

from auxot_tools.messages import events
from auxot_tools.messages.events import Event, event
from auxot_tools.types import JSON


class Answer:
    """A message in the making. Every event goes to `emit` as soon as it is known.

    `model` is what the client is told; empty: what the upstream says of itself.
    """

    def __init__(self, message_id: str, model: str, emit: Callable[[Event], None]) -> None:
        self._id = message_id
        self._model = model
        self._emit = emit
        self._message: JSON = {}
        self._content: dict[int, JSON] = {}  # whole blocks by index, as the client has them
        self._whole: list[JSON] = []  # all blocks in order, also those that the client does not see
        self._place_of: dict[int, int] = {}  # index -> place in `_whole`
        self._sees_all = True
        self._next_index = 0

    def open(self, upstream_message: JSON, model_asked: str) -> None:
        """Begin with what the first turn says of itself; later turns' starts change nothing."""
        if self._message:
            return
        usage = events.as_usage(upstream_message.get("usage"))
        self._message = upstream_message | {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model or upstream_message.get("model") or model_asked,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0} | usage,
        }
        self._emit(event({"type": "message_start", "message": self._message}))

    def open_block(self, received: Event) -> int:
        """Pass on the start of a block; the index it has in this message."""
        index = self._take_index()
        self._place_of[index] = len(self._whole)
        self._whole.append({})
        block = received.data["content_block"]
        if events.is_spelled_out(block):
            self.pass_at(received, index)
            return index
        for each in events.opening_events(index, block):
            self._emit(each)
        return index

    def pass_at(self, received: Event, index: int) -> None:
        """Pass on an event of a block, under the block's index in this message."""
        same = received.data["index"] == index
        self._emit(received if same else event(received.data | {"index": index}))

    def close_block(self, index: int, block: JSON) -> None:
        self._content[index] = self._whole[self._place_of[index]] = block
        self._emit(event({"type": "content_block_stop", "index": index}))

    def show(self, block: JSON, whole: JSON | None = None) -> None:
        """Add a whole block of ours; `whole` holds what `block` leaves out, if anything."""
        self._keep(block if whole is None else whole, is_seen=whole in (None, block))
        index = self._take_index()
        self._content[index] = block
        for each in events.whole_block_events(index, block):
            self._emit(each)

    def hide(self, block: JSON) -> None:
        """Keep a whole block of ours that the client does not see."""
        self._keep(block, is_seen=False)

    def close(self, end: JSON, extras: JSON, usage: JSON) -> JSON:
        """End the message; `usage` is the sum over all turns. Returns the whole message."""
        counts = {"output_tokens": 0} | usage
        self._emit(event({"type": "message_delta", "delta": end, "usage": counts} | extras))
        self._emit(event({"type": "message_stop"}))
        content = [self._content[index] for index in sorted(self._content)]
        totals = {"content": content, "usage": self._message["usage"] | usage}
        return self._message | end | extras | totals

    @property
    def whole_content(self) -> tuple[JSON, ...] | None:
        """See `actions.Finished`."""
        return None if self._sees_all else tuple(self._whole)

    def _keep(self, block: JSON, *, is_seen: bool) -> None:
        self._whole.append(block)
        self._sees_all = self._sees_all and is_seen

    def _take_index(self) -> int:
        self._next_index += 1
        return self._next_index - 1
