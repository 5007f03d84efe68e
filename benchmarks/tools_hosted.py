"""Tools that run on our side, against their bare work: files, GET requests, slices, patterns.

One job: which calls are compared with which. How they are timed, `tools_lines.py` knows.
"""

from functools import partial
from itertools import count
from pathlib import Path

import aiohttp
import re2  # type: ignore[import-untyped]

from auxot_tools.hosted.memory_store import DATABASE, MemoryStore
from auxot_tools.hosted.web_reading import ReadingTask, read
from auxot_tools.types import JSON
from benchmarks.timing import Call
from benchmarks.tools_bare import blocking, get, replacing, written
from benchmarks.tools_bench import Bench
from benchmarks.tools_calls import Tools
from benchmarks.tools_lines import Line, Rounds, in_pairs, more_ms, tell, tell_head
from benchmarks.tools_server import DATA, PAGE, SEARCH

_NOTE = "".join(f"line {number} of what is to be remembered\n" for number in range(100))
_OLD, _NEW = "line 50 of", "line fifty of"
_KEPT_LINES = 95_000
_KEPT = f"seq -f 'line %06.0f of a log that nobody reads' {_KEPT_LINES}"  # just below 4 MiB
_RARE, _COMMON = "line 09499[0-9]", "log"
_FEW_ROUNDS = 8  # of what takes tens of milliseconds each


async def memory(bench: Bench) -> None:
    """`memory` against a plain file and its own store, called directly."""
    tell_head(bench.report, "memory, a file of 4 KB")
    store = MemoryStore(bench.folder / "direct" / DATABASE)
    plain = bench.folder / "note.md"
    calls = _plain_calls(plain) | _store_calls(store) | await _memory_calls(bench.tools)
    table = await in_pairs(calls, bench.plan.hosted)
    lines = []
    for command in ("view", "create", "str_replace"):
        lines.append(Line(command, f"plain file, {command}", command, "keys, transactions"))
        lines.append(Line(command, f"the store, {command}", command, "checks, wording"))
    tell(table, lines)
    commands = ("view", "create", "str_replace")
    bench.found["memory"] = max(more_ms(table, f"the store, {one}", one) for one in commands)


def _plain_calls(path: Path) -> dict[str, Call]:
    written(path, _NOTE)
    return {
        "plain file, view": blocking(partial(path.read_text, "utf-8")),
        "plain file, create": blocking(partial(written, path.with_name("new.md"), _NOTE)),
        "plain file, str_replace": blocking(replacing(path, _OLD, _NEW)),
    }


def _store_calls(store: MemoryStore) -> dict[str, Call]:
    path, turns = "/memories/note.md", count()

    def create() -> None:
        with store.changing("bench") as files:
            files.write("/memories/new.md", _NOTE)

    def view() -> None:
        with store.reading("bench") as files:
            files.text(path)

    def replace() -> None:
        pair = (_OLD, _NEW) if next(turns) % 2 == 0 else (_NEW, _OLD)
        with store.changing("bench") as files:
            files.write(path, (files.text(path) or "").replace(*pair))

    with store.changing("bench") as files:
        files.write(path, _NOTE)
    return {
        "the store, view": blocking(view),
        "the store, create": blocking(create),
        "the store, str_replace": blocking(replace),
    }


async def _memory_calls(tools: Tools) -> dict[str, Call]:
    path, new, turns = "/memories/note.md", "/memories/new.md", count()

    def replacement() -> JSON:
        old, other = (_OLD, _NEW) if next(turns) % 2 == 0 else (_NEW, _OLD)
        return {"command": "str_replace", "path": path, "old_str": old, "new_str": other}

    created: JSON = {"command": "create", "path": new, "file_text": _NOTE}
    deleted = partial(tools.text, "memory", {"command": "delete", "path": new})
    await tools.text("memory", created | {"path": path})
    return {
        "view": tools.call("memory", {"command": "view", "path": path}, "remembered"),
        "create": tools.changing("memory", lambda: created, "created", after=deleted),
        "str_replace": tools.changing("memory", replacement, "edited"),
    }


async def web(bench: Bench) -> None:
    """`web_fetch` and `web_search` against a GET on a connection that is kept."""
    tell_head(
        bench.report, "The web: a page of 100 KB, JSON of 20 KB, a search; server on this machine"
    )
    page, tools = bench.origin + PAGE, bench.tools
    task = ReadingTask(page, "text/html; charset=utf-8", is_html=True)
    async with aiohttp.ClientSession() as session:
        calls: dict[str, Call] = {
            "GET": get(session, page),
            "GET, readability": get(session, page, partial(read, task)),
            "page": tools.call("web_fetch", {"url": page}, "Chapter 8"),
            "GET of the JSON": get(session, bench.origin + DATA),
            "JSON": tools.call("web_fetch", {"url": bench.origin + DATA}, "row 42"),
            "GET of the reply": get(session, f"{bench.origin}{SEARCH}?q=a&count=5"),
            "search": tools.call("web_search", {"query": "a", "count": 5}, "Result 4"),
        }
        table = await in_pairs(calls, bench.plan.hosted)
    lines = [
        Line("web_fetch, page", "GET", "page", "article as Markdown"),
        Line("web_fetch, page", "GET, readability", "page", "address check, process"),
        Line("web_fetch, JSON", "GET of the JSON", "JSON", "address check"),
        Line("web_search", "GET of the reply", "search", "a short list"),
    ]
    tell(table, lines)
    bench.found["page"] = more_ms(table, "GET, readability", "page")
    bench.found["fetch"] = more_ms(table, "GET of the JSON", "JSON")
    bench.found["search"] = more_ms(table, "GET of the reply", "search")


async def read_output(bench: Bench) -> None:
    """A page and patterns over the 4 MB that a program printed."""
    tell_head(bench.report, "read_output over an output of 4 MB")
    ran = await bench.tools.result("code_executor", {"language": "bash", "code": _KEPT})
    numbers = range(1, _KEPT_LINES + 1)
    text = "\n".join(f"line {number:06} of a log that nobody reads" for number in numbers)
    asked: JSON = {"handle": ran.output_handle}
    middle = len(text) // 2
    tools = bench.tools
    calls: dict[str, Call] = {
        "a slice": blocking(lambda: text[middle : middle + 16_000]),
        "page": tools.call("read_output", asked | {"offset": middle}, "go on with offset"),
    }
    table = await in_pairs(calls, bench.plan.hosted)
    tell(table, [Line("a page of 16,000", "a slice", "page", "key, bounds")])
    bench.found["output page"] = more_ms(table, "a slice", "page")
    rare = re2.compile(f"(?m)^.*{_RARE}.*$")
    common = re2.compile(f"(?m)^.*{_COMMON}.*$")
    calls = {
        "re2, 10 lines match": blocking(lambda: [one[0] for one in rare.finditer(text)]),
        "rare": tools.call("read_output", asked | {"pattern": _RARE}, "[10 matching lines]"),
        "re2, first 300 lines": blocking(
            lambda: [one[0] for one, _ in zip(common.finditer(text), range(300), strict=False)]
        ),
        "common": tools.call("read_output", asked | {"pattern": _COMMON}, "matching lines so far"),
    }
    few = Rounds(min(_FEW_ROUNDS, bench.plan.hosted.count), bench.plan.hosted.seconds)
    table = await in_pairs(calls, few)
    lines = [
        Line("a pattern, 10 lines", "re2, 10 lines match", "rare", "numbers, bounds"),
        Line("a pattern, all lines", "re2, first 300 lines", "common", "numbers, bounds"),
    ]
    tell(table, lines)
    bench.found["pattern"] = table["rare"].p(0.5) * 1000
