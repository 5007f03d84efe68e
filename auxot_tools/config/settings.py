"""Every setting: its name, type, bounds, default and meaning, as frozen models.

One job: declare. The descriptions here are the documentation (`reference.py` renders them). It must
not know where values come from, nor what they are used for, and reads nothing.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic import Field as Setting
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auxot_tools.config.connect import ConnectSettings
from auxot_tools.config.kinds import (
    SOCKET,
    Allowed,
    Count,
    FileName,
    Seconds,
    Secret,
    Section,
    Text,
    ToolNames,
    host_port,
    lower,
    origin,
    split,
    target_address,
)
from auxot_tools.config.outbound import NetSettings
from auxot_tools.config.upstreams import ProviderSettings, UpstreamSettings
from auxot_tools.config.web import WebSettings
from auxot_tools.config.worker import WorkerSettings
from auxot_tools.ports import BoxLimits


class LimitSettings(Section):
    """The operator's ceilings of one box: no tool and no call can have more."""

    timeout_s: Seconds = Setting(default=120, ge=1, le=3600, description="Wall time of a program.")
    memory_bytes: Count = Setting(
        default=2**30,
        ge=32 * 2**20,  # what supervises the program inside needs 10 MiB of it
        le=2**40,
        description="Memory of a box, its tmpfs files included.",
    )
    cpus: Seconds = Setting(default=1.0, ge=0.05, le=1024, description="CPU cores, also in parts.")
    pids: Count = Setting(default=256, ge=8, le=32_768, description="Processes and threads.")
    open_files: Count = Setting(
        default=1024, ge=32, le=2**20, description="Open files of one process."
    )
    disk_bytes: Count = Setting(
        default=256 * 2**20, ge=2**20, le=2**40, description="Each of `/tmp` and `/work`."
    )
    disk_inodes: Count = Setting(
        default=16_384, ge=64, le=10**8, description="Files in each of `/tmp` and `/work`."
    )
    shm_bytes: Count = Setting(default=64 * 2**20, ge=2**16, le=2**40, description="`/dev/shm`.")
    output_bytes: Count = Setting(
        default=64 * 2**10,
        ge=256,
        le=16 * 2**20,
        description="Kept of each output stream, head and tail.",
    )
    output_stop_bytes: Count = Setting(
        default=256 * 2**20,
        ge=2**10,
        le=2**40,
        description="A program that writes more is stopped.",
    )

    def ceilings(self) -> BoxLimits:
        """The same numbers as the sandbox port names them."""
        return BoxLimits(**self.model_dump())


class SandboxSettings(Section):
    """Where programs run."""

    engine_url: Text = Setting(
        default="", description="The Docker engine; empty: `DOCKER_HOST`, or the local socket."
    )
    image: Text = Setting(
        default="", description="Run this image; empty: the one `auxot-tools sandbox build` made."
    )
    base: Text = Setting(
        default="", description="Build the image `FROM` this one; empty: from Debian packages."
    )
    packages: Annotated[Literal["standard", "data"], BeforeValidator(lower)] = Setting(
        default="standard",
        description="What `auxot-tools sandbox build` puts into the image: `data` adds numpy, "
        "pandas and matplotlib.",
    )
    isolation: Annotated[Literal["call", "warm"], BeforeValidator(lower)] = Setting(
        default="call", description="How calls of tools that do not say it themselves are isolated."
    )
    allowed_isolation: Annotated[
        tuple[Literal["call", "warm", "session"], ...],
        BeforeValidator(split),
        Allowed("a list out of `call`, `warm`, `session`"),
    ] = Setting(
        default=("call", "warm", "session"),
        description="What tools may ask for; `call` always. A tool that asks for `warm` in vain "
        "has `call`; one that needs `session` is in quarantine.",
    )
    runtime: Text = Setting(
        default="",
        description="The engine's runtime for boxes, for example `runsc`; empty: its default.",
    )
    channel: Annotated[Literal["auto", "unix", "attach"], BeforeValidator(lower)] = Setting(
        default="auto",
        description="How the worker speaks with a box: a unix socket, the engine's attach stream, "
        "or the first of the two that works.",
    )
    run_dir: FileName = Setting(
        default=None,
        description="Folder for the unix sockets of boxes, which the engine must see too; empty: "
        "`/run/auxot-tools` for root, else one of this user's.",
    )
    ready: Count = Setting(
        default=2, ge=0, le=64, description="Boxes kept ready for each kind that the tools need."
    )
    warm_calls: Count = Setting(
        default=1000,
        ge=1,
        le=100_000,
        description="Calls of a `warm` container until it is replaced.",
    )
    session_idle_s: Seconds = Setting(
        default=600, ge=1, le=86_400, description="A session without calls ends after this time."
    )
    session_age_s: Seconds = Setting(
        default=3600, ge=1, le=604_800, description="Every session ends after this time."
    )
    sessions_per_tenant: Count = Setting(
        default=4,
        ge=1,
        le=1024,
        description="Sessions of one key; one more ends that whose last call is longest ago.",
    )
    sessions: Count = Setting(
        default=64, ge=1, le=10_000, description="Sessions of all keys together."
    )
    limits: LimitSettings = Setting(default_factory=LimitSettings)


class RouterSettings(Section):
    """The process that answers Messages requests: `auxot-tools router`."""

    listen: Annotated[str, AfterValidator(host_port), Allowed("`host:port`")] = Setting(
        default="127.0.0.1:8080", description="Where the router answers HTTP."
    )
    keys_file: Annotated[Path, Allowed("a path")] = Setting(
        default=Path("keys.toml"),
        description="Argon2id hashes of the clients' keys; re-read on change.",
    )
    tls_cert: FileName = Setting(
        default=None, description="Certificate chain (PEM); with `tls_key`."
    )
    tls_key: FileName = Setting(default=None, description="Private key (PEM); with `tls_cert`.")
    worker: Annotated[str, AfterValidator(target_address), Allowed(SOCKET)] = Setting(
        default="127.0.0.1:50061", description="The worker that runs our tools."
    )
    worker_key: Secret = Setting(
        default=SecretStr(""), description="The worker's key; when not set, `worker.key`."
    )
    worker_tls_ca: FileName = Setting(
        default=None, description="Speak TLS to the worker, whose certificate this CA (PEM) signed."
    )
    worker_tls_cert: FileName = Setting(
        default=None, description="Our certificate for the worker (PEM); with `worker_tls_key`."
    )
    worker_tls_key: FileName = Setting(
        default=None, description="Its private key (PEM); with `worker_tls_cert`."
    )
    allowed_tools: ToolNames = Setting(
        default=(), description="Tools of ours that every request is offered; empty: none."
    )
    show_tool_calls: Annotated[Literal["shown", "hidden"], BeforeValidator(lower)] = Setting(
        default="shown", description="Whether clients see the calls that we ran as content blocks."
    )
    max_rounds: Count = Setting(
        default=10, ge=1, le=100, description="Rounds of tool calls in one request."
    )
    on_round_limit: Annotated[Literal["answer", "pause"], BeforeValidator(lower)] = Setting(
        default="answer",
        description="At the limit: ask once more without tools, or end with `pause_turn`.",
    )
    blocking_budget_s: Seconds = Setting(
        default=240,
        ge=1,
        le=3600,
        description="Time for the rounds of a request that does not stream; the answer that the "
        "model is then asked for has 300 s more.",
    )
    call_timeout_s: Seconds = Setting(
        default=150,
        ge=1,
        le=3600,
        description="Time for one call, its waiting included; above `sandbox.limits.timeout_s`.",
    )
    max_body_bytes: Count = Setting(
        default=32_000_000,
        ge=2**10,
        le=2**30,
        description="Largest request; more is refused with 413.",
    )
    ping_interval_s: Seconds = Setting(
        default=10, ge=0.05, le=60, description="Silence after which a stream sends a `ping`."
    )
    max_concurrent_requests: Count = Setting(
        default=256, ge=1, le=100_000, description="Requests served side by side; more are refused."
    )
    eager_calls: bool = Setting(
        default=True,
        description="Start calls of idempotent tools while the model's turn still streams.",
    )
    kept_history_s: Seconds = Setting(
        default=3600,
        ge=1,
        le=604_800,
        description="How long what a client does not see of its conversation is kept, unused.",
    )
    kept_history_bytes: Count = Setting(
        default=64 * 2**20, ge=2**20, le=2**40, description="Memory for that, of all keys together."
    )
    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(origin)], ...],
        BeforeValidator(split),
        Allowed("a list of origins such as `https://app.example`, or `*`"),
    ] = Setting(default=(), description="Web pages that may use the router; empty: none.")


def _level(value: object) -> object:
    """The level, which Auxot's programs write `warn`."""
    written = lower(value)
    return "warning" if written == "warn" else written


class LogSettings(Section):
    """What the processes write to stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_level)] = (
        Setting(default="info", description="The least important lines to write.")
    )
    format: Annotated[Literal["text", "json"], BeforeValidator(lower)] = Setting(
        default="text", description="Lines for people, or one JSON object a line."
    )


class Config(BaseSettings):
    """Everything in force. Made by `load_config` only."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, enable_decoding=False
    )

    worker: WorkerSettings = Setting(default_factory=WorkerSettings)
    sandbox: SandboxSettings = Setting(default_factory=SandboxSettings)
    net: NetSettings = Setting(default_factory=NetSettings)
    web: WebSettings = Setting(default_factory=WebSettings)
    router: RouterSettings = Setting(default_factory=RouterSettings)
    connect: ConnectSettings = Setting(default_factory=ConnectSettings)
    upstream: UpstreamSettings = Setting(default_factory=UpstreamSettings)
    providers: Annotated[
        tuple[ProviderSettings, ...], Allowed("tables `[[providers]]` in the file")
    ] = Setting(
        default=(),
        max_length=64,
        description="Several models' servers, in order, in place of `[upstream]`.",
    )
    log: LogSettings = Setting(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load_config` merges file and environment, to know where each value came from."""
        return (init_settings,)
