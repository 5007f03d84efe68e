"""OpenAI or Anthropic: which client shape fits what somebody has.

One job: weigh clues, by a table, and name the facts that decide. Must not make requests. Facts:
`clients.md` sections 1 and 2 (what each client appends and sends), `auxot.md` section 1.5 (paths of
the Auxot router).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from auxot_tools.doctor.base_url import ROOT, BaseUrl
from auxot_tools.doctor.observations import NO_ENDPOINT, Attempt
from auxot_tools.doctor.reading import Kind

MAX_CHARS = 256 * 2**10  # of what is pasted
_ENDPOINTS = {"anthropic": "/v1/messages", "openai": "/chat/completions"}  # behind a base URL


class Shape(StrEnum):
    """The dialect that a client speaks."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class Clue:
    """Words that tell a shape. ``weight``: 3 decides, 1 hints."""

    words: str
    shape: Shape
    weight: int
    fact: str


_A, _O = Shape.ANTHROPIC, Shape.OPENAI
CLUES = (
    Clue(r"claude[ -]?code|claude-agent-sdk", _A, 3, "Claude Code speaks Messages only"),
    Clue(
        r"@ai-sdk/anthropic",
        _A,
        3,
        "@ai-sdk/anthropic speaks Messages; its base URL ends in /v1",
    ),
    Clue(
        r"@anthropic-ai/sdk|\banthropic\b|langchain[_-]anthropic",
        _A,
        3,
        "the Anthropic SDK speaks Messages: it appends /v1/messages",
    ),
    Clue(r"/messages\b|messages\.(create|stream)\b", _A, 2, "it asks for the path /messages"),
    Clue(r"anthropic-version", _A, 3, "it sends anthropic-version, which only Messages has"),
    Clue(r"x-api-key", _A, 2, "it sends the key as x-api-key"),
    Clue(
        r"input_schema|tool_use\b|tool_result|content_block|stop_reason",
        _A,
        2,
        "its tools have input_schema, its answers tool_use and stop_reason",
    ),
    Clue(
        r"@ai-sdk/openai|\bopenai\b|langchain[_-]openai",
        _O,
        3,
        "the OpenAI SDK speaks chat completions: it appends /chat/completions or /responses",
    ),
    Clue(r"/chat/completions|chat\.completions", _O, 3, "it asks for /chat/completions"),
    Clue(r"/responses\b|responses\.create|/embeddings", _O, 3, "it asks for /responses"),
    Clue(
        r"tool_calls|function_call|finish_reason|[\"']role[\"']\s*:\s*[\"']tool[\"']|choices\[",
        _O,
        2,
        "its answers have choices, tool_calls and finish_reason",
    ),
    Clue(r"authorization:\s*bearer", _O, 1, "it sends Authorization: Bearer (both shapes may)"),
)


@dataclass(frozen=True, slots=True)
class Advice:
    """``shape`` is ``None`` when nothing decides. ``fits``: the server speaks it, or is unknown."""

    shape: Shape | None
    fits: bool
    facts: tuple[str, ...]
    lines: tuple[str, ...]


def advise(
    texts: Iterable[str],
    environ: Mapping[str, str] | None = None,
    base: BaseUrl | None = None,
    attempts: Sequence[Attempt] = (),
) -> Advice:
    """From what somebody has: words, snippets, variables, a URL, and what answers there."""
    scores, facts = _of_texts(texts)
    for name in environ or {}:
        reader = _A if name.startswith("ANTHROPIC_") else _O
        scores[reader] += 2
        facts.append(f"{name} is set: {reader.value} clients read it")
    if base is not None and base.host:
        scores, facts = _of_path(base, scores, facts)
    spoken = spoken_by(attempts)
    facts += [_spoken_fact(one) for one in attempts]
    client = _clear(scores)
    shape = client or (next(iter(spoken)) if len(spoken) == 1 else None)
    if shape is None and len(spoken) == 2:
        facts.append("the server speaks both")
    fits = shape is not None and (not attempts or shape in spoken)
    return Advice(shape, fits, tuple(facts), _lines(shape, base, attempts))


def _of_texts(texts: Iterable[str]) -> tuple[dict[Shape, int], list[str]]:
    scores, facts = {Shape.ANTHROPIC: 0, Shape.OPENAI: 0}, []
    whole = "\n".join(texts)[:MAX_CHARS]
    for clue in CLUES:
        if re.search(clue.words, whole, re.IGNORECASE):
            scores[clue.shape] += clue.weight
            facts.append(f"{clue.fact} ({clue.shape.value})")
    return scores, facts


def _of_path(
    base: BaseUrl, scores: dict[Shape, int], facts: list[str]
) -> tuple[dict[Shape, int], list[str]]:
    path = base.path.lower()
    for word, shape in (("anthropic", _A), ("/messages", _A), ("openai", _O), ("/chat/", _O)):
        if word in path:
            scores[shape] += 2
            facts.append(f"the URL's path has {word}: it is the {shape.value} side")
    return scores, facts


def _clear(scores: Mapping[Shape, int]) -> Shape | None:
    """The shape with at least a strong hint, and more of it than the other."""
    best = max(scores, key=lambda shape: scores[shape])
    other = min(scores.values())
    return best if scores[best] >= 2 and scores[best] > other else None


def spoken_by(attempts: Sequence[Attempt]) -> set[Shape]:
    """The dialects in which a server answered. Where the key is refused at both paths in words
    that are not those of Messages, nothing is known: it is looked at before the path.

    That `/v1/messages` was asked means that the path before it is not there: the server tells
    paths apart, and refuses the body of this one, be it in the other dialect's words.
    """
    spoken = set[Shape]()
    refused = [one for one in attempts if one.refuses_key and not one.speaks_messages]
    if attempts and len(refused) == len(attempts):
        return spoken
    for one in attempts:
        is_there = one.status is not None and one.status not in NO_ENDPOINT
        is_last = urlsplit(one.url).path == _ENDPOINTS[_A]
        tells = one.may_be_endpoint and not one.refuses_key and is_last
        if is_there and one.subject == _A and (one.speaks_messages or tells):
            spoken.add(_A)
        if is_there and one.subject == _O and one.reading.kind in {Kind.OPENAI, Kind.OPENAI_ERROR}:
            spoken.add(_O)
    return spoken


def _spoken_fact(one: Attempt) -> str:
    words = one.reading.kind.replace("_", " ")
    came = one.failure_text if one.status is None else f"{one.status}, {words}"
    return f"POST {one.url}: {came} ({one.subject})"


def _lines(
    shape: Shape | None, base: BaseUrl | None, attempts: Sequence[Attempt]
) -> tuple[str, ...]:
    origin = base.origin() if base is not None and base.host else "http://HOST:8080"
    spoken = spoken_by(attempts)
    if attempts and all(one.status is None for one in attempts):
        return (
            f"Nobody answers at {origin}: {attempts[0].failure_text}.",
            "`auxot-tools doctor url` finds out why.",
        )
    if shape is None:
        return _QUESTIONS
    found = {one.subject: one.url for one in attempts}
    if attempts and shape not in spoken and spoken:
        other = next(iter(spoken))
        return (
            f"Your client is an {shape.value} one, and this server speaks {other.value} only.",
            f"Use an {other.value} client for it, or another server.",
            *_settings(other, origin, found[other]),
        )
    if attempts and shape not in spoken:
        return (
            f"Your client is an {shape.value} one, and neither dialect was found at {origin}.",
            "`auxot-tools doctor url` finds out why.",
        )
    return (f"Use the {shape.value} shape.", *_settings(shape, origin, found.get(shape, "")))


def _settings(shape: Shape, origin: str, asked: str) -> tuple[str, ...]:
    """``asked``: the URL of the endpoint that answered, if one was asked."""
    base = asked.removesuffix(_ENDPOINTS[shape])
    if shape is Shape.OPENAI:
        guess = f"{origin}/api/openai      (Auxot's router; other servers: {origin}/v1)"
        return (
            f"  base_url={base or guess}",
            "  header: Authorization: Bearer KEY      paths: /chat/completions",
            "  auxot-tools' own router speaks Messages only: /api/openai is Auxot's.",
        )
    base = base or f"{origin}{ROOT}"
    return (
        f"  ANTHROPIC_BASE_URL={base}   (Vercel AI SDK: {base}/v1)",
        "  header: x-api-key: KEY, or Authorization: Bearer KEY      path: /v1/messages",
    )


_QUESTIONS = (
    "What you have does not decide it. Say one of these:",
    '  --have "claude code"       you use Claude Code, or the Claude Agent SDK  -> anthropic',
    '  --have "anthropic sdk"     your program imports anthropic                -> anthropic',
    '  --have "openai sdk"        your program imports openai                   -> openai',
    "  --url URL                  tries which dialect answers there",
    "  --snippet FILE             reads your program, or a request of it",
    "New code that calls tools: take anthropic; our router speaks that.",
)
