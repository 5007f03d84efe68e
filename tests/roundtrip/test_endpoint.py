"""Whatever form of base URL a user has, requests go to the Messages endpoint; mistakes are told."""

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.endpoint import KeyForm, endpoint_of
from auxot_tools.roundtrip.exchanges import Auth

ROOT = "http://127.0.0.1:8080/api/anthropic"


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/messages/"])
def test_every_form_of_a_base_url_leads_to_one_endpoint(ending: str) -> None:
    assert endpoint_of(ROOT + ending, "the-key").base_url == ROOT


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no http or https URL"),
        ("localhost:8080", "no http or https URL"),
        ("ftp://host/", "no http or https URL"),
        ("http://", "no http or https URL"),
        ("http://host:99999/", "a port or host that cannot be"),
        ("http://[::1/", "a port or host that cannot be"),
        ("http://host:0/", "a part that no URL has"),
        ("http://ho st/", "a part that no URL has"),
        ("http://user:secret@host/", "holds a user or password"),
        ("http://host/?beta=true", "a query or fragment"),
    ],
)
def test_a_url_that_cannot_be_is_told(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        endpoint_of(url, "key")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("key", ["", "two words", "líne-of-key", "line\nfeed", "short"])
def test_a_key_that_cannot_be_sent_or_hidden_is_told_but_not_shown(key: str) -> None:
    with pytest.raises(ConfigError) as told:
        endpoint_of(ROOT, key)
    assert not key or key not in str(told.value)


def test_the_key_goes_as_the_endpoint_takes_it() -> None:
    shown = {
        form: dict(endpoint_of(ROOT, "a-key-1", form).headers(Auth.OWN, "1")) for form in KeyForm
    }
    assert shown[KeyForm.X_API_KEY]["x-api-key"] == "a-key-1"
    assert "authorization" not in shown[KeyForm.X_API_KEY]
    assert shown[KeyForm.BEARER]["authorization"] == "Bearer a-key-1"
    assert {"x-api-key", "authorization"} <= set(shown[KeyForm.BOTH])


def test_other_keys_are_sent_where_an_exchange_is_about_them() -> None:
    endpoint = endpoint_of(ROOT, "right-key", KeyForm.BEARER)
    assert "authorization" not in endpoint.headers(Auth.NONE, "1")
    assert "right-key" not in str(endpoint.headers(Auth.WRONG, "1"))
    assert endpoint.headers(Auth.X_API_KEY, "1")["x-api-key"] == "right-key"


def test_the_key_is_not_in_the_endpoints_text() -> None:
    assert "secret-key" not in repr(endpoint_of(ROOT, "secret-key"))
