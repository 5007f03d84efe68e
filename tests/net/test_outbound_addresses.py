"""No form of a forbidden address is ever connected to: judged by the listeners, not by our word.

Everything runs in a network namespace in which every address is this machine's, so that whatever is
connected to is seen to be.
"""

import json
from typing import Any

import pytest

from tests.support.forbidden_forms import (
    FORMS,
    LITERALS,
    MAPPED,
    NAMES,
    ODD_HOSTS,
    PUBLIC,
    PUBLIC6,
    READ_AS,
    RESOLVED,
    redirecting,
    url_of,
)
from tests.support.network_namespace import network_namespace, run_inside

TOUCHABLE = (*LITERALS, *MAPPED)
Results = dict[tuple[str, str], dict[str, Any]]


def one_address(address: str) -> list[str]:
    return [f"{address}/{128 if ':' in address else 32}"]


def cases() -> dict[tuple[str, str], dict[str, Any]]:
    """(what is done, name of the form) -> the case as `touches.py` takes it."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, form in FORMS.items():
        for mode in ("guarded", "unguarded"):
            found[mode, name] = {"mode": mode, "url": form.url, "names": form.names}
    for address in TOUCHABLE:
        url = url_of(address)
        found["opened", address] = {
            "mode": "guarded", "url": url, "reachable": one_address(address)
        }  # fmt: skip
        found["operator", address] = {"mode": "operator", "url": url}
        found["connect", address] = {"mode": "connect", "host": address}
        found["connect opened", address] = {
            "mode": "connect", "host": address, "reachable": one_address(address)
        }  # fmt: skip
    for name, answers in RESOLVED.items():
        found["connect", name] = {"mode": "connect", "host": name, "names": {name: answers}}
    for host in ODD_HOSTS:
        found["connect", host] = {"mode": "connect", "host": host.strip("[]"), "names": NAMES}
    rebinding = {"name.example": [[PUBLIC], ["127.0.0.1"]]}
    for mode, key in (("guarded", "url"), ("connect", "host")):
        where = "http://name.example/" if key == "url" else "name.example"
        found[mode, "bound again"] = {"mode": mode, key: where, "names": rebinding}
    for url in (url_of(PUBLIC), url_of(PUBLIC6), redirecting(url_of(PUBLIC6))):
        found["public", url] = {"mode": "guarded", "url": url, "names": NAMES}
    wide = ["100.64.0.0/10", "169.254.0.0/16", "fd00::/8", "168.0.0.0/5"]
    for address in ("100.100.100.200", "169.254.169.254", "fd00:ec2::254", "168.63.129.16"):
        found["wide", address] = {"mode": "guarded", "url": url_of(address), "reachable": wide}
    return found


@pytest.fixture(scope="module")
def results() -> Results:
    wanted = cases()
    with network_namespace() as namespace:
        told = run_inside(namespace, "tests.support.touches", json.dumps(list(wanted.values())))
    return dict(zip(wanted, json.loads(told), strict=True))


def test_there_are_enough_forms_and_most_do_reach_a_client_that_checks_nothing(
    results: Results,
) -> None:
    reached = {
        name
        for (mode, name), result in results.items()
        if mode == "unguarded" and set(result["touched"]) - {PUBLIC, PUBLIC6}
    }
    assert len(FORMS) >= 150
    assert len(reached) >= 100, sorted(set(FORMS) - reached)


@pytest.mark.parametrize("name", FORMS)
def test_a_forbidden_form_is_refused_and_touches_nothing(results: Results, name: str) -> None:
    result = results["guarded", name]
    is_redirect = name.startswith("redirect")
    # Whoever redirects is public, and is touched.
    assert set(result["touched"]) == ({PUBLIC} if is_redirect else set())
    assert result["outcome"] == "OutboundRefused"


@pytest.mark.parametrize("name", [name for name in FORMS if name.startswith(("name", "redirect"))])
def test_a_refusal_does_not_say_where_a_name_or_a_server_leads(results: Results, name: str) -> None:
    text = results["guarded", name]["text"]
    names = {**RESOLVED, **FORMS[name].names}
    resolved = {one for each in names.values() for answer in each for one in answer}
    hidden = {*resolved, "::1", "2130706433", "0x7f.1"} - {"::", "localhost"}
    assert [address for address in hidden if address in text] == []


@pytest.mark.parametrize("address", TOUCHABLE)
def test_the_listener_is_touched_where_the_operator_opened_the_address(
    results: Results, address: str
) -> None:
    result = results["opened", address]
    assert result["touched"] == [READ_AS.get(address, address)]
    assert (result["outcome"], result["text"]) == ("200", "touched")


@pytest.mark.parametrize("address", TOUCHABLE)
def test_an_address_of_the_operators_own_settings_is_reached(
    results: Results, address: str
) -> None:
    result = results["operator", address]
    assert result["touched"] == [READ_AS.get(address, address)]
    assert (result["outcome"], result["text"]) == ("200", "touched")


@pytest.mark.parametrize("host", [*TOUCHABLE, *RESOLVED, *ODD_HOSTS])
def test_a_plain_connection_is_refused_likewise(results: Results, host: str) -> None:
    result = results["connect", host]
    assert (result["outcome"], result["touched"]) == ("OutboundRefused", [])


@pytest.mark.parametrize("address", TOUCHABLE)
def test_a_plain_connection_is_made_where_the_operator_opened_the_address(
    results: Results, address: str
) -> None:
    result = results["connect opened", address]
    assert (result["outcome"], result["touched"]) == (
        "connected",
        [READ_AS.get(address, address)],
    )


@pytest.mark.parametrize("mode", ["guarded", "connect"])
def test_a_name_is_resolved_once_and_that_very_address_connected_to(
    results: Results, mode: str
) -> None:
    result = results[mode, "bound again"]
    assert (result["touched"], result["lookups"]) == ([PUBLIC], 1)
    assert result["outcome"] in {"200", "connected"}


def test_public_addresses_are_reached_also_by_a_redirect(results: Results) -> None:
    assert results["public", url_of(PUBLIC)]["touched"] == [PUBLIC]
    assert results["public", url_of(PUBLIC6)]["touched"] == [PUBLIC6]
    assert results["public", redirecting(url_of(PUBLIC6))]["touched"] == [PUBLIC, PUBLIC6]


@pytest.mark.parametrize(
    "address", ["100.100.100.200", "169.254.169.254", "fd00:ec2::254", "168.63.129.16"]
)
def test_a_metadata_server_stays_closed_in_a_network_that_is_open(
    results: Results, address: str
) -> None:
    result = results["wide", address]
    assert (result["outcome"], result["touched"]) == ("OutboundRefused", [])
