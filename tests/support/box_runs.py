"""Programs in boxes with variables and hosts; short ways to run them."""

from contextlib import aclosing

from auxot_tools.ports import Box, BoxLimits, BoxOwner, BoxSpec, Isolation, Program, SandboxOutcome
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.types import Deadline, InputFile
from tests.support.engine import NOBODY, Ran

LIMIT_S = 60.0


def program_of(
    *command: str, code: str = "", stdin: bytes = b"", env: dict[str, str] | None = None
) -> Program:
    """A command; with ``code`` that is in /work/main, whatever its language."""
    files = (InputFile("main", code.encode()),) if code else ()
    return Program(command, stdin, (), files, env=tuple((env or {}).items()))


async def run_in(box: Box, program: Program) -> Ran:
    """Run it in a box that stays claimed."""
    deadline = Deadline.after(LIMIT_S)
    async with aclosing(box.run(program, deadline)) as events:
        async for event in events:
            if isinstance(event, SandboxOutcome):
                return Ran(event, [], box.id, box.notice)
    raise AssertionError("a run ended without an outcome")


async def run_once(
    sandbox: DockerSandbox,
    program: Program,
    isolation: Isolation = "call",
    hosts: tuple[str, ...] = (),
    limits: BoxLimits | None = None,
    owner: BoxOwner = NOBODY,
) -> Ran:
    """Claim a box, run one program in it, release it."""
    spec = BoxSpec("", limits or BoxLimits(), isolation, hosts=hosts)
    box = await sandbox.claim(spec, owner, Deadline.after(LIMIT_S))
    try:
        return await run_in(box, program)
    finally:
        await box.release()
