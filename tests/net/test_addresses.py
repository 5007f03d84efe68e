"""Which addresses are public: by our tables, held against Python's and by their edges."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.net.addresses import METADATA, forbidden_reason

V4 = st.ip_addresses(v=4)
# Most IPv6 addresses are in no use at all; half of these are in the space that is.
V6 = st.one_of(
    st.ip_addresses(v=6),
    st.ip_addresses(v=6, network="2000::/3"),
    st.ip_addresses(v=6, network="2001::/16"),
)
calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@calmly
@given(st.one_of(V4, V6))
def test_what_python_does_not_call_global_is_forbidden(address: object) -> None:
    ip = ip_address(str(address))
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        assert forbidden_reason(str(ip)) != ""


calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
        "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2a00::1", "3ffe::1",
        "2001:db7:ffff::1", "2001:db9::1",
    ],
)  # fmt: skip
def test_the_neighbours_of_what_is_forbidden_are_not(address: str) -> None:
    assert forbidden_reason(address) == ""


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.0.0.1", "a private address"),
        ("127.0.0.1", "a loopback address"),
        ("fe80::1", "a link-local address"),
        ("fe80::1%eth0", "an address of one network interface"),
        ("2606:4700::1111%1", "an address of one network interface"),
        ("169.254.169.254", "a metadata server"),
        ("255.255.255.255", "the broadcast address"),
        ("ff02::1", "a multicast address"),
        ("::ffff:8.8.8.8", "an IPv4 address inside an IPv6 address"),
        ("2002:808:808::1", "an IPv4 address inside an IPv6 address"),
        ("127.1", "not an address"),
        ("010.0.0.1", "not an address"),
        ("a.example", "not an address"),
        ("", "not an address"),
    ],
)
def test_the_reason_is_told_in_words(address: str, reason: str) -> None:
    assert forbidden_reason(address) == reason


def test_what_the_operator_opened_may_be_connected_to_and_nothing_beside_it() -> None:
    opened = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    assert forbidden_reason("10.1.2.3", opened) == ""
    assert forbidden_reason("fd00:1::2", opened) == ""
    assert forbidden_reason("10.2.0.1", opened) == "a private address"
    assert forbidden_reason("::ffff:10.1.2.3", opened) != ""


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("64:ff9b::808:808", ""),
        ("64:ff9b::a00:1", "a private address"),
        ("64:ff9b::a9fe:a9fe", "a metadata server"),
        ("::ffff:169.254.169.254", "a metadata server"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("::10.0.0.1", "a private address"),
        ("2002:a00:1::1", "a private address"),
        ("2002:808:808::1", ""),
        ("::1", ""),
        ("fd00::1", ""),
    ],
)
def test_inside_an_opened_network_an_ipv4_address_is_judged_as_itself(
    address: str, reason: str
) -> None:
    assert forbidden_reason(address, (ip_network("::/0"),)) == reason


@pytest.mark.parametrize("address", sorted(METADATA, key=str))
def test_a_metadata_server_is_opened_by_its_very_address_only(address: object) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert forbidden_reason(str(address), everything) == "a metadata server"
    assert forbidden_reason(str(address), (ip_network(str(address)),)) == ""
