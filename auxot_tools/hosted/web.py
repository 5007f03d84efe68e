"""The web tools, as the settings have them.

One job: build them. It must not know what they do.
"""

from collections.abc import Mapping

from auxot_tools.config.web import WebSettings
from auxot_tools.hosted.web_answers import WebAnswers
from auxot_tools.hosted.web_fetch import WebFetch
from auxot_tools.hosted.web_providers import Brave, SearchProvider, SearXNG
from auxot_tools.hosted.web_search import WebSearch
from auxot_tools.hosted.web_uses import Uses
from auxot_tools.net.outbound import Outbound
from auxot_tools.ports import HostedTool


def web_tools(outbound: Outbound, settings: WebSettings) -> Mapping[str, HostedTool]:
    """The tools by name. `outbound` must be open while they are called; nothing is to be closed."""
    provider: SearchProvider = Brave(settings.brave_url)
    if settings.search_provider == "searxng":
        provider = SearXNG(settings.searxng_url)
    return {
        "web_fetch": WebFetch(outbound, Uses("web_fetch", settings.max_uses)),
        "web_search": WebSearch(outbound, Uses("web_search", settings.max_uses), provider),
        "web_answers": WebAnswers(
            outbound, Uses("web_answers", settings.max_uses), settings.brave_url
        ),
    }
