"""Which dialects a server answers in: up to three requests for each, with an empty body.

One job: ask. What it means is for `client_shape`. The key, if there is one, goes to the origin of
the URL only; an empty body is refused before any model is asked.
"""

from auxot_tools.doctor.asking import Asker
from auxot_tools.doctor.base_url import ROOT, BaseUrl
from auxot_tools.doctor.client_shape import Shape
from auxot_tools.doctor.observations import NO_ENDPOINT, Attempt
from auxot_tools.doctor.probes import VERSION, ProbeOptions
from auxot_tools.net.exact import ExactClient

# What is asked of each dialect, until one of them answers as it should.
PATHS = {
    Shape.ANTHROPIC: (f"{ROOT}/v1/messages", "/v1/messages"),
    Shape.OPENAI: ("/api/openai/chat/completions", "/v1/chat/completions"),
}


async def ask_dialects(base: BaseUrl, key: str, options: ProbeOptions) -> list[Attempt]:
    """The best answer for each dialect. Never raises for what a server does."""
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    if key:
        headers |= {"authorization": f"Bearer {key}", "x-api-key": key}
    found = []
    async with ExactClient(options.limits, options.ssl_context) as http:
        answer_s = options.limits.first_byte_s + options.limits.idle_s
        asker = Asker(
            http, base.origin(), options.requests, answer_s=answer_s, total_s=options.total_s
        )
        for shape in PATHS:
            for path in _paths(shape, base):
                url = base.origin() + path
                sent = "both" if key else "no key"
                answer = await asker.post("dialect", url, b"{}", headers, subject=shape, sent=sent)
                if answer.status not in NO_ENDPOINT:
                    break
            found.append(answer)
    return found


def _paths(shape: Shape, base: BaseUrl) -> tuple[str, ...]:
    """Where the URL itself says that the endpoint is, then where such endpoints mostly are."""
    known = PATHS[shape]
    own = base.roots()[0] + known[-1]
    return known if own in known else (own, *known)
