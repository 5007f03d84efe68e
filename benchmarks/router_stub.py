"""The upstream of the router's benchmark: as little work for an answer as Python can do.

One job: Messages answers, blocking or streamed, from bytes made at the start. A word in the user's
text says which: `[bench MODE NUMBER]`, see `Script`. One process serves bare, ours and LiteLLM.
A plain `asyncio.Protocol`: an ASGI server would take longer than some of what is measured.

    .venv/bin/python -m benchmarks.router_stub        (prints its origin)
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any, cast

import httptools
import uvloop

WORDS = ("the quick ", "brown fox ", "jumps over ", "the lazy ", "dog and on ") * 10  # 50 deltas
HOLD, HOLD_S, HOLD_STEPS = "_hold", 0.2, 20  # a turn that goes on after its call
CALLED = re.compile(r"(\w+?)(_hold|_end)?")  # a tool's name and how the turn with its call ends
PACE_S = 0.001  # the finest that the loop's timers know
STALLED_AFTER = 5  # deltas of a stream that then says nothing more
MARK = re.compile(rb"\[bench (\w+) (\d+)\]")
STREAMS = re.compile(rb'"stream"\s*:\s*true')
HAS_RESULT = re.compile(rb'"type"\s*:\s*"tool_result"')
STARTED = "noop-started="  # in a result of router_worker.py: when it was called
STARTED_AT = re.compile(STARTED.encode() + rb"([\d.]+) ")
WAITED = "stub-waited="  # in the answer: seconds from the call's content_block_stop to that

Piece = bytes | float  # to send, or seconds to wait


def event(data: dict[str, Any]) -> bytes:
    """One event of a stream as one chunk of HTTP."""
    frame = f"event: {data['type']}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
    return b"%x\r\n%b\r\n" % (len(frame), frame.encode())


def message(content: list[dict[str, Any]], stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "bench",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": len(WORDS)},
    }


def opening() -> bytes:
    return event({"type": "message_start", "message": message([], None)})


def ending(stop_reason: str) -> tuple[bytes, bytes]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    usage = {"output_tokens": len(WORDS)}
    return (
        event({"type": "message_delta", "delta": delta, "usage": usage}),
        event({"type": "message_stop"}) + b"0\r\n\r\n",
    )


def block_start(index: int, block: dict[str, Any]) -> bytes:
    return event({"type": "content_block_start", "index": index, "content_block": block})


def block_delta(index: int, delta: dict[str, Any]) -> bytes:
    return event({"type": "content_block_delta", "index": index, "delta": delta})


def block_stop(index: int) -> bytes:
    return event({"type": "content_block_stop", "index": index})


def text_block(index: int, texts: tuple[str, ...]) -> tuple[bytes, ...]:
    deltas = (block_delta(index, {"type": "text_delta", "text": text}) for text in texts)
    return (block_start(index, {"type": "text", "text": ""}), *deltas, block_stop(index))


def call_block(name: str, number: int) -> tuple[bytes, ...]:
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}
    deltas = ("", '{"number": ', f"{number}" + "}")
    return (
        block_start(0, block),
        *(block_delta(0, {"type": "input_json_delta", "partial_json": d}) for d in deltas),
        block_stop(0),
    )


OPENING, TEXT = opening(), text_block(0, WORDS)
ANSWER = (OPENING, *TEXT, *ending("end_turn"))
WHOLE = b"".join(ANSWER)
DELTA = TEXT[1]


class Script:
    """What is said in each mode; `number` makes a request unlike every other, or is a count.

    - text: 50 deltas, each in a write of its own. whole: the same in one write.
    - long: `number` deltas. paced: the same, one each millisecond.
    - stall: some deltas, then silence.
    - a tool's name: a call of it, and after its result `text`. With `_end`: after its result how
      long the tool took to start. With `_hold`: that, and the turn goes on after the call's block.
    """

    def __init__(self) -> None:
        self._stopped: dict[int, float] = {}  # when a call's block had been sent

    def streamed(self, mode: str, number: int, body: bytes) -> Iterator[Piece]:
        if mode == "text":
            yield from ANSWER
        elif mode == "whole":
            yield WHOLE
        elif mode in ("long", "paced"):
            yield from (OPENING, TEXT[0])
            for _ in range(number):
                if mode == "paced":
                    yield PACE_S
                yield DELTA
            yield from (TEXT[-1], *ending("end_turn"))
        elif mode == "stall":
            yield from ANSWER[: 2 + STALLED_AFTER]
        elif HAS_RESULT.search(body) is None:
            yield from self._called(mode, number)
        else:
            yield from self._after(number, body)

    def _called(self, mode: str, number: int) -> Iterator[Piece]:
        found = CALLED.fullmatch(mode)
        name, suffix = found.groups() if found else (mode, None)
        yield OPENING
        *before, stop = call_block(name, number)
        yield from before
        if suffix is not None:
            self._stopped[number] = time.monotonic()
        yield stop
        if suffix == HOLD:
            yield from text_block(1, ("and ",))[:-1]
            for _ in range(HOLD_STEPS):
                yield HOLD_S / HOLD_STEPS
                yield block_delta(1, {"type": "text_delta", "text": "on "})
            yield block_stop(1)
        yield from ending("tool_use")

    def _after(self, number: int, body: bytes) -> Iterator[Piece]:
        stopped, started = self._stopped.pop(number, None), STARTED_AT.search(body)
        if stopped is None or started is None:
            yield from ANSWER
            return
        waited_s = float(started[1]) - stopped
        yield OPENING
        yield from text_block(0, (f"{WAITED}{waited_s:.6f} ",))
        yield from ending("end_turn")

    def blocking(self, mode: str, number: int, body: bytes) -> bytes:
        if mode in ("text", "whole") or HAS_RESULT.search(body):
            return _TEXT_BODY
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": mode}
        return json.dumps(message([{**call, "input": {"number": number}}], "tool_use")).encode()


_TEXT_BODY = json.dumps(message([{"type": "text", "text": "".join(WORDS)}], "end_turn")).encode()
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"request-id: req_bench\r\ncontent-length: %d\r\n\r\n%b"
)


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other, answers as fast as it reads them."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._pieces: Iterator[Piece] = iter(())
        self._next: asyncio.Handle | None = None
        self._is_paused = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has classes of its own

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        body, self._body = b"".join(self._body), []
        marks = MARK.findall(body)
        if not marks:  # GET, or a client that only looks whether somebody is there
            self._transport.write(_HEAD % (2, b"{}"))
            return
        mode, number = marks[-1][0].decode(), int(marks[-1][1])
        if STREAMS.search(body) is None:
            answer = self._script.blocking(mode, number, body)
            self._transport.write(_HEAD % (len(answer), answer))
            return
        self._pieces = self._script.streamed(mode, number, body)
        self._transport.write(_STREAM_HEAD)
        self._go_on()

    def _go_on(self) -> None:
        """Send the next piece: one in each turn of the loop, so that each is a write of its own."""
        self._next = None
        for piece in self._pieces:
            if isinstance(piece, float):
                self._next = self._loop.call_later(piece, self._go_on)
                return
            self._transport.write(piece)
            if not self._is_paused:
                self._next = self._loop.call_soon(self._go_on)
            return

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._next is None:
            self._next = self._loop.call_soon(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._next is not None:
            self._next.cancel()
        self._pieces = iter(())


async def serve() -> None:
    script = Script()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(script), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
