"""The settings of the web tools: defaults, and addresses that are none."""

import pytest
from pydantic import ValidationError

from auxot_tools.config.web import WebSettings


def test_the_defaults_are_brave_at_its_own_address() -> None:
    settings = WebSettings()
    assert (settings.search_provider, settings.max_uses) == ("brave", 20)
    assert settings.brave_url == "https://api.search.brave.com"
    assert settings.searxng_url == ""


def test_a_base_address_loses_its_last_slash_and_keeps_its_path() -> None:
    settings = WebSettings(searxng_url="http://searxng:8080/sub/")
    assert settings.searxng_url == "http://searxng:8080/sub"


@pytest.mark.parametrize(
    "url",
    [
        *("searxng:8080", "ftp://a.example", "http://", "http://u:p@a.example", "http://a b"),
        *("http://a.example?q=1", "http://a.example/#x", "http://a.example:0", "http://a.exämple"),
    ],
)
def test_what_is_no_base_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebSettings(searxng_url=url)
    with pytest.raises(ValidationError):
        WebSettings(brave_url=url)


@pytest.mark.parametrize("url", [""])
def test_brave_needs_an_address(url: str) -> None:
    with pytest.raises(ValidationError):
        WebSettings(brave_url=url)


def test_the_provider_is_one_of_two_in_any_case() -> None:
    assert WebSettings.model_validate({"search_provider": "SearXNG"}).search_provider == "searxng"
    with pytest.raises(ValidationError):
        WebSettings.model_validate({"search_provider": "other"})
