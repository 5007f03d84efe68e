"""The `auxot_worker` of a test: tools in boxes, on another worker, or Python functions.

One job: from what a test wishes to something that runs calls. It must not know models, routers or
pytest.
"""

import json
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread

from auxot_tools.assembly import (
    load_registry,
    local_executor,
    remote_dispatcher,
    sandbox_options,
)
from auxot_tools.config import Config, load_config, read_credentials
from auxot_tools.errors import AuxotError, ConfigError
from auxot_tools.ports import ToolDispatcher
from auxot_tools.roundtrip.pytest_lab import Lab
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.types import (
    JSON,
    CallEvent,
    CallHint,
    Deadline,
    Started,
    Status,
    ToolCall,
    ToolResult,
    ToolSpec,
    text_result,
)

CALL_S = 330.0  # for one call: longer than a tool may take unless the operator says otherwise
_TENANT = "pytest"
Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What came of one call."""

    result: ToolResult

    @property
    def text(self) -> str:
        """The text of its content."""
        return self.result.text

    @property
    def json(self) -> Any:
        """The text as JSON. Raises ``ValueError`` when it is none."""
        return json.loads(self.text)

    @property
    def is_error(self) -> bool:
        """Whether the call could not be done; a program that failed is no error."""
        return self.result.is_error

    @property
    def status(self) -> str:
        """How it ended: `completed`, `timed_out`, `invalid_arguments`, …"""
        return str(self.result.status)

    @property
    def exit_code(self) -> int | None:
        return self.result.exit_code

    @property
    def files(self) -> dict[str, bytes]:
        """The files that the call left behind, by name."""
        return {artifact.name: artifact.data for artifact in self.result.artifacts}


class Worker:
    """Runs calls; ``dispatcher`` is what a router is given."""

    def __init__(self, lab: Lab, dispatcher: ToolDispatcher, specs: Sequence[ToolSpec]) -> None:
        self._lab = lab
        self.dispatcher = dispatcher
        self.specs = tuple(specs)

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of its tools."""
        return tuple(spec.name for spec in self.specs)

    def call(
        self,
        name: str,
        input: Mapping[str, Any] | str | None = None,  # noqa: A002
        *,
        session: str = "",
    ) -> CallAnswer:
        """One call. ``input`` as a text is sent as it is, valid or not.

        Calls with the same ``session`` share it; without one each has its own. Never raises for
        what a tool does.
        """
        text = input if isinstance(input, str) else json.dumps(dict(input or {}))
        call = ToolCall(
            tool_use_id=f"toolu_{secrets.token_hex(12)}",
            name=name,
            input_json=text.encode("utf-8", "surrogatepass"),
            tenant=_TENANT,
            session=session or secrets.token_hex(8),
        )
        return CallAnswer(self._lab.run(partial(_called, self.dispatcher, call)))


async def _called(dispatcher: ToolDispatcher, call: ToolCall) -> ToolResult:
    async with aclosing(dispatcher.execute(call, Deadline.after(CALL_S))) as events:
        async for event in events:
            if isinstance(event, ToolResult):
                return event
    return text_result(call.tool_use_id, Status.INTERNAL, "The call ended without a result.")


class FunctionTools:
    """``ports.ToolDispatcher`` of Python functions, each run in a thread with a call's input.

    What a function returns is the result's text, as JSON when it is no text; whatever it raises is
    an ``is_error`` result with the exception's own words. Any object is a valid input.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = dict(functions)

    async def list_tools(self) -> Sequence[ToolSpec]:
        return [
            ToolSpec(name, function.__doc__ or f"The function {name}.", {"type": "object"})
            for name, function in sorted(self._functions.items())
        ]

    async def prepare(self, hint: CallHint) -> bool:  # noqa: ARG002
        return False

    async def execute(self, call: ToolCall, deadline: Deadline) -> AsyncGenerator[CallEvent, None]:  # noqa: ARG002
        function = self._functions.get(call.name)
        if function is None:
            told = f"There is no tool named {call.name}."
            yield text_result(call.tool_use_id, Status.UNKNOWN_TOOL, told)
            return
        given = _object(call.input_json)
        if given is None:
            told = "The input is not a JSON object."
            yield text_result(call.tool_use_id, Status.INVALID_ARGUMENTS, told)
            return
        yield Started(call.tool_use_id)
        status, text = await to_thread.run_sync(_answer, function, given)
        exit_code = 0 if status is Status.COMPLETED else None
        yield replace(text_result(call.tool_use_id, status, text), exit_code=exit_code)


def _answer(function: Function, given: JSON) -> tuple[Status, str]:
    """What the function says. Whatever it raises is its answer, as it is the user's own.

    Nothing leaves the thread: an exit (`sys.exit`, `pytest.fail`) would end the loop of all tests.
    """
    try:
        answer = function(**given)
        text = answer if isinstance(answer, str) else json.dumps(answer, default=str)
    except Exception as error:
        return Status.INTERNAL, str(error) or "It failed."
    except BaseException as error:
        return Status.INTERNAL, f"It raised {type(error).__name__}: {error}"
    return Status.COMPLETED, text


def _object(text: bytes) -> JSON | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def worker_of(
    lab: Lab,
    *,
    functions: Mapping[str, Function] | None = None,
    folders: Sequence[Path] = (),
    address: str = "",
) -> Worker | str:
    """The worker that a test wishes, or why there is none and what to do."""
    try:
        if functions is not None:
            dispatcher: ToolDispatcher = FunctionTools(functions)
        elif address:
            dispatcher = lab.kept(address, lambda: remote_dispatcher(_remote(lab, address)))
        else:
            dispatcher = lab.kept(tuple(folders), lambda: _in_boxes(lab, folders))
        return Worker(lab, dispatcher, lab.run(dispatcher.list_tools))
    except AuxotError as error:
        return f"There is no worker for this test:\n{error}"


def _remote(lab: Lab, address: str) -> Config:
    config = load_config(None, lab.environ, lab.root).config
    router = config.router.model_copy(update={"worker": address})
    return config.model_copy(update={"router": router})


def _local(lab: Lab, folders: Sequence[Path]) -> Config:
    """The settings that commands would use here, with these folders, and nothing kept elsewhere."""
    config = load_config(None, lab.environ, lab.root).config
    state_dir = lab.home / secrets.token_hex(4)
    worker: JSON = {"state_dir": state_dir, "audit_file": None}
    if folders:
        worker |= {"tools_dirs": tuple(folders), "allowed_tools": ()}
    ready = min(config.sandbox.ready, 1)  # tests make one call after another
    return config.model_copy(
        update={
            "worker": config.worker.model_copy(update=worker),
            "sandbox": config.sandbox.model_copy(update={"ready": ready}),
        }
    )


@asynccontextmanager
async def _in_boxes(lab: Lab, folders: Sequence[Path]) -> AsyncGenerator[ToolDispatcher, None]:
    """An executor in this process. Raises what says why there is none."""
    config = await to_thread.run_sync(_local, lab, folders)
    registry = await to_thread.run_sync(load_registry, config)
    if registry.quarantined:
        raise ConfigError([f"{one.name}: {one.reason}" for one in registry.quarantined])
    if not registry.tools:
        raise ConfigError([f"There is no tool in {', '.join(map(str, folders))}."])
    worker_id = f"pytest-{secrets.token_hex(4)}"
    async with DockerSandbox(sandbox_options(config, 1), worker_id=worker_id) as sandbox:
        await sandbox.check(config.sandbox.image)  # an executor would wait for the engine
    credentials = read_credentials(lab.environ, config.worker.secrets_dir)
    async with local_executor(config, worker_id, credentials) as executor:
        yield executor
