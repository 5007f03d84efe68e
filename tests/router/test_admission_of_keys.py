"""What one key may take at once, with a clock that is moved by hand."""

import pytest

from auxot_tools.errors import RateLimited
from auxot_tools.router.admission import COUNTS_PER_MINUTE, Admission
from auxot_tools.router.key_file import KeyEntry
from tests.support.running import CHEAP

HASH = CHEAP.hash("key")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def key(name: str = "one", **limits: int | None) -> KeyEntry:
    return KeyEntry.model_validate({"name": name, "hash": HASH, **limits})


def let_in(admission: Admission, entry: KeyEntry, times: int = 1) -> None:
    """Requests that come one after the other, each ending before the next."""
    for _ in range(times):
        with admission.request(entry):
            pass


def refused(admission: Admission, entry: KeyEntry) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        let_in(admission, entry)
    return caught.value


def test_a_key_without_limits_is_always_let_in_and_nothing_bounds_its_calls(clock: Clock) -> None:
    admission = Admission(clock)
    let_in(admission, key(), 1000)
    with admission.request(key()) as places:
        assert places is None


# -- requests in a minute --------------------------------------------------------------------------


def test_a_burst_may_use_up_the_share_of_a_minute_and_no_more(clock: Clock) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=5)
    let_in(admission, entry, 5)
    assert "5 requests a minute" in str(refused(admission, entry))


def test_the_share_fills_evenly_so_that_the_next_comes_after_a_part_of_the_minute(
    clock: Clock,
) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=6)
    let_in(admission, entry, 6)
    assert refused(admission, entry).retry_after_s == 10
    clock.now += 9.9
    assert refused(admission, entry).retry_after_s == 1
    clock.now += 0.2
    let_in(admission, entry)
    assert refused(admission, entry).retry_after_s == 10


@pytest.mark.parametrize(("per_minute", "wait_s"), [(1, 60), (7, 9), (60, 1), (120, 1)])
def test_one_is_told_to_come_back_when_the_next_is_let_in_and_never_at_once(
    clock: Clock, per_minute: int, wait_s: int
) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=per_minute)
    let_in(admission, entry, per_minute)
    error = refused(admission, entry)
    assert error.retry_after_s == wait_s
    clock.now += error.retry_after_s
    let_in(admission, entry)


def test_a_long_pause_does_not_save_up_more_than_one_minute(clock: Clock) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=3)
    let_in(admission, entry)
    clock.now += 3600
    let_in(admission, entry, 3)
    refused(admission, entry)


def test_refused_requests_take_nothing_from_the_share(clock: Clock) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=2)
    let_in(admission, entry, 2)
    for _ in range(100):
        refused(admission, entry)
    clock.now += 30
    let_in(admission, entry)


def test_a_request_that_ends_in_an_error_has_taken_its_part_of_the_share(clock: Clock) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=1)
    with pytest.raises(ZeroDivisionError), admission.request(entry):
        raise ZeroDivisionError
    refused(admission, entry)


def test_keys_have_their_shares_apart(clock: Clock) -> None:
    admission = Admission(clock)
    let_in(admission, key("one", requests_per_minute=1))
    refused(admission, key("one", requests_per_minute=1))
    let_in(admission, key("two", requests_per_minute=1))


def test_a_limit_that_was_changed_in_the_file_counts_at_once(clock: Clock) -> None:
    admission = Admission(clock)
    let_in(admission, key(requests_per_minute=100), 10)
    let_in(admission, key(requests_per_minute=1))
    refused(admission, key(requests_per_minute=1))
    let_in(admission, key())


# -- requests at once ------------------------------------------------------------------------------


def test_one_request_more_than_a_key_may_have_at_once_is_refused_until_one_has_ended(
    clock: Clock,
) -> None:
    admission, entry = Admission(clock), key(concurrent_requests=2)
    with admission.request(entry):
        with admission.request(entry):
            error = refused(admission, entry)
        let_in(admission, entry)
    assert "2 requests at once" in str(error)
    assert error.retry_after_s == 1


def test_a_request_that_fails_makes_room_too(clock: Clock) -> None:
    admission, entry = Admission(clock), key(concurrent_requests=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.request(entry):
            raise ZeroDivisionError
    let_in(admission, entry)


def test_requests_at_once_are_counted_for_each_key(clock: Clock) -> None:
    admission = Admission(clock)
    with admission.request(key("one", concurrent_requests=1)):
        let_in(admission, key("two", concurrent_requests=1))
        refused(admission, key("one", concurrent_requests=1))


def test_a_request_refused_for_its_neighbours_takes_nothing_from_the_share_of_the_minute(
    clock: Clock,
) -> None:
    admission, entry = Admission(clock), key(concurrent_requests=1, requests_per_minute=2)
    with admission.request(entry):
        for _ in range(5):
            refused(admission, entry)
    let_in(admission, entry)


def test_a_limit_set_while_requests_run_counts_those_that_run(clock: Clock) -> None:
    admission = Admission(clock)
    with admission.request(key()), admission.request(key()):
        refused(admission, key(concurrent_requests=2))
        let_in(admission, key(concurrent_requests=3))


# -- calls at once ---------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_key_whose_calls_take_all_places_is_refused_and_comes_back_soon(
    clock: Clock,
) -> None:
    admission, entry = Admission(clock), key(concurrent_calls=2)
    with admission.request(entry) as places:
        assert places is not None
        async with places:
            let_in(admission, entry)
            places.acquire_on_behalf_of_nowait("another call")
            error = refused(admission, entry)
            places.release_on_behalf_of("another call")
        let_in(admission, entry)
    assert "2 tool calls at once" in str(error)
    assert error.retry_after_s == 1


@pytest.mark.anyio
async def test_all_requests_of_a_key_share_its_places_and_other_keys_have_their_own(
    clock: Clock,
) -> None:
    admission, entry = Admission(clock), key(concurrent_calls=2)
    with (
        admission.request(entry) as first,
        admission.request(entry) as second,
        admission.request(key("two", concurrent_calls=2)) as other,
    ):
        assert first is second
        assert other is not first


@pytest.mark.anyio
async def test_a_changed_number_of_calls_counts_for_requests_that_run_already(
    clock: Clock,
) -> None:
    admission = Admission(clock)
    with admission.request(key(concurrent_calls=1)) as places:
        assert places is not None
        async with places:
            refused(admission, key(concurrent_calls=1))
            with admission.request(key(concurrent_calls=3)):
                assert places.total_tokens == 3
            with admission.request(key()) as none:
                assert none is None


def test_counts_of_tokens_have_a_share_of_their_own(clock: Clock) -> None:
    admission, entry = Admission(clock), key(requests_per_minute=1)
    for _ in range(COUNTS_PER_MINUTE):
        admission.count(entry)
    with pytest.raises(RateLimited):
        admission.count(entry)
    with admission.request(entry):
        pass


def test_a_repeat_may_be_one_more_than_the_limit_and_no_two(clock: Clock) -> None:
    admission, entry = Admission(clock), key(concurrent_requests=1)
    with (
        admission.request(entry),
        admission.request(entry, is_repeat=True),
        pytest.raises(RateLimited),
        admission.request(entry, is_repeat=True),
    ):
        pass
