"""The settings of the process that runs tools.

One job: declare, as `settings.py` does for everything else.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic import Field as Setting

from auxot_tools.config.kinds import (
    SOCKET,
    Allowed,
    Count,
    FileName,
    Seconds,
    Secret,
    Section,
    ToolNames,
    listen_address,
    open_host,
    split,
)


class WorkerSettings(Section):
    """The process that runs tools: `auxot-tools worker`."""

    listen: Annotated[
        tuple[Annotated[str, AfterValidator(listen_address)], ...],
        BeforeValidator(split),
        Allowed(f"a list of at least one {SOCKET}"),
    ] = Setting(
        default=("127.0.0.1:50061",), min_length=1, description="Where the worker answers gRPC."
    )
    key: Secret = Setting(
        default=SecretStr(""),
        description="Callers must show it. Off loopback it or `tls_client_ca` is required.",
    )
    tls_cert: FileName = Setting(
        default=None, description="Certificate chain (PEM); with `tls_key`."
    )
    tls_key: FileName = Setting(default=None, description="Private key (PEM); with `tls_cert`.")
    tls_client_ca: FileName = Setting(
        default=None, description="Callers must show a certificate signed by this CA (PEM)."
    )
    allow_plaintext: bool = Setting(
        default=False, description="Listen off loopback without TLS. A key is then still required."
    )
    slots: Count = Setting(
        default=0, ge=0, le=1024, description="Calls that run side by side; 0: as many as cores."
    )
    max_waiting: Count = Setting(
        default=64, ge=0, le=10_000, description="Calls that may wait for a slot; more are refused."
    )
    grace_s: Seconds = Setting(
        default=20,
        ge=0,
        le=3600,
        description="Time running calls get to finish when the worker stops.",
    )
    allowed_tools: ToolNames = Setting(
        default=(), description="The only tools there are; empty: all in the folders."
    )
    tools_dirs: Annotated[
        tuple[Path, ...],
        BeforeValidator(split),
        Allowed("a list of folders"),
    ] = Setting(
        default=(), description="Folders of tools; empty: the tools that come with the package."
    )
    host_tools: ToolNames = Setting(
        default=(),
        description="Tools whose program runs on this very machine, without a sandbox; empty: "
        "none.",
    )
    open_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(open_host)], ...],
        BeforeValidator(split),
        Allowed("a list of hosts such as `api.example.org`, `*.example.org:8443`, or `*`"),
    ] = Setting(
        default=(),
        max_length=1024,
        description="Hosts that sandboxed tools may ask for in their `network`; empty: none.",
    )
    state_dir: Annotated[Path, Allowed("a path")] = Setting(
        default=Path("state"),
        description="Folder for what outlives the worker: the memory of keys.",
    )
    secrets_dir: Annotated[Path, Allowed("a path")] = Setting(
        default=Path("/run/secrets"),
        description="Folder of files `AUXOT_TOOLS_<TOOL>__<NAME>`, each a credential of a tool.",
    )
    policy_file: FileName = Setting(
        default=None,
        description="Rules for keys and tools (TOML), re-read on change; empty: all is allowed.",
    )
    approval_wait_s: Seconds = Setting(
        default=120,
        ge=1,
        le=3600,
        description="Time that a call waits for an operator's yes; below `router.call_timeout_s`.",
    )
    audit_file: FileName = Setting(
        default=None, description="Audit log, one JSON line for each call; empty: none."
    )
    audit_bytes: Count = Setting(
        default=16 * 2**20, ge=2**12, le=2**40, description="Size at which it is rotated."
    )
    audit_files: Count = Setting(
        default=8, ge=1, le=1000, description="Rotated audit logs that stay beside the one in use."
    )
    kept_output_s: Seconds = Setting(
        default=900,
        ge=1,
        le=86_400,
        description="How long what a result leaves out can be read with `read_output`.",
    )
    kept_output_bytes: Count = Setting(
        default=128 * 2**20,
        ge=2**20,
        le=2**40,
        description="Memory for that, of all keys together.",
    )
