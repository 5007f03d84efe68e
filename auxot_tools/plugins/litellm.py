"""LiteLLM's proxy runs our tools: `callbacks: auxot_tools.plugins.litellm.auxot_tools`.

The plugin acts on `/v1/messages` and on nothing else. A request is offered our tools before it goes
out. A blocking answer that calls one of them is completed in LiteLLM's agentic loop hooks, or, for
models whose answers LiteLLM translates, where answers leave the proxy; streams are completed where
they leave it. As seen in litellm 1.109.1. One job: LiteLLM's hooks. Must not know how a loop goes
on, nor be imported by anything of ours: LiteLLM is there in its own proxy alone.
"""

# ruff: noqa: ARG002, PLR0917 -- the hooks' parameters are LiteLLM's

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any, cast

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException

from auxot_tools.config import Config, load_config
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.errors import (
    AuthenticationError,
    ConfigError,
    RemoteProtocolError,
    RequestError,
    Unavailable,
)
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.exact_json import InvalidJSON
from auxot_tools.plugins.gateway import Gateway, Held
from auxot_tools.plugins.gateway_model import Answer, AskAgain
from auxot_tools.plugins.held import HeldRequests, new_tenant
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.services import RouterLimits
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import JSON

MESSAGES = "anthropic_messages"  # LiteLLM's name of the endpoint, as a call type and as a surface
_PROXY = "litellm.proxy.proxy_server"
# What a loop looks at; LiteLLM puts much of its own beside it.
_READ = frozenset(
    [
        "container",
        "max_tokens",
        "messages",
        "model",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    ]
)
# What belongs to the first call of a model and to no later one.
_OF_ONE_CALL = frozenset(
    [
        "deployment",
        "litellm_call_id",
        "litellm_logging_obj",
        "litellm_trace_id",
        "proxy_server_request",
        "shared_session",
        "tool_choice",
    ]
)
# What the hooks of the loop have beside the request's own parameters.
_CARRIED = ("litellm_metadata", "provider_specific_header", "secret_fields")


class AuxotTools(CustomLogger):
    """The plugin, with the settings `router.worker…`, `router.allowed_tools` and beside them.

    Raises `ConfigError` for settings that cannot be used.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._gateway = _gateway(config)
        # By LiteLLM's logging object: the `litellm_call_id` is the client's to choose.
        self._held = HeldRequests()

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: JSON, call_type: str
    ) -> JSON:
        """Offer our tools, and turn the client's history back into what the model saw."""
        record = data.get("litellm_logging_obj")
        if call_type != MESSAGES or record is None:
            return data
        body = {name: value for name, value in data.items() if name in _READ}
        headers = (data.get("proxy_server_request") or {}).get("headers") or {}
        try:
            held = await self._gateway.hold(body, new_tenant(user_api_key_dict), headers)
        except Unavailable as error:
            raise _told(503, f"The tools of this proxy cannot be had: {error}.") from None
        except (RequestError, InvalidJSON):
            return data  # LiteLLM's to refuse
        self._held.keep(record, held)
        data.update(held.changes)
        return data

    async def async_should_run_agentic_loop(
        self,
        response: object,
        model: str,
        messages: list[JSON],
        tools: list[JSON] | None,
        stream: bool,
        custom_llm_provider: str,
        kwargs: JSON,
    ) -> tuple[bool, JSON]:
        """Whether a blocking answer calls a tool of ours; streams are completed elsewhere."""
        held = self._held_of(kwargs)
        is_messages = kwargs.get("_agentic_loop_api_surface", MESSAGES) == MESSAGES
        if held is None or held.is_taken or stream or not is_messages:
            return False, {}
        return held.has_call_of_ours(response), {"request": held.request_id}

    async def async_run_agentic_loop(
        self,
        tools: JSON,
        model: str,
        messages: list[JSON],
        response: JSON,
        anthropic_messages_provider_config: Any,
        anthropic_messages_optional_request_params: JSON,
        logging_obj: Any,
        stream: bool,
        kwargs: JSON,
    ) -> JSON:
        """The whole message. LiteLLM swallows what is raised here; a failure is told later."""
        held = cast(Held, self._held.of(logging_obj))
        carried = {name: kwargs[name] for name in _CARRIED if kwargs.get(name)}
        base = anthropic_messages_optional_request_params | carried
        message = await self._completed(held, response, base, messages)
        return response if message is None else message

    async def async_post_call_success_hook(
        self, data: JSON, user_api_key_dict: Any, response: Any
    ) -> Any:
        """Complete a blocking answer that LiteLLM translated, or tell why one has no end."""
        held = self._held_of(data, user_api_key_dict)
        if held is None:
            return None
        if not held.is_taken and held.has_call_of_ours(response):
            response = await self._completed(held, response, data, data["messages"])
        if held.failure is not None:  # tools have run: clients must not repeat it by themselves
            status = getattr(held.failure, "status_code", 500)
            message = getattr(held.failure, "message", "The model could not be asked again.")
            raise _told(status, str(message), may_repeat=False) from held.failure
        return response

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: AsyncIterator[Any], request_data: JSON
    ) -> AsyncGenerator[Any, None]:
        """The client's stream, over as many turns as it takes."""
        held = self._held_of(request_data, user_api_key_dict)
        if held is None or held.is_taken:
            async for piece in response:
                yield piece
            return
        held.is_taken = True
        ask_again = _ask_again(held, request_data, request_data["messages"])
        async with aclosing(self._gateway.stream(held, response, ask_again)) as pieces:
            async for piece in pieces:
                yield piece

    def _held_of(self, data: JSON, user_api_key_dict: Any = None) -> Held | None:
        """The request that a hook is about. Raises what LiteLLM tells of one that is another's."""
        try:
            return self._held.of(data.get("litellm_logging_obj"), user_api_key_dict)
        except AuthenticationError as error:
            raise _told(403, str(error), may_repeat=False) from None

    async def _completed(
        self, held: Held, first: JSON, base: JSON, messages: list[JSON]
    ) -> JSON | None:
        held.is_taken = True
        ask_again = _ask_again(held, base, messages)
        message = await self._gateway.answer(held, first, ask_again)
        if message is None and held.failure is None:
            held.failure = _told(502, "The model's answer cannot be understood.")
        return message


def _ask_again(held: Held, base: JSON, messages: list[JSON]) -> AskAgain:
    """Asks the proxy's router, with what other plugins made of the request's own messages."""
    kept = {
        name: value
        for name, value in base.items()
        if name not in _OF_ONE_CALL and not name.startswith("_")
    }

    async def ask_again(body: JSON) -> Answer:
        later = body["messages"][held.sent_messages :]
        asked = kept | {
            "model": held.request.model,
            "messages": [*messages, *later],
            "max_tokens": body["max_tokens"],
            "stream": body["stream"],
            # LiteLLM notes in it what it did with a call.
            "litellm_metadata": dict(kept.get("litellm_metadata") or {}),
        }
        if "tool_choice" in body:
            asked["tool_choice"] = body["tool_choice"]
        router = getattr(sys.modules.get(_PROXY), "llm_router", None)
        if router is None:
            raise _told(500, "The proxy has no models of its own to ask again.")
        answer = await router.anthropic_messages(**asked)
        if not isinstance(answer, dict) and not hasattr(answer, "__aiter__"):
            raise RemoteProtocolError("LiteLLM gave an answer that is neither message nor stream")
        return cast(Answer, answer)

    return ask_again


def _told(status: int, message: str, *, may_repeat: bool = True) -> Exception:
    """What LiteLLM tells the client."""
    headers = {} if may_repeat else {"x-should-retry": "false"}
    told = ProxyException(message, "api_error", None, status, headers)
    told.status_code = status
    return cast(Exception, told)


def _gateway(config: Config) -> Gateway:
    settings = config.router
    if not settings.allowed_tools:
        text = "router.allowed_tools (AUXOT_ROUTER__ALLOWED_TOOLS) is empty: no tool is offered."
        raise ConfigError([text])
    is_hiding = settings.show_tool_calls == "hidden"
    dispatcher = RemoteDispatcher(
        WorkerTarget(
            worker=settings.worker,
            key=settings.worker_key.get_secret_value(),
            tls_ca=_path(settings.worker_tls_ca),
            tls_cert=_path(settings.worker_tls_cert),
            tls_key=_path(settings.worker_tls_key),
        )
    )
    return Gateway(
        dispatcher,
        Catalogue(dispatcher, settings.allowed_tools),
        LoopSettings(
            max_rounds=settings.max_rounds,
            on_round_limit=settings.on_round_limit,
            show_calls=not is_hiding,
            eager=settings.eager_calls,
        ),
        RouterLimits(
            ping_interval_s=settings.ping_interval_s,
            blocking_budget_s=settings.blocking_budget_s,
            call_timeout_s=settings.call_timeout_s,
        ),
        KeptHistory(
            is_hiding=is_hiding,
            max_bytes=settings.kept_history_bytes,
            kept_s=settings.kept_history_s,
        ),
    )


def _path(path: Path | None) -> str:
    return "" if path is None else str(path)


@cache
def _ready() -> AuxotTools:
    return AuxotTools(load_config(None, os.environ, Path.cwd()).config)


def __getattr__(name: str) -> AuxotTools:
    """`auxot_tools` is made when LiteLLM asks for it, and what is wrong with it is told then."""
    if name != "auxot_tools":
        raise AttributeError(name)
    return _ready()
