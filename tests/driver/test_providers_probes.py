"""What probes and lists of models say of providers: who is online, what is on offer, and `auto`."""

from typing import Any

import anyio
import pytest

from auxot_tools.driver.health import FAILURES_TO_OPEN, OPEN_S, Health
from auxot_tools.driver.providers import (
    MAX_LISTED,
    PROBE_S,
    Provider,
    Providers,
    Route,
    _Standing,
)
from auxot_tools.errors import AuxotError, NotFound, Overloaded, Unavailable, UpstreamError
from auxot_tools.loop.splice import UpstreamBody
from tests.support.fake_model_server import FakeModelServer
from tests.support.running import http_model
from tests.support.turns import request

pytestmark = pytest.mark.anyio

ALWAYS = 3600.0  # a probe interval: `probe` looks at it, and no `watch` comes to it in a test
OFTEN = 0.001


def Server(*listed: str, problem: AuxotError | None = None) -> FakeModelServer:  # noqa: N802
    """A server that lists these models."""
    return FakeModelServer(listed=listed, problem=problem)


def provider(server: FakeModelServer, name: str = "p", **more: Any) -> Provider:
    return Provider(name, server, **{"probe_interval_s": ALWAYS, **more})


async def probed(*found: Provider) -> Providers:
    providers = Providers(found)
    await providers.probe()
    return providers


async def ask(route: Route, model: str = "m") -> None:
    body = UpstreamBody(request(model=model), []).render(9, {})
    async with route.send(body, {}):
        pass


async def asked_for(providers: Providers, server: FakeModelServer, model: str) -> str:
    await ask(providers.route(model), model)
    return server.asked[-1]


def online(providers: Providers) -> list[bool]:
    return [state.is_online for state in providers.states()]


# -- probes --------------------------------------------------------------------------------------


async def test_states_are_in_the_order_of_the_providers() -> None:
    down = Server(problem=Unavailable("it answers a probe with HTTP status 500"))
    providers = await probed(provider(Server(), "a"), provider(down, "b"), provider(Server(), "c"))
    told = [(state.name, state.is_online, state.reason) for state in providers.states()]
    assert told == [
        ("a", True, ""),
        ("b", False, "it answers a probe with HTTP status 500"),
        ("c", True, ""),
    ]


async def test_the_log_says_which_provider_is_offline_where_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down = Server(problem=Unavailable("nobody listens at this address"))
    await probed(provider(down, "a", address="http://127.0.0.1:9999"))
    told = "provider a (http://127.0.0.1:9999) is offline: nobody listens at this address"
    assert told in caplog.text


async def test_the_log_says_which_provider_did_not_serve_and_where(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusing = FakeModelServer(error=UpstreamError(404, b""))
    providers = Providers([provider(refusing, "a", address="http://127.0.0.1:9104")])
    with pytest.raises(UpstreamError):
        await ask(providers.route("m"))
    assert "provider a (http://127.0.0.1:9104) did not serve" in caplog.text


async def test_a_provider_whose_probe_failed_is_left_out_until_one_succeeds() -> None:
    first, second = Server(problem=Unavailable("it is down")), Server()
    providers = await probed(provider(first, "a"), provider(second, "b"))
    await ask(providers.route("m"))
    assert (first.asked, second.asked) == ([], ["m"])
    first.problem = None
    await providers.probe()
    await ask(providers.route("m"))
    assert (first.asked, second.asked) == (["m"], ["m"])


async def test_with_none_online_it_is_told_at_once_and_nobody_is_asked() -> None:
    servers = [Server(problem=Unavailable("no route")), Server(problem=Unavailable("status 500"))]
    providers = await probed(provider(servers[0], "a"), provider(servers[1], "b"))
    for server in servers:
        server.until = anyio.Event()
    with pytest.raises(Overloaded, match=r"\(a: no route; b: status 500\)"):
        providers.route("m")
    assert [server.asked for server in servers] == [[], []]


async def test_only_providers_of_the_model_are_told_of() -> None:
    down = Server(problem=Unavailable("no route"))
    providers = await probed(provider(down, "a"), provider(Server(), "b", models=("x",)))
    with pytest.raises(Overloaded) as caught:
        providers.route("m")
    assert "b:" not in str(caught.value)


async def test_slow_probes_are_bounded_and_do_not_wait_for_one_another() -> None:
    slow = [Server(), Server(), Server()]
    for server in slow:
        server.hangs = True
    begun = anyio.current_time()
    providers = await probed(*(provider(server, f"s{n}") for n, server in enumerate(slow)))
    assert anyio.current_time() - begun < 1.8 * PROBE_S
    assert [one.health.is_doubtful for one in providers._all] == [True] * 3
    assert providers._all[0].health.reason == f"it did not answer a probe within {PROBE_S:g} s"


async def test_a_provider_that_is_not_to_be_probed_is_never_probed() -> None:
    server = Server(problem=Unavailable("it is down"))
    providers = await probed(provider(server, probe_interval_s=0))
    with anyio.fail_after(5):
        await providers.watch()
    assert server.probes == 0
    assert online(providers) == [True]


async def test_watching_takes_a_provider_offline_and_brings_it_back() -> None:
    server = Server()
    providers = Providers([provider(server, probe_interval_s=OFTEN)])

    async def until(is_online: bool) -> None:
        with anyio.fail_after(5):
            while online(providers) != [is_online]:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(providers.watch)
        await until(True)
        server.problem = Unavailable("it is down")
        await until(False)
        server.problem = None
        await until(True)
        tasks.cancel_scope.cancel()
    assert server.probes >= 2


async def test_a_probe_that_succeeds_brings_back_one_that_could_not_be_reached() -> None:
    server = Server()
    server.error = Unavailable("not there")
    providers = Providers([provider(server)])
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(Overloaded):
            await ask(providers.route("m"))
    assert online(providers) == [False]
    await providers.probe()
    assert online(providers) == [True]


# -- the trial of a breaker that is half open ------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def half_open(server: FakeModelServer) -> _Standing:
    """A provider whose breaker is to be tried."""
    clock = Clock()
    standing = _Standing(provider(server), Health(clock))
    for _ in range(FAILURES_TO_OPEN):
        standing.health.failed("no route", was_reached=False)
    clock.now += OPEN_S
    return standing


async def test_a_trial_whose_client_leaves_makes_room_for_the_next() -> None:
    server = Server()
    server.until = anyio.Event()
    standing = half_open(server)
    with anyio.move_on_after(0):
        await ask(Route("m", [(standing, "m")]))
    assert server.asked == ["m"]
    assert standing.health.is_online
    server.until.set()
    await ask(Route("m", [(standing, "m")]))
    assert standing.health.is_online


async def test_of_two_conversations_routed_at_once_one_is_the_trial_and_the_other_goes_on() -> None:
    server, spare = Server(), Server()
    server.until = anyio.Event()
    candidates = [(half_open(server), "m"), (_Standing(provider(spare)), "m")]
    trial, other = Route("m", candidates), Route("m", candidates)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, trial)
        tasks.start_soon(ask, other)
        await anyio.wait_all_tasks_blocked()
        asked = list(server.asked), list(spare.asked)
        server.until.set()
    assert asked == (["m"], ["m"])


# -- lists of models -------------------------------------------------------------------------------


async def test_named_models_come_first_then_those_that_were_listed_and_auto_at_the_end() -> None:
    first = provider(Server("x", "b"), models=("b", "c-*"), model_map={"claude-*": "b", "o": "b"})
    second = provider(Server("d", "b", "e"))
    assert (await probed(first, second)).models() == ("b", "o", "d", "e", "auto")


async def test_a_listed_model_is_offered_only_when_the_provider_serves_it_under_that_name() -> None:
    pattern = provider(Server("qwen-1", "llama-1"), models=("qwen-*",))
    renamed = provider(Server("big", "small"), model_map={"small": "big"})
    names = (await probed(pattern, renamed)).models()
    assert "qwen-1" in names
    assert "llama-1" not in names
    assert "big" in names


async def test_a_list_that_was_known_stays_while_its_provider_is_offline() -> None:
    server = Server("a", "b")
    providers = await probed(provider(server))
    before = providers.models()
    server.problem = Unavailable("it is down")
    await providers.probe()
    assert online(providers) == [False]
    assert providers.models() == before == ("a", "b", "auto")


async def test_a_list_that_changes_is_followed_and_a_huge_one_is_cut() -> None:
    server = Server("a")
    providers = await probed(provider(server))
    server.listed = tuple(f"m{number}" for number in range(MAX_LISTED + 5))
    await providers.probe()
    names = providers.models()
    assert len(names) == MAX_LISTED + 1
    assert "a" not in names


async def test_models_are_served_by_concrete_ids_whether_listed_or_not() -> None:
    server = Server("org/model-70b")
    providers = await probed(provider(server))
    assert await asked_for(providers, server, "org/model-70b") == "org/model-70b"
    assert await asked_for(providers, server, "not-listed") == "not-listed"


# -- auto ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"models": ("b", "c")}, "b"),
        ({"models": ("b-*", "c")}, "c"),
        ({"models": ("b",), "model_map": {"auto": "z"}}, "z"),
        ({"models": ("b",), "model_map": {"claude-*": "y", "*": "z"}}, "z"),
        ({"models": ("*",)}, "listed-1"),
        ({"models": ("listed-2", "*")}, "listed-2"),
    ],
)
async def test_auto_is_a_model_of_the_first_provider_that_has_one(
    more: dict[str, Any], wanted: str
) -> None:
    server = Server("listed-1", "listed-2")
    providers = await probed(provider(server, **more))
    assert providers.serves("auto")
    assert await asked_for(providers, server, "auto") == wanted
    assert "auto" in providers.models()


async def test_auto_may_be_a_listed_model_that_fits_one_of_the_patterns() -> None:
    server = Server("other", "listed-1")
    providers = await probed(provider(server, models=("listed-?",)))
    assert providers.serves("auto")
    assert await asked_for(providers, server, "auto") == "listed-1"


async def test_auto_goes_to_the_first_that_is_well() -> None:
    first, second = Server("a", problem=Unavailable("it is down")), Server("b")
    providers = await probed(provider(first, models=("a",)), provider(second))
    assert await asked_for(providers, second, "auto") == "b"
    first.problem = None
    await providers.probe()
    assert await asked_for(providers, first, "auto") == "a"


async def test_auto_passes_over_a_provider_that_names_no_model_for_it() -> None:
    silent, second = Server(), Server("b")
    providers = await probed(provider(silent), provider(second))
    assert await asked_for(providers, second, "auto") == "b"
    assert silent.asked == []


async def test_auto_without_any_model_known_by_name_is_not_found_and_says_why() -> None:
    providers = await probed(provider(Server()), provider(Server(), models=("x-*",)))
    with pytest.raises(NotFound, match="auto: no provider names a model for it"):
        providers.route("auto")
    assert "auto" not in providers.models()


async def test_a_provider_that_nobody_listens_for_says_so() -> None:
    async with http_model("http://127.0.0.1:9") as server:
        providers = await probed(Provider("a", server, probe_interval_s=ALWAYS))
        (state,) = providers.states()
    assert state.reason == "the upstream cannot be reached: nobody listens at this address"
