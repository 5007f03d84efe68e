"""Requests that a gateway's plugin holds: each is found by its own record, and by its own key."""

from types import SimpleNamespace
from typing import Any

import pytest

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.errors import AuthenticationError
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.plugins.gateway import Gateway, Held
from auxot_tools.plugins.held import HeldRequests, new_tenant, tenant_of
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.services import RouterLimits
from tests.support.fake_dispatcher import FakeDispatcher

pytestmark = pytest.mark.anyio


class Record:
    """What a gateway has for each request."""

    litellm_call_id = "the same for all"


def auth(**known: Any) -> SimpleNamespace:
    nothing = dict.fromkeys(["token", "api_key", "user_id", "team_id", "org_id", "end_user_id"])
    return SimpleNamespace(**(nothing | known))


async def held_for(tenant: str) -> Held:
    dispatcher = FakeDispatcher()
    place = Gateway(
        dispatcher,
        Catalogue(dispatcher, ["echo"]),
        LoopSettings(),
        RouterLimits(),
        KeptHistory(),
    )
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": tenant}]}
    return await place.hold(asked, tenant, {})


async def test_two_requests_with_one_id_are_two() -> None:
    requests, records = HeldRequests(), [Record(), Record()]
    keys = [auth(token="one"), auth(token="two")]
    for record, key in zip(records, keys, strict=True):
        requests.keep(record, await held_for(tenant_of(key)))
    for record, key in zip(records, keys, strict=True):
        found = requests.of(record, key)
        assert found is not None
        assert found.tenant == tenant_of(key)
    assert requests.of(Record()) is None
    assert requests.of(None) is None


async def test_what_is_held_for_one_key_is_refused_to_another() -> None:
    requests, record = HeldRequests(), Record()
    requests.keep(record, await held_for(tenant_of(auth(token="one"))))
    with pytest.raises(AuthenticationError):
        requests.of(record, auth(token="two"))


async def test_what_nobody_asked_for_is_found_by_its_record() -> None:
    requests, record = HeldRequests(), Record()
    requests.keep(record, await held_for(new_tenant(auth())))
    assert requests.of(record, auth()) is not None


@pytest.mark.parametrize("name", ["user_id", "team_id", "org_id", "end_user_id"])
def test_users_without_a_key_are_told_apart(name: str) -> None:
    alice, bob = auth(**{name: "alice"}), auth(**{name: "bob"})
    assert tenant_of(alice) == new_tenant(alice) != tenant_of(bob)
    assert "alice" not in tenant_of(alice)


def test_a_user_and_a_team_of_one_name_are_two() -> None:
    assert tenant_of(auth(user_id="a")) != tenant_of(auth(team_id="a"))


def test_who_is_nobody_shares_nothing() -> None:
    assert tenant_of(auth()) == ""
    assert new_tenant(auth()) != new_tenant(auth())
