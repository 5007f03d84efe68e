"""The settings of the way out: what they take, and how it is written."""

from typing import Any

import pytest
from pydantic import ValidationError

from auxot_tools.config.outbound import NetSettings


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("ports", "80, 8443", (80, 8443)),
        ("ports", [8080], (8080,)),
        ("allowed_domains", "Example.ORG., *.b.example", ("example.org", "*.b.example")),
        ("blocked_domains", ["bücher.example", "10.0.0.1"], ("bücher.example", "10.0.0.1")),
        ("blocked_domains", "2001:db8::1", ("2001:db8::1",)),
        ("reachable_networks", "10.0.0.0/8,FD00::/8", ("10.0.0.0/8", "fd00::/8")),
        ("reachable_networks", "127.0.0.1", ("127.0.0.1/32",)),
        ("reachable_networks", "", ()),
    ],
)
def test_lists_are_taken_as_they_are_written(name: str, written: Any, value: Any) -> None:
    assert getattr(NetSettings.model_validate({name: written}), name) == value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ports", ""),
        ("ports", "0"),
        ("ports", "65536"),
        ("ports", "http"),
        ("ports", [True]),
        ("allowed_domains", "*"),
        ("allowed_domains", "http://a.example"),
        ("allowed_domains", "a.example/path"),
        ("allowed_domains", "a b.example"),
        ("blocked_domains", "a.*.example"),
        ("blocked_domains", "10.0.0.0/8"),
        ("reachable_networks", "10.0.0.1/8"),
        ("reachable_networks", "10.0.0.0/33"),
        ("reachable_networks", "localhost"),
        ("reachable_networks", [5]),
        ("max_redirects", 21),
        ("max_body_bytes", 10),
        ("connect_timeout_s", 0),
        ("proxy", "x"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, written: Any) -> None:
    with pytest.raises(ValidationError):
        NetSettings.model_validate({name: written})
