"""The settings become rules and limits."""

from ipaddress import ip_network

from auxot_tools.config.outbound import NetSettings
from auxot_tools.net.exchange import OutboundLimits, OutboundRules, outbound_limits, outbound_rules


def test_the_defaults_of_the_settings_are_those_of_the_values() -> None:
    assert outbound_rules(NetSettings()) == OutboundRules()
    assert outbound_limits(NetSettings()) == OutboundLimits()


def test_every_setting_arrives() -> None:
    settings = NetSettings.model_validate(
        {
            "ports": "8080",
            "allowed_domains": "a.example",
            "blocked_domains": "b.example",
            "reachable_networks": "10.1.0.0/16, fd00:1::/32",
            "max_redirects": 1,
            "max_body_bytes": 2048,
            "connect_timeout_s": 2.5,
        }
    )
    assert outbound_rules(settings) == OutboundRules(
        ("http", "https"),
        (8080,),
        ("a.example",),
        ("b.example",),
        (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")),
    )
    limits = OutboundLimits(max_redirects=1, connect_s=2.5, body_bytes=2048)
    assert outbound_limits(settings) == limits
