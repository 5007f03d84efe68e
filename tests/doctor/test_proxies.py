"""Which proxy a client would use, by the variables of the environment."""

import pytest

from auxot_tools.doctor.proxies import proxies_for

PROXY = "http://me:pass-word@proxy.example:3128/"
SHOWN = "http://proxy.example:3128"
CASES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"http_proxy": PROXY}, {"http_proxy": SHOWN}),
    ({"HTTP_PROXY": PROXY}, {"HTTP_PROXY": SHOWN}),
    ({"HTTPS_PROXY": PROXY}, {}),
    ({"ALL_PROXY": "proxy.example:3128"}, {"ALL_PROXY": SHOWN}),
    ({"http_proxy": PROXY, "no_proxy": "h.example"}, {}),
    ({"http_proxy": PROXY, "NO_PROXY": "a, .example"}, {}),
    ({"http_proxy": PROXY, "NO_PROXY": "*"}, {}),
    ({"http_proxy": PROXY, "NO_PROXY": "example.org,xample"}, {"http_proxy": SHOWN}),
    ({"http_proxy": "http://[::1"}, {"http_proxy": "a proxy whose URL is malformed"}),
]


@pytest.mark.parametrize(("environ", "expected"), CASES)
def test_a_proxy_is_named_without_its_password(
    environ: dict[str, str], expected: dict[str, str]
) -> None:
    assert proxies_for(environ, "http", "h.example") == expected
