"""The settings of the models behind the router: one `[upstream]`, or a list of `[[providers]]`.

One job: declare, as `settings.py` does for everything else.
"""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic import Field as Setting

from auxot_tools.config.kinds import Allowed, Count, Seconds, Secret, Section, Text, lower, split


def upstream_url(url: str) -> str:
    parts = urlsplit(url)
    has_more = "@" in parts.netloc or bool(parts.query or parts.fragment) or parts.port == 0
    is_base = parts.scheme in {"http", "https"} and bool(parts.hostname) and not has_more
    if url != "demo" and (not is_base or re.search(r"\s|/v1/messages/?$", url)):
        raise ValueError(url)
    return url


def _patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or any(not name or re.search(r"\s", name) for name in names):
        raise ValueError("empty")
    return names


def is_env_name(name: str) -> bool:
    """Whether it may be the name of an environment variable."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name) is not None


def _env_name(name: str) -> str:
    if name and not is_env_name(name):
        raise ValueError("no name")
    return name


class ServerSettings(Section):
    """How a server of models is reached."""

    url: Annotated[
        str,
        AfterValidator(upstream_url),
        Allowed(
            "`demo`, or an http(s) base address without user name, password, query, `/v1/messages`"
        ),
    ] = Setting(
        default="demo",
        description="Base address of a Messages server, with or without `/v1`; "
        "`demo`: the embedded scripted model.",
    )
    auth: Annotated[Literal["x-api-key", "bearer", "none"], BeforeValidator(lower)] = Setting(
        default="x-api-key", description="How the key is sent; nothing is sent without one."
    )
    connect_timeout_s: Seconds = Setting(
        default=10, ge=0.05, le=600, description="Time to connect."
    )
    first_byte_timeout_s: Seconds = Setting(
        default=600,
        ge=0.05,
        le=3600,
        description="Time until the answer starts; of one that does not stream, until it is there.",
    )
    idle_timeout_s: Seconds = Setting(
        default=120, ge=0.05, le=3600, description="Longest silence within an answer."
    )
    probe_interval_s: Seconds = Setting(
        default=30,
        ge=0,
        le=3600,
        description="How often `GET /v1/models` shows whether it is there; 0: never. While it is "
        "not, every 2 s.",
    )


class UpstreamSettings(ServerSettings):
    """The model behind the router, when there is one."""

    api_key: Secret = Setting(default=SecretStr(""), description="Key for the upstream.")
    model: Text = Setting(
        default="", description="Ask for this model; empty: the one the client names."
    )
    retries: Count = Setting(
        default=2, ge=0, le=10, description="Further attempts, only before the answer's first byte."
    )


class ProviderSettings(ServerSettings):
    """One of several servers of models, in the order in which they are asked."""

    name: Annotated[str, Allowed("1 to 64 letters, digits, `.`, `_`, `-`")] = Setting(
        pattern=r"^[a-zA-Z0-9._-]{1,64}$", description="Its name in the log and in `/health`."
    )
    dialect: Annotated[Literal["anthropic"], Allowed("`anthropic`")] = Setting(
        default="anthropic", description="What it speaks: the Messages API."
    )
    api_key_env: Annotated[
        str, AfterValidator(_env_name), Allowed("the name of an environment variable, or empty")
    ] = Setting(default="", description="The environment variable that holds its key.")
    models: Annotated[
        tuple[str, ...],
        BeforeValidator(split),
        AfterValidator(_patterns),
        Allowed("a list of names and patterns with `*` and `?`"),
    ] = Setting(default=("*",), description="The models that it serves, by the names it knows.")
    model_map: Annotated[
        dict[str, Annotated[str, Setting(min_length=1)]],
        Allowed('a table of patterns and names, such as `{ "claude-*" = "my-model" }`'),
    ] = Setting(
        default_factory=dict,
        description="Which of its models stands for the one that a client names; the first pattern "
        "that fits counts, `*` at the end is the default.",
    )
    retries: Count = Setting(
        default=0,
        ge=0,
        le=10,
        description="Further attempts before the next provider is asked.",
    )
    # What the environment variable holds; the loader fills it in, and no file may.
    api_key: Annotated[SecretStr, Allowed("nothing: name a variable in `api_key_env`")] = Setting(
        default=SecretStr(""), exclude=True, description=""
    )
