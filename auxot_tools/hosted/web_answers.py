"""The tool `web_answers`: a question, answered by Brave from what it finds.

One job: from a question to an answer with its sources. It must not know searching or fetching.
"""

import json
import re

from auxot_tools.hosted.web_asking import ask_json, credential, not_configured, unavailable
from auxot_tools.hosted.web_uses import Uses
from auxot_tools.net.outbound import Outbound, OutboundRequest
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import Deadline, Status

ANSWER_S = 30.0  # it searches and then writes
MAX_REPLY_BYTES = 2**20
MODEL = "brave"
_NAME = "Brave Answers"
_KEYS = ("BRAVE_ANSWERS_API_KEY", "BRAVE_SEARCH_API_KEY", "BRAVE_API_KEY")
# What Brave puts between its sentences: `<citation>{JSON}</citation>`, over several lines as well.
_TAG = re.compile(r"<(citation|enum_item|usage)\b[^<>]{0,200}>")


class WebAnswers:
    """The tool. `uses` bounds the questions of one request."""

    def __init__(self, outbound: Outbound, uses: Uses, base_url: str) -> None:
        self._outbound = outbound
        self._uses = uses
        self._url = f"{base_url}/res/v1/chat/completions"

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        """Ask, and return the answer as text with links."""
        query = call.arguments["query"].strip()
        if not query:
            return HostedAnswer.of("`query` is empty: ask a question.", Status.INVALID_ARGUMENTS)
        key = credential(call.credentials, *_KEYS)
        if not key:
            name = "AUXOT_TOOLS_WEB_ANSWERS__BRAVE_ANSWERS_API_KEY"
            return not_configured("web_answers", f"set {name} to a key of Brave's Answers plan")
        refusal = self._uses.refusal(call)
        if refusal is not None:
            return refusal
        within = Deadline.after(ANSWER_S).sooner(deadline)
        reply = await ask_json(self._outbound, self._request(query, key), within, _NAME, _refusal)
        if isinstance(reply, HostedAnswer):
            return reply
        text = _content(reply)
        if text is None:
            return unavailable(f"{_NAME} sent no answer. Try again later, or use web_search.")
        text = cleaned(text)
        if not text:
            return HostedAnswer.of("There is no answer to that. Try web_search instead.")
        return HostedAnswer.of(text)

    def _request(self, query: str, key: str) -> OutboundRequest:
        messages = [{"role": "user", "content": query}]
        asked = {"model": MODEL, "stream": False, "messages": messages}
        return OutboundRequest(
            self._url,
            "POST",
            (
                ("Accept", "application/json"),
                ("Content-Type", "application/json"),
                ("X-Subscription-Token", key),
            ),
            json.dumps(asked).encode(),
            operator_chosen=True,
            max_bytes=MAX_REPLY_BYTES,
        )


def cleaned(text: str) -> str:
    """`text` without Brave's tags; a citation that names an address becomes a link to it."""
    pieces, position = [], 0
    closed_up_to = dict.fromkeys(("citation", "enum_item", "usage"), 0)
    while found := _TAG.search(text, position):
        name = found[1]
        pieces.append(text[position : found.start()])
        position = found.end()
        if closed_up_to[name] < 0:
            continue  # no such closing comes any more
        closing = text.find(f"</{name}>", position)
        closed_up_to[name] = closing
        if closing >= 0:
            pieces.append(_link(text[position:closing]) if name == "citation" else "")
            position = closing + len(f"</{name}>")
    return re.sub(r"\n{3,}", "\n\n", "".join([*pieces, text[position:]])).strip()


def _link(inside: str) -> str:
    try:
        citation = json.loads(inside)
    except (ValueError, RecursionError):
        return ""
    url = citation.get("url") if isinstance(citation, dict) else None
    if not isinstance(url, str) or not re.fullmatch(r"https?://[!-'*-~]{1,2000}", url):
        return ""
    number = citation.get("number")
    return f" [{number if isinstance(number, int) else 'source'}]({url})"


def _content(reply: dict[str, object]) -> str | None:
    """The text of an answer in OpenAI's form."""
    try:
        content = reply["choices"][0]["message"]["content"]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return None
    return content if isinstance(content, str) else None


def _refusal(status: int) -> str:
    if status in {401, 403}:
        return "Brave does not accept the API key; it needs the Answers plan"
    return ""
