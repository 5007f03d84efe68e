"""The exchanges: what is sent to an endpoint, each once. What is said upstream is in `scenes`.

One job: the list. Pure. It must not know rules, nor how requests travel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from auxot_tools.roundtrip.plan import CLIENT_TOOL
from auxot_tools.roundtrip.requests import (
    MESSAGES,
    Build,
    again,
    asks,
    calls,
    calls_client,
    counts_tokens,
    extras,
    fixed,
    goes_on,
    results,
    says,
    thread,
    unknown_beta,
    without,
)


class Auth(Enum):
    """Which key goes with a request."""

    OWN = "own"  # the right one, as the user says that the endpoint takes it
    NONE = "none"
    WRONG = "wrong"
    X_API_KEY = "x-api-key"  # the right one, so
    BEARER = "bearer"


class Ends(Enum):
    """How an exchange ends at an endpoint that does everything right."""

    COMPLETE = "complete"  # 200 and a whole answer
    REFUSED = "refused"  # an error status: the request is wrong
    FAULT = "fault"  # the scripted upstream fails: an error, before or within the answer
    LEFT = "left"  # we leave
    OPEN = "open"  # an answer and a refusal may both be right


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. ``follows`` names the exchange that must have ended before; ``scene`` is what
    the scripted upstream plays, its own name when empty. ``needs``: `upstream` (a scripted one),
    `tools` (that the endpoint runs some), and kinds of inputs for the endpoint's tool.
    """

    name: str
    about: str
    build: Build
    needs: tuple[str, ...] = ()
    ends: Ends = Ends.COMPLETE
    auth: Auth = Auth.OWN
    follows: str = ""
    scene: str = ""


UP = ("upstream",)
TOOL = ("tools", "echo")
BOTH = ("upstream", "tools", "echo")

_ANY_ENDPOINT = (
    Exchange("plain", "a short answer", asks("plain")),
    Exchange("plain-again", "the same request once more", again("plain"), follows="plain"),
    Exchange("plain-stream", "a short answer, streamed", asks("plain-stream", stream=True)),
    Exchange("slow-text-stream", "slow words", asks("slow-text-stream", stream=True), UP),
    Exchange("thinking-stream", "thinking, signed", asks("thinking-stream", stream=True), UP),
    Exchange("extras", "fields that real clients send besides", extras),
    Exchange("unknown-beta", "a beta header that nobody knows", unknown_beta),
    Exchange("max-tokens", "an answer that max_tokens cut", asks("max-tokens"), UP),
    Exchange("stop-sequence", "a stop sequence", asks("stop-sequence", stop_sequences=["END"]), UP),
    Exchange("thread", "a message thread", thread, ends=Ends.OPEN),
    Exchange("count-tokens", "tokens counted", counts_tokens),
    Exchange("models", "the list of models", fixed("GET", "/v1/models")),
)

_KEYS = (
    Exchange("no-key", "no key", asks("no-key"), ends=Ends.REFUSED, auth=Auth.NONE),
    Exchange("wrong-key", "a wrong key", asks("wrong-key"), ends=Ends.REFUSED, auth=Auth.WRONG),
    Exchange("x-api-key", "the key as x-api-key", asks("x-api-key"), auth=Auth.X_API_KEY),
    Exchange("bearer", "the key as a bearer token", asks("bearer"), auth=Auth.BEARER),
)

_CUT_JSON = '{"model": "x", '
_NO_SUCH_PATH = "/v1/roundtrip-no-such-path"
_WRONG_REQUESTS = (
    Exchange("bad-json", "no JSON", fixed("POST", MESSAGES, _CUT_JSON), ends=Ends.REFUSED),
    Exchange("no-messages", "no messages", without("messages", "no-messages"), ends=Ends.REFUSED),
    Exchange("no-model", "no model", without("model", "no-model"), ends=Ends.REFUSED),
    Exchange(
        "no-max-tokens", "no max_tokens", without("max_tokens", "no-max-tokens"), ends=Ends.REFUSED
    ),
    Exchange("unknown-path", "no such path", fixed("GET", _NO_SUCH_PATH), ends=Ends.REFUSED),
)

_CLIENT_TOOL = (
    Exchange("client-tool", "a call of the client's own tool", calls_client("client-tool")),
    Exchange(
        "client-error-result",
        "its result, an error",
        goes_on("client-tool", results(is_error=True)),
        follows="client-tool",
        scene="client-tool",
    ),
    Exchange(
        "client-tool-stream", "the call, streamed", calls_client("client-tool-stream", stream=True)
    ),
    Exchange(
        "client-tool-result",
        "its result",
        goes_on("client-tool-stream", results()),
        follows="client-tool-stream",
        scene="client-tool-stream",
    ),
    Exchange(
        "client-parallel-stream",
        "two such calls in one turn",
        calls_client("client-parallel-stream", count=2, stream=True),
    ),
    Exchange(
        "client-parallel-result",
        "both results",
        goes_on("client-parallel-stream", results()),
        follows="client-parallel-stream",
        scene="client-parallel-stream",
    ),
    Exchange(
        "client-cut-stream",
        "such a call that max_tokens cut",
        asks("client-cut-stream", tools=[CLIENT_TOOL], stream=True),
        UP,
    ),
    Exchange("unknown-tool", "a call of a tool that nobody has", asks("unknown-tool"), UP),
)

_ENDPOINTS_TOOL = (
    Exchange("tool", "a call of the endpoint's tool", calls("tool"), TOOL),
    Exchange("tool-stream", "the same, streamed", calls("tool-stream", stream=True), TOOL),
    Exchange(
        "tool-history",
        "that conversation goes on",
        goes_on("tool-stream", says("tool-history")),
        ("tools",),
        follows="tool-stream",
    ),
    Exchange(
        "parallel-stream",
        "two calls in one turn",
        calls("parallel-stream", count=2, stream=True),
        TOOL,
    ),
    Exchange(
        "two-rounds-stream",
        "two rounds of calls, with thinking",
        calls("two-rounds-stream", stream=True),
        BOTH,
    ),
    Exchange(
        "bad-arguments-stream",
        "a call whose input breaks the schema",
        calls("bad-arguments-stream", kind="bad", stream=True),
        ("upstream", "tools", "bad"),
    ),
    Exchange(
        "failing-program",
        "a program that ends with an exit code",
        calls("failing-program", kind="failing"),
        ("tools", "failing"),
    ),
    Exchange(
        "cut-call-stream",
        "a call that max_tokens cut",
        calls("cut-call-stream", stream=True),
        BOTH,
    ),
    Exchange("broken-call", "a call whose input is broken JSON", calls("broken-call"), BOTH),
    Exchange("refused-call", "a call in a refused turn", calls("refused-call"), BOTH),
    Exchange(
        "round-limit-stream",
        "a model that calls for ever",
        calls("round-limit-stream", stream=True),
        BOTH,
    ),
    Exchange(
        "mixed-stream",
        "a call of each side in one turn",
        calls("mixed-stream", tools=[CLIENT_TOOL], stream=True),
        BOTH,
    ),
    Exchange(
        "mixed-result",
        "the result of the client's call alone",
        goes_on("mixed-stream", results()),
        BOTH,
        follows="mixed-stream",
        scene="mixed-stream",
    ),
)

_TIME = (
    Exchange(
        "slow-tool-stream",
        "a call that takes long",
        calls("slow-tool-stream", kind="slow", stream=True),
        ("tools", "slow"),
    ),
    Exchange(
        "slow-upstream-stream",
        "an upstream that is silent for long",
        asks("slow-upstream-stream", stream=True),
        UP,
    ),
    Exchange(
        "leaves-in-call",
        "a client that leaves while its call runs",
        calls("leaves-in-call", kind="slow", stream=True),
        ("upstream", "tools", "slow"),
        ends=Ends.LEFT,
    ),
    Exchange(
        "leaves-in-stream",
        "a client that leaves while the answer comes",
        asks("leaves-in-stream", stream=True),
        UP,
        ends=Ends.LEFT,
    ),
    Exchange(
        "after-leaving",
        "a request after that",
        asks("after-leaving"),
        UP,
        follows="leaves-in-stream",
    ),
)

_UPSTREAM_FAILS = (
    Exchange("upstream-busy", "an overloaded upstream", asks("upstream-busy"), UP, Ends.FAULT),
    Exchange(
        "upstream-busy-stream",
        "the same, streamed",
        asks("upstream-busy-stream", stream=True),
        UP,
        Ends.FAULT,
    ),
    Exchange("upstream-limit", "an upstream's rate limit", asks("upstream-limit"), UP, Ends.FAULT),
    Exchange("upstream-refuses", "an upstream's 400", asks("upstream-refuses"), UP, Ends.FAULT),
    Exchange(
        "upstream-html", "an upstream that is a web page", asks("upstream-html"), UP, Ends.FAULT
    ),
    Exchange(
        "upstream-error-stream",
        "an error within the upstream's stream",
        asks("upstream-error-stream", stream=True),
        UP,
        Ends.FAULT,
    ),
    Exchange(
        "upstream-cut-stream",
        "an upstream's stream that breaks off",
        asks("upstream-cut-stream", stream=True),
        UP,
        Ends.FAULT,
    ),
    Exchange(
        "fails-after-tool",
        "an upstream that fails when the call has run",
        calls("fails-after-tool", kind="unique"),
        ("upstream", "tools", "unique"),
        Ends.FAULT,
    ),
    Exchange(
        "repeated-after-failure",
        "the same request once more",
        again("fails-after-tool"),
        ("upstream", "tools", "unique"),
        follows="fails-after-tool",
        scene="fails-after-tool",
    ),
)

EXCHANGES: tuple[Exchange, ...] = (
    *_ANY_ENDPOINT,
    *_KEYS,
    *_WRONG_REQUESTS,
    *_CLIENT_TOOL,
    *_ENDPOINTS_TOOL,
    *_TIME,
    *_UPSTREAM_FAILS,
)
BY_NAME: Mapping[str, Exchange] = {each.name: each for each in EXCHANGES}


def conversations() -> list[list[Exchange]]:
    """The exchanges that must come one after another, together."""
    chains: dict[str, list[Exchange]] = {}
    for each in EXCHANGES:
        root = each
        while root.follows:
            root = BY_NAME[root.follows]
        chains.setdefault(root.name, []).append(each)
    return list(chains.values())
