"""What the tests of one pytest process share: an event loop in a thread, one server, workers.

One job: their lives. Tests are plain functions or run a loop of their own, so everything here runs
in a loop beside theirs and is called from their thread. It must not know pytest.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from auxot_tools.assembly.serving import serving
from auxot_tools.net.exact import ExactClient, ExactLimits
from auxot_tools.net.http import HttpClient, HttpTimeouts
from auxot_tools.router.key_file import append_key, entry_for, new_secret
from auxot_tools.router.keys import KeyStore
from auxot_tools.types import JSON

T = TypeVar("T")

MAX_KEPT = 4  # workers that are kept for later tests; each may hold boxes that are ready
ANSWER_S = 120.0  # without a byte for so long an answer is over: a tool may take its time


class Hub:
    """An ASGI app of many apps on one socket; each has a first part of the path to itself."""

    def __init__(self) -> None:
        self._apps: dict[str, Any] = {}

    def put(self, app: Any) -> str:
        """Take an app in; the first part of its paths."""
        name = secrets.token_hex(4)
        self._apps[name] = app
        return name

    def take_out(self, name: str) -> None:
        self._apps.pop(name, None)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        name, _, rest = scope["path"].lstrip("/").partition("/")
        app = self._apps.get(name)
        if app is None:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b"This test is over."})
            return
        inner = {name: value for name, value in scope.items() if name != "raw_path"}
        await app({**inner, "path": f"/{rest}"}, receive, send)


class Lab:
    """All of it, running. ``environ`` and ``root`` say where settings are looked for."""

    def __init__(
        self, home: Path, environ: Mapping[str, str], root: Path, portal: BlockingPortal
    ) -> None:
        self.home = home
        self.environ = environ
        self.root = root
        self.http = HttpClient(HttpTimeouts(first_byte_s=ANSWER_S, idle_s=ANSWER_S))
        self.exact = ExactClient(ExactLimits(first_byte_s=ANSWER_S, idle_s=ANSWER_S))
        self._portal = portal
        self._hub = Hub()
        self._origin = ""
        self._kept: OrderedDict[object, tuple[ExitStack, Any]] = OrderedDict()
        self._keys: tuple[str, KeyStore] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """For as long as tests need it."""
        with ExitStack() as stack:
            stack.callback(self._close_kept)
            for client in (self.http, self.exact):
                stack.enter_context(self._portal.wrap_async_context_manager(client))
            server = self._portal.wrap_async_context_manager(serving(self._hub))
            self._origin = stack.enter_context(server)
            stack.callback(self._close_kept)
            yield

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run async work to its end in the shared loop, from a test's thread."""
        return self._portal.call(work)

    @contextmanager
    def served(self, app: Any) -> Iterator[str]:
        """Serve an ASGI app; yields the URL in front of its paths."""
        name = self._hub.put(app)
        try:
            yield f"{self._origin}/{name}"
        finally:
            self._hub.take_out(name)

    def kept(self, what: object, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """What ``make`` makes, made once for ``what``; the one unused for longest may be closed."""
        if what not in self._kept:
            while len(self._kept) >= MAX_KEPT:
                self._kept.popitem(last=False)[1][0].close()
            stack = ExitStack()
            made = stack.enter_context(self._portal.wrap_async_context_manager(make()))
            self._kept[what] = (stack, made)
        self._kept.move_to_end(what)
        found: T = self._kept[what][1]
        return found

    @property
    def key(self) -> str:
        """The key that every router of this lab takes."""
        return self._key_and_store()[0]

    @property
    def key_store(self) -> KeyStore:
        return self._key_and_store()[1]

    def _key_and_store(self) -> tuple[str, KeyStore]:
        if self._keys is None:
            secret, path = new_secret(), self.home / "keys.toml"
            append_key(path, entry_for(secret, "pytest"))
            self._keys = secret, KeyStore(path)
        return self._keys

    def _close_kept(self) -> None:
        while self._kept:
            self._kept.popitem()[1][0].close()


@contextmanager
def opened_lab(home: Path, environ: Mapping[str, str], root: Path) -> Iterator[Lab]:
    """A lab; ``home`` is a folder of its own."""
    with start_blocking_portal() as portal:
        lab = Lab(home, environ, root, portal)
        with lab.running():
            yield lab


def text_of(blocks: object) -> str:
    """The text of content blocks, joined."""
    found: list[JSON] = (
        [one for one in blocks if isinstance(one, dict)] if isinstance(blocks, list | tuple) else []
    )
    return "".join(str(one.get("text", "")) for one in found if one.get("type") == "text")
