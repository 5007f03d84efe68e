"""The real executor with the real tools, whose boxes are in memory: a worker without an engine.

A program that sleeps says `working` and runs until it is stopped; any other prints 0, 1 and 2.
"""

from auxot_tools.ports import BoxSpec, Program, SandboxOutcome
from auxot_tools.share import share_dir
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.registry import Registry
from tests.support.fake_sandbox import FakeSandbox, Script


def boxless_executor() -> Executor:
    """Only the tools that need a box are there."""
    registry = Registry.load([share_dir("tools")], allowed={"bash", "code_executor"})
    return Executor(registry, FakeSandbox(_play), slots=4)


def _play(_spec: BoxSpec, program: Program) -> Script:
    if any(b"sleep" in file.data for file in program.work_files):
        return Script((("stdout", b"working\n"),), until_stopped=True)
    return Script(tuple(("stdout", b"%d\n" % n) for n in range(3)), SandboxOutcome(exit_code=0))
