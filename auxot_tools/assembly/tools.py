"""The tools of a worker: read from folders, hosted ones built, and all that calls run with.

One job: wiring, from the configuration to a registry and the executor's equipment.
"""

import logging
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from anyio import to_thread

from auxot_tools.config import Config, Credentials
from auxot_tools.errors import ConfigError
from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.hosted.memory import MemoryTool
from auxot_tools.hosted.memory_store import DATABASE, MemoryStore
from auxot_tools.hosted.read_output import ReadOutput
from auxot_tools.hosted.web import web_tools
from auxot_tools.net.outbound import Outbound
from auxot_tools.ports import HostedTool
from auxot_tools.sandbox.host import HostSandbox
from auxot_tools.sandbox.variables import refusal_of
from auxot_tools.share import share_dir
from auxot_tools.worker.approvals import ApprovalDesk
from auxot_tools.worker.audit import AuditLog
from auxot_tools.worker.executor import Equipment
from auxot_tools.worker.gate import Gate
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.live_registry import LiveRegistry, folders_fingerprint
from auxot_tools.worker.policy import Policy
from auxot_tools.worker.policy_file import LivePolicy
from auxot_tools.worker.registry import Registry
from auxot_tools.worker.tool import Tool
from auxot_tools.worker.tool_folder import DESCRIPTOR, list_tools_dir
from auxot_tools.worker.violations import nearest

logger = logging.getLogger(__name__)

READ_OUTPUT, MEMORY = "read_output", "memory"
# The hosted tools that there are; a `tool.json` with `runs: host` and one of these names is theirs.
HOSTED_TOOLS: Collection[str] = (
    MEMORY,
    READ_OUTPUT,
    "web_answers",
    "web_fetch",
    "web_search",
)


def load_registry(config: Config) -> Registry:
    """The worker's tools, read from its folders. Blocking. Raises `ConfigError`."""
    settings = config.worker
    allowed = {*settings.allowed_tools, READ_OUTPUT} if settings.allowed_tools else None
    return Registry.load(
        tools_dirs(config),
        config.sandbox.limits.ceilings(),
        isolation_policy(config),
        hosted=HOSTED_TOOLS,
        host_tools=settings.host_tools,
        open_hosts=settings.open_hosts,
        allowed=allowed,
    )


def live_registry(config: Config) -> LiveRegistry:
    """The same, read anew when a folder changes. Blocking. Raises `ConfigError`."""
    folders = tools_dirs(config)
    return LiveRegistry(lambda: load_registry(config), lambda: folders_fingerprint(folders))


def check_credentials(tools: Iterable[Tool], credentials: Credentials) -> None:
    """Look now for what calls would stumble over later. Raises `ConfigError`."""
    found, mistakes = list(tools), []
    for tool in found:
        name, own = tool.spec.name, credentials.of(tool.spec.name)
        problem = "" if tool.runs == "hosted" else refusal_of(own.items())
        if problem:
            mistakes.append(f"AUXOT_TOOLS_{name.upper()}__…: {problem}")
        if own and tool.spec.stateful:
            logger.warning("%s keeps sessions: what runs in one can read its credentials", name)
    if mistakes:
        raise ConfigError(mistakes)
    for name in credentials.for_none_of(tool.spec.name for tool in found):
        logger.warning("there are credentials for a tool %r, which is not here (yet)", name)


def tell_unknown_names(config: Config, policy: Policy, tools: Collection[str]) -> None:
    """Names in the settings that no tool has now: most are misspelled, some tools come later.

    Raises `ConfigError` when that leaves none of the allowed tools. Blocking.
    """
    rules = {pattern for rule in policy.rules for pattern in rule.tools}
    patterns = sorted(one for one in rules if not any(fnmatchcase(name, one) for name in tools))
    places = {
        "worker.policy_file": patterns,
        "worker.host_tools": sorted(set(config.worker.host_tools) - set(tools)),
    }
    for place, names in places.items():
        if names:
            logger.warning("%s", _unknown(place, names, tools))
    if config.worker.allowed_tools:
        check_allowed_tools(config, {*tools, *_names_in_folders(config)})


def check_allowed_tools(config: Config, known: Collection[str]) -> None:
    """Tell names in `worker.allowed_tools` that are none of ``known``. Raises `ConfigError` when
    all are.
    """
    allowed = set(config.worker.allowed_tools)
    unknown = sorted(allowed - set(known))
    if not unknown:
        return
    told = _unknown("worker.allowed_tools (AUXOT_ALLOWED_TOOLS)", unknown, known)
    if set(unknown) == allowed:
        raise ConfigError([f"{told}. So there would be no tool at all."])
    logger.warning("%s", told)


def _unknown(place: str, names: Collection[str], known: Collection[str]) -> str:
    """In a sentence, with the name that each was probably meant to be."""
    told = []
    for name in names:
        close = nearest(name, sorted(known))
        told.append(f"{name} (did you mean {close}?)" if close else name)
    return f"{place} names no tool that is here: {', '.join(told)}"


def _names_in_folders(config: Config) -> set[str]:
    """What the tools there would be called, were all allowed and none in quarantine."""
    listed = [list_tools_dir(folder) for folder in tools_dirs(config)]
    folders = {folder.name for one in listed for folder in one.folders}
    return folders | {
        path.name.removesuffix(DESCRIPTOR) for one in listed for path in one.descriptors
    }


def tools_dirs(config: Config) -> tuple[Path, ...]:
    """The folders that tools are read from."""
    return config.worker.tools_dirs or (share_dir("tools"),)


def isolation_policy(config: Config) -> IsolationPolicy:
    """How calls may be isolated, as the operator says."""
    return IsolationPolicy(config.sandbox.isolation, frozenset(config.sandbox.allowed_isolation))


@asynccontextmanager
async def equipment(
    config: Config,
    worker_id: str,
    outbound: Outbound,
    credentials: Credentials,
    tools: Collection[str],
) -> AsyncGenerator[Equipment, None]:
    """What calls run with beside the sandbox; ``tools`` are those that are there now.

    Raises `ConfigError`.
    """
    settings = config.worker
    outputs = OutputStore(worker_id, settings.kept_output_bytes, settings.kept_output_s)
    memory = await to_thread.run_sync(MemoryStore, settings.state_dir / DATABASE)
    hosted: Mapping[str, HostedTool] = {
        MEMORY: MemoryTool(memory),
        READ_OUTPUT: ReadOutput(outputs),
        **web_tools(outbound, config.web),
    }
    policy = LivePolicy(settings.policy_file)
    gate = Gate(policy, ApprovalDesk(settings.approval_wait_s))
    await to_thread.run_sync(tell_unknown_names, config, policy.current, tools)
    audit = None
    if settings.audit_file is not None:
        audit = AuditLog(settings.audit_file, settings.audit_bytes, settings.audit_files)
    try:
        async with HostSandbox() as host:
            yield Equipment(host, hosted, credentials.of, outputs, audit, gate)
    finally:
        if audit is not None:
            audit.close()
